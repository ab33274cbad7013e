"""Usage: python -m bench.instr [gate | update] [pattern...]

Counts instructions per call of the cases whose names contain a pattern: the slope between two numbers of calls, so that
set-up and start are excluded. ``gate``, the default, fails if a case takes over 1 % more than its baseline; ``update``
writes the baseline.
"""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).with_name("baseline.json")
MOST = 1.01
SLACK = 8
"""Instructions allowed on top of the ratio, because one more instruction would fail a tiny case."""
PADDINGS = (256, 1000, 3000)
"""Octets added to the environment when cases over the gate are counted again: a figure must not fail the gate because
of the addresses of objects."""


def toolchain() -> str:
    """Return the versions, except our own, on which the figures depend."""
    compiler = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    return f"Python {sys.version.split()[0]}, Cython {version('cython')}, gcc {compiler}, {sysconfig.get_platform()}"


def run(patterns: list[str], directory: Path, padding: int) -> list[tuple[str, int] | None]:
    """Run all cases in one process. callgrind writes one dump per part, numbered from 1.

    ``padding`` moves objects in memory, and thus changes hashes that depend on addresses.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise SystemExit("bench.instr: valgrind is missing (install valgrind)")
    tool = [valgrind, "--tool=callgrind", "--dump-before=getpriority", f"--callgrind-out-file={directory}/counts"]
    python = [sys.executable, "-m", "bench.instr.counted"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT), "PYTHONMALLOC": "pymalloc"}
    environment["PADDING"] = padding * "x"
    # The first start compiles changed modules, which moves objects in memory and shifts figures by single instructions.
    subprocess.run([*python, "no such case"], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([*tool, *python, *patterns], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    parts: list[tuple[str, int] | None] = json.loads(done.stdout)
    return parts


def instructions(dump: Path) -> int:
    """Return the total of one dump."""
    total = re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.MULTILINE)
    if total is None:
        raise SystemExit(f"bench.instr: {dump} has no total")
    return int(total[1])


def count(patterns: list[str], padding: int = 0) -> dict[str, int]:
    """Count instructions per call for each case, from the smallest total of its repeated runs."""
    seen: dict[str, dict[int, int]] = {}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for number, part in enumerate(run(patterns, directory, padding), 1):
            if part is not None:
                case, calls = part
                total = instructions(directory / f"counts.{number}")
                known = seen.setdefault(case, {})
                known[calls] = min(total, known.get(calls, total))
    figures = {}
    for case, totals in seen.items():
        (few, first), (many, second) = sorted(totals.items())
        figures[case] = round((second - first) / (many - few))
    return figures


def compare(figures: dict[str, int], baseline: dict[str, int]) -> list[str]:
    """Print all figures, and return the names of those over the gate."""
    worse = []
    for case, figure in figures.items():
        known = baseline.get(case)
        if known is None:
            print(f"{figure:8}            {case} (new)")
            continue
        print(f"{figure:8} {figure / known - 1:+8.2%}   {case}")
        if over(figure, known):
            worse.append(case)
    return worse


def over(figure: int, known: int) -> bool:
    """Return True if a case exceeds the gate."""
    return figure > known * MOST + SLACK


def main() -> int:
    arguments = sys.argv[1:]
    command = arguments.pop(0) if arguments[:1] in (["gate"], ["update"]) else "gate"
    if any(argument.startswith("-") for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    stored: dict[str, Any] = {"toolchain": toolchain(), "cases": {}}
    if BASELINE.exists():
        stored = json.loads(BASELINE.read_text())
    figures = count(arguments)
    worse = compare(figures, stored["cases"])
    if command == "update":
        kept = stored["cases"] if arguments and stored["toolchain"] == toolchain() else {}
        record = {"toolchain": toolchain(), "cases": kept | figures}
        BASELINE.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        return 0
    if stored["toolchain"] != toolchain():
        print(f"bench.instr: no gate: the baseline was counted with {stored['toolchain']}, this is {toolchain()}")
        return 0
    for padding in PADDINGS if worse else ():
        again = count(worse, padding)
        worse = [case for case in worse if over(again[case], stored["cases"][case])]
        if not worse:
            break
    for case in worse:
        print(f"bench.instr: more than 1 % over the baseline: {case}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())

"""Usage: python -m bench.wall [--save] [pattern]... [-- pytest-benchmark's options]

Prints CPU time per call of the cases whose names contain a pattern; of all cases without patterns. ``--save`` writes
the figures of this version to bench/results/wall-VERSION.json; cases that did not run keep their earlier figures.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bench.system.report import RESULTS, stamp
from rserpool import __version__

OPTIONS = (
    "--benchmark-only",
    "--benchmark-timer=bench.wall.seconds_per_call",
    "--benchmark-columns=min,median,max",
    "--benchmark-sort=fullname",
    "-q",
    "--timeout=0",
)


def nanoseconds(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the figures of each case, without the single rounds, from pytest-benchmark's file."""
    return {
        one["param"]: {which: round(1e9 * one["stats"][which], 1) for which in ("min", "median", "max")}
        for one in found["benchmarks"]
    }


def save(found: dict[str, Any]) -> Path:
    """Write the figures next to those of other versions, one line per case."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"wall-{__version__}.json"
    known = json.loads(path.read_text())["nanoseconds"] if path.exists() else {}
    figures = known | nanoseconds(found)
    cases = ",\n".join(f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in sorted(figures.items()))
    path.write_text(f'{{\n "measured": {json.dumps(stamp())},\n "nanoseconds": {{\n{cases}\n }}\n}}\n')
    return path


def main() -> int:
    words = sys.argv[1:]
    options = words[words.index("--") + 1 :] if "--" in words else []
    patterns = words[: words.index("--")] if "--" in words else words
    kept = "--save" in patterns
    patterns = [pattern for pattern in patterns if pattern != "--save"]
    if any(pattern.startswith("-") for pattern in patterns):
        print(__doc__, file=sys.stderr)
        return 2
    chosen = ["-k", " or ".join(patterns)] if patterns else []
    file = str(Path(__file__).with_name("test_cases.py"))
    with tempfile.TemporaryDirectory() as directory:
        figures = Path(directory) / "figures.json"
        raw = [f"--benchmark-json={figures}"] if kept else []
        status = int(pytest.main([file, *OPTIONS, *raw, *chosen, *options]))
        if kept and not status:
            print(f"bench.wall: written to {save(json.loads(figures.read_text()))}")
    return status


if __name__ == "__main__":
    sys.exit(main())

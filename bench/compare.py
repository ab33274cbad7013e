"""This tree beside another commit, in turn in one run: ``python -m bench.compare REF [pattern]...``.

The other commit is checked out and built in build/compare. Each side's cases run in processes of their own, round by
round, so that a busy neighbour hits both; medians of CPU time per call count.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OTHER = ROOT / "build/compare"
ROUNDS = 5
RUNNER = """
import gc, json, sys, time
from bench.cases import all_cases
found = {}
for case in all_cases(*sys.argv[1:]):
    subject = case.make()
    taken = []
    for _ in range(8):
        subject.prepare(500)
        gc.disable()
        began = time.thread_time_ns()
        subject.run(500)
        taken.append((time.thread_time_ns() - began) / 500)
        gc.enable()
        subject.clean(500)
    found[case.name] = sorted(taken[1:])[3]
print(json.dumps(found))
"""


def checked_out(ref: str) -> Path:
    """The other commit, built. SystemExit if there is no such commit."""
    shutil.rmtree(OTHER, ignore_errors=True)
    subprocess.run(["git", "-C", str(ROOT), "worktree", "prune"], check=True)
    command = ["git", "-C", str(ROOT), "worktree", "add", "-q", "--detach", str(OTHER), ref]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench.compare: {done.stderr.strip()}")
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=OTHER, check=True)
    return OTHER


def measured(place: Path, patterns: list[str]) -> dict[str, float]:
    """Nanoseconds per call by case, of one round."""
    environment = {**os.environ, "PYTHONPATH": str(place)}
    command = [sys.executable, "-c", RUNNER, *patterns]
    done = subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ref")
    parser.add_argument("patterns", nargs="*", metavar="pattern", help="a part of the names of cases")
    options = parser.parse_args()
    places = {"base": checked_out(options.ref), "head": ROOT}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in places}
    for turn in range(ROUNDS):
        for name, place in places.items():
            rounds[name].append(measured(place, options.patterns))
        print(f"round {turn + 1} of {ROUNDS}", file=sys.stderr, flush=True)
    for case in rounds["head"][0]:
        head = statistics.median(one[case] for one in rounds["head"])
        if case not in rounds["base"][0]:
            print(f"{'':8} {head:9.0f} ns         {case} (new)")
            continue
        base = statistics.median(one[case] for one in rounds["base"])
        print(f"{base:8.0f} {head:9.0f} ns  {head / base:5.2f}  {case}")
    subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(OTHER)], check=True)


if __name__ == "__main__":
    main()

"""Compares this tree with another commit, alternating in one run: ``python -m bench.compare REF [pattern]...``.

The other commit is checked out and built in build/compare. The cases of each side run in processes of their own, round
by round, so that other load on the machine affects both sides. The figures are medians of CPU time per call. A
difference is reported only if every round shows it.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


Round = dict[str, float]
"""Nanoseconds per call by case."""


def show_progress(what: str) -> None:
    print(f"bench.compare: {what}", file=sys.stderr, flush=True)


def git(*words: str) -> str:
    """Run git and return its output. SystemExit with its error message."""
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench.compare: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def checked_out(ref: str) -> Iterator[Path]:
    """Check out and build the other commit. SystemExit if it does not exist, or cannot be built or measured."""
    try:
        commit = git("rev-parse", "--verify", f"{ref}^{{commit}}")
    except SystemExit:
        raise SystemExit(f"bench.compare: no commit is called {ref}") from None
    shutil.rmtree(OTHER, ignore_errors=True)
    git("worktree", "prune")
    git("worktree", "add", "-q", "--detach", str(OTHER), commit)
    try:
        if not (OTHER / "bench/cases").is_dir():
            raise SystemExit(f"bench.compare: {ref} has no bench/cases")
        show_progress(f"building {git('log', '-1', '--format=%h, %s', commit)}")
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        built = subprocess.run(command, cwd=OTHER, capture_output=True, text=True)
        if built.returncode:
            raise SystemExit(f"bench.compare: {ref} cannot be built:\n{built.stderr[-3000:]}")
        yield OTHER
    finally:
        git("worktree", "remove", "--force", str(OTHER))


def measured(place: Path, patterns: list[str]) -> Round:
    """Measure one round of one side. SystemExit with the end of the error output if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(place)}
    command = [sys.executable, "-c", RUNNER, *patterns]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench.compare: the cases of {place} fail:\n{done.stderr[-3000:]}")
    found: Round = json.loads(done.stdout)
    return found


def verdict(ratios: list[float]) -> str:
    if max(ratios) < 1:
        return "faster"
    return "slower" if min(ratios) > 1 else ""


def table(base: list[Round], head: list[Round]) -> Iterator[str]:
    """Return one line for each case of this tree, then one for each case that this tree no longer has."""
    yield f"{'base':>10} {'head':>10}  {'ratio':>5}  {'of single rounds':16}  {'':6}  case"
    for case in head[0]:
        ours = statistics.median(one[case] for one in head)
        if case not in base[0]:
            yield f"{'':10} {ours:7.0f} ns  {'':5}  {'':16}  {'new':6}  {case}"
            continue
        theirs = statistics.median(one[case] for one in base)
        ratios = [mine[case] / other[case] for mine, other in zip(head, base, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        yield f"{theirs:7.0f} ns {ours:7.0f} ns  {ours / theirs:5.2f}  {spread:16}  {verdict(ratios):6}  {case}"
    for case in base[0]:
        if case not in head[0]:
            theirs = statistics.median(one[case] for one in base)
            yield f"{theirs:7.0f} ns {'':10}  {'':5}  {'':16}  {'gone':6}  {case}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__.partition("\n\n")[0])
    parser.add_argument("ref", help="the commit to compare with: base; this tree is head")
    parser.add_argument("patterns", nargs="*", metavar="pattern", help="a part of the names of cases")
    options = parser.parse_args()
    rounds: dict[Path, list[Round]] = {OTHER: [], ROOT: []}
    with checked_out(options.ref):
        for turn in range(ROUNDS):
            show_progress(f"round {turn + 1} of {ROUNDS}")
            for place, found in rounds.items():
                found.append(measured(place, options.patterns))
            if not rounds[ROOT][0]:
                raise SystemExit(f"bench.compare: no case has {' or '.join(options.patterns)} in its name")
    print(*table(rounds[OTHER], rounds[ROOT]), sep="\n")


if __name__ == "__main__":
    main()

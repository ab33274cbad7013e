"""Run seeds: ``python -m tests.sim --seed N [--verbose]``, or ``--seeds n [--from m] [--jobs 2]``."""

import argparse
import sys
import time
from multiprocessing import Pool

from tests.sim.clock import SECOND
from tests.sim.simulated_run import Failure, run

SHOWN = 300


def one(seed: int) -> tuple[int, str]:
    """Run one seed of many. Returns the seed, and the failure as text."""
    try:
        run(seed)
    except Failure as failure:
        return seed, str(failure)
    return seed, ""


def replay(seed: int, *, verbose: bool, shown: int) -> int:
    """Run one seed and print its history."""
    began = time.perf_counter()
    try:
        world = run(seed, verbose=verbose)
    except Failure as failure:
        world = failure.world
        if not verbose:
            print(f"the last {min(shown, world.history.count)} of {world.history.count} events:")
            print(*world.history.last(shown), sep="\n")
        print(f"\n{failure}\n{world.shape}\nhistory {world.history.digest:08x}")
        cause = failure.__cause__
        if not isinstance(cause, AssertionError) or not str(cause):
            raise
        return 1
    took = time.perf_counter() - began
    when = world.clock.now / SECOND
    print(f"seed {seed}: no violation in {when:.0f} s, {world.history.count} events, {took:.2f} s of real time")
    print(f"{world.shape}\nhistory {world.history.digest:08x}")
    return 0


def many(first: int, count: int, jobs: int) -> int:
    """Run seeds in parallel and print progress. Returns the number of failed seeds."""
    failed: list[tuple[int, str]] = []
    began = time.perf_counter()
    with Pool(jobs) as pool:
        for done, (seed, what) in enumerate(pool.imap_unordered(one, range(first, first + count)), 1):
            if what:
                failed.append((seed, what))
                print(f"\n{what}", flush=True)
            if done % 50 == 0 or done == count:
                print(f"{done} of {count} seeds, {len(failed)} failed, {time.perf_counter() - began:.0f} s", flush=True)
    if failed:
        print("failed: " + " ".join(str(seed) for seed, _ in sorted(failed)))
        print("python -m tests.sim --seed N shows what happened")
    return len(failed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="run this seed only; its history is shown if it fails")
    parser.add_argument("--verbose", action="store_true", help="show all of its history")
    parser.add_argument("--last", type=int, default=SHOWN, help=f"events shown of a failure ({SHOWN})")
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds (200)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed, verbose=options.verbose, shown=options.last)
    return min(many(options.first, options.seeds, options.jobs), 1)


if __name__ == "__main__":
    sys.exit(main())

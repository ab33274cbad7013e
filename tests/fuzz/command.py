"""Common command line of all fuzzers: ``--count 1000000 --seed 1``."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable

from tests.fuzz.growth import resident


def command(run: Callable[[int, int], Counter[str]], description: str | None) -> None:
    """Run that many inputs from a seed and print how often each outcome occurred."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    print(f"{arguments.count} inputs, seed {arguments.seed}", flush=True)
    begin = time.perf_counter()
    for outcome, times in run(arguments.count, arguments.seed).most_common():
        print(f"{times:9} {outcome}")
    print(f"{time.perf_counter() - begin:.1f} s, {resident() >> 20} MiB", file=sys.stderr)

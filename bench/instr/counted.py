"""Runs the cases under callgrind, which at every os.getpriority writes what it has counted since the one before.

Usage: python -m bench.instr.counted [pattern...], by bench.instr only. Prints one JSON list: what each part counts.
"""

import gc
import json
import os
import sys

from bench.cases import all_cases

CALLS = (32, 96)
REPEATS = 3


def mark() -> None:
    os.getpriority(os.PRIO_PROCESS, 0)


def main() -> None:
    parts: list[tuple[str, int] | None] = [None]
    gc.disable()
    for case in all_cases(*sys.argv[1:]):
        if not case.instr:
            continue
        subject = case.make()
        for calls in CALLS * REPEATS:
            subject.prepare(calls)
            mark()
            subject.run(calls)
            mark()
            subject.clean(calls)
            parts += [(case.name, calls), None]
        gc.collect()
    print(json.dumps(parts))


if __name__ == "__main__":
    main()

"""Runs the cases under callgrind, which writes a dump at each call of os.getpriority.

Usage: python -m bench.instr.counted [pattern...]; only bench.instr starts it. Prints one JSON list with the case and
number of calls of each dump.
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

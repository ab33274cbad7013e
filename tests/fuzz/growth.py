"""Notices what a fuzzed part keeps: octets of the process and Python's memory blocks."""

import gc
import os
import sys
from pathlib import Path

STATM = Path("/proc/self/statm")

GROWTH = 32 << 20
"""Octets by which the process may grow after the first quarter."""

KEPT = 0.1
"""Python's memory blocks that may stay allocated per input after the first quarter."""


def resident() -> int:
    """Octets of memory that the process holds."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


class Growth:
    """Compares the end of a run with the end of its first quarter, when caches are warm and bounds are reached."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._before = (resident(), sys.getallocatedblocks())

    def seen(self, number: int) -> None:
        """Before each input, with its number."""
        if number == self._count // 4:
            gc.collect()
            self._before = (resident(), sys.getallocatedblocks())

    def check(self) -> None:
        """After the run. AssertionError if it kept too much."""
        gc.collect()
        octets, blocks = resident() - self._before[0], sys.getallocatedblocks() - self._before[1]
        assert octets < GROWTH, f"grown by {octets} octets"
        assert blocks <= max(KEPT * self._count, 1000), f"{blocks} blocks kept"

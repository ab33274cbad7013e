"""Detects memory that a fuzzed part retains: octets of the process and Python's memory blocks."""

import gc
import os
import sys
from pathlib import Path

STATM = Path("/proc/self/statm")

GROWTH = 32 << 20
"""Permitted growth of the process after the first quarter, in octets."""

KEPT = 0.1
"""Permitted number of Python memory blocks that stay allocated per input after the first quarter."""


def resident() -> int:
    """Resident memory of the process, in octets."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


class Growth:
    """Compares memory at the end of a run with memory after its first quarter, when caches are warm and tables are
    full."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._before = (resident(), sys.getallocatedblocks())

    def seen(self, number: int) -> None:
        """Call before each input, with its number."""
        if number == self._count // 4:
            gc.collect()
            self._before = (resident(), sys.getallocatedblocks())

    def check(self) -> None:
        """Call after the run. AssertionError if too much memory was retained."""
        gc.collect()
        octets, blocks = resident() - self._before[0], sys.getallocatedblocks() - self._before[1]
        assert octets < GROWTH, f"the process grew by {octets} octets"
        assert blocks <= max(KEPT * self._count, 1000), f"{blocks} memory blocks were retained"

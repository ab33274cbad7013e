"""Measures resident octets per pool element: 100 000 elements in 1 000 pools, each with one address and an ASAP
transport."""

import gc
from pathlib import Path

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace, Timer
from tests.support import elements as e

ELEMENTS, POOLS = 100_000, 1_000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main() -> None:
    gc.collect()
    space = Handlespace(7, seed=1, wheel=Wheel(0))
    before = resident()
    for number in range(ELEMENTS):
        handle = b"pool %d" % (number % POOLS)
        octets = e.element(number, e.LUD, (number, 5), asap=e.sctp(9))
        space.register(handle, octets, home=7, connection=number + 1)
        space.arm(handle, number, Timer.KEEP_ALIVE, number)
        space.arm(handle, number, Timer.LIFE, number)
    used = resident() - before
    print(f"{used / ELEMENTS:.0f} octets per pool element ({ELEMENTS} in {POOLS} pools, timers armed)")


if __name__ == "__main__":
    main()

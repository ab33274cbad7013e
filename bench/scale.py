"""What an element costs by how many there are, from 100 to a million, all timers armed: ``python -m bench.scale``."""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from bench.memory import resident
from rserpool._fast.handlespace import Handlespace, Timer
from rserpool._fast.wheel import Wheel
from tests.support import elements as e

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
FEWEST = 10_000
"""Elements whose memory is worth telling."""
CALLS = 50_000
ROUNDS = 5
OWN, HANDLE = 7, b"Pool"
MINUTE = 60_000_000


class Point(NamedTuple):
    """One size. Octets of resident memory per element; nanoseconds of CPU time per call."""

    elements: int
    octets: float
    megabytes: float
    resolve: float
    renew: float
    acknowledge: float


def messages(numbers: list[int], draw: Random) -> tuple[list[bytes], list[bytes]]:
    """Re-registrations with new loads, and acknowledgements."""
    handle = e.handle_parameter(HANDLE)
    renewals = [e.message(1, handle, e.element(n + 1, e.LU, (draw.getrandbits(31),))) for n in numbers]
    return renewals, [e.message(8, handle, e.identifier_parameter(n + 1)) for n in numbers]


def per_call(space: Handlespace, work: list[tuple[bytes, int]]) -> float:
    answer = space.answer
    began = time.thread_time_ns()
    for message, connection in work:
        answer(message, connection, MINUTE)
    spent = time.thread_time_ns() - began
    space.updated.clear()
    return spent / len(work)


def median(measure: Callable[[], float]) -> float:
    return sorted(measure() for _ in range(ROUNDS))[ROUNDS // 2]


def point(size: int) -> Point:
    """In this process, which should be a fresh one."""
    draw = Random(1)
    gc.collect()
    space = Handlespace(OWN, seed=1, wheel=Wheel(0))
    before = resident()
    for number in range(size):
        octets = e.element(number + 1, e.LU, (draw.getrandbits(31),), asap=e.sctp(9))
        space.register(HANDLE, octets, home=OWN, connection=number + 1)
        space.arm(HANDLE, number + 1, Timer.KEEP_ALIVE, MINUTE + draw.randrange(5_000_000))
        space.arm(HANDLE, number + 1, Timer.LIFE, 10 * MINUTE)
    used = resident() - before

    def work(which: int) -> list[tuple[bytes, int]]:
        numbers = [draw.randrange(size) for _ in range(CALLS)]
        return list(zip(messages(numbers, draw)[which], (n + 1 for n in numbers), strict=True))

    resolution = e.message(5, e.handle_parameter(HANDLE), e.parameter(0x803F, (3).to_bytes(4)))
    return Point(
        elements=size,
        octets=used / size,
        megabytes=used / 1e6,
        resolve=median(lambda: per_call(space, [(resolution, 1)] * CALLS)),
        renew=median(lambda: per_call(space, work(0))),
        acknowledge=median(lambda: per_call(space, work(1))),
    )


def points() -> list[Point]:
    """All sizes, each in a process of its own."""
    found = []
    for size in SIZES:
        command = [sys.executable, "-m", "bench.scale", str(size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(Point(*json.loads(done.stdout)))
    return found


def octets(one: Point) -> str:
    """Of an element, and in all; too few elements are lost in the pages that were there before."""
    return f"{one.octets:.0f} | {one.megabytes:.0f} MB" if one.elements >= FEWEST else " | "


def table(found: list[Point]) -> list[str]:
    """Lines of Markdown."""
    lines = [
        "| elements | octets per element | in all | resolve 3 | re-register | acknowledge |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {p.elements} | {octets(p)} | {p.resolve:.0f} ns | {p.renew:.0f} ns | {p.acknowledge:.0f} ns |"
        for p in found
    ]
    small = next(p for p in found if p.elements == 1_000)
    large = found[-1]
    lines += [
        "",
        f"{large.elements} over {small.elements} elements: resolve {large.resolve / small.resolve:.2f}, re-register "
        f"{large.renew / small.renew:.2f}, acknowledge {large.acknowledge / small.acknowledge:.2f}.",
    ]
    return lines


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(point(int(sys.argv[1]))))
    else:
        print(*table(points()), sep="\n")


if __name__ == "__main__":
    main()

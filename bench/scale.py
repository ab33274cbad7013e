"""Measures the cost per element by number of elements, 100 to a million, all timers armed: ``python -m
bench.scale``."""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from bench.memory import resident
from rserpool._fast.base.bucket import Bucket
from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace, Timer
from rserpool._fast.lane.lane import Lane, LaneContext
from rserpool._fast.lane.registration import AdmissionLimits, Registrant
from tests.support import elements as e

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
FEWEST = 10_000
"""The memory of fewer elements is not reported."""
CALLS = 50_000
ROUNDS = 5
MANY = 32
"""Messages per wake-up in the measurements with many."""
OWN, HANDLE, LINE = 7, b"Pool", 33
MINUTE = 60_000_000
PLENTY = 1e12
LIMITS = AdmissionLimits(
    handle_octets=255, pools=9, elements_per_pool=9, elements_per_association=9, addresses=9, shortest_life=1
)


class Point(NamedTuple):
    """The figures for one number of elements: octets per element, and nanoseconds of CPU time per message, with one or
    MANY messages per wake-up."""

    elements: int
    octets: float
    megabytes: float
    resolve: float
    renew: float
    acknowledge: float
    renew_many: float
    acknowledge_many: float


def messages(numbers: list[int], draw: Random) -> tuple[list[bytes], list[bytes]]:
    """Return re-registrations with new loads, and acknowledgements."""
    handle = e.handle_parameter(HANDLE)
    renewals = [e.message(1, handle, e.element(n + 1, e.LU, (draw.getrandbits(31),))) for n in numbers]
    return renewals, [e.message(8, handle, e.identifier_parameter(n + 1)) for n in numbers]


def lane_of(space: Handlespace) -> Lane:
    """Return the lane of an association without rate limits."""
    registrations, resolutions = (Bucket(PLENTY, PLENTY, 0) for _ in range(2))
    context = LaneContext(space, LIMITS, set(), {})
    return Lane(context, LINE, Registrant(b"", b""), registrations, resolutions, set())


def per_message(lane: Lane, space: Handlespace, messages: list[bytes], at_once: int) -> float:
    """Return the CPU time per message if ``at_once`` messages are received at a time."""
    received = [b"".join(messages[at : at + at_once]) for at in range(0, len(messages), at_once)]
    serve, clear, seconds = lane.serve, space.updated.clear, MINUTE / 1e6
    served = 0
    began = time.thread_time_ns()
    for octets in received:
        served += serve(octets, seconds)[1]
        clear()
    spent = time.thread_time_ns() - began
    assert served == sum(map(len, messages))
    return spent / len(messages)


def median(measure: Callable[[], float]) -> float:
    return sorted(measure() for _ in range(ROUNDS))[ROUNDS // 2]


def point(size: int) -> Point:
    """Measure in this process, which should be a fresh one."""
    draw = Random(1)
    gc.collect()
    space = Handlespace(OWN, seed=1, wheel=Wheel(0))
    before = resident()
    for number in range(size):
        octets = e.element(number + 1, e.LU, (draw.getrandbits(31),), asap=e.sctp(9))
        space.register(HANDLE, octets, home=OWN, connection=LINE)
        space.arm(HANDLE, number + 1, Timer.KEEP_ALIVE, MINUTE + draw.randrange(5_000_000))
        space.arm(HANDLE, number + 1, Timer.LIFE, 10 * MINUTE)
    used = resident() - before

    lane = lane_of(space)
    resolution = e.message(5, e.handle_parameter(HANDLE), e.parameter(0x803F, (3).to_bytes(4)))

    def cost(which: int, together: int) -> float:
        def one_round() -> float:
            numbers = [draw.randrange(size) for _ in range(CALLS)]
            return per_message(lane, space, messages(numbers, draw)[which], together)

        return median(one_round)

    return Point(
        elements=size,
        octets=used / size,
        megabytes=used / 1e6,
        resolve=median(lambda: per_message(lane, space, [resolution] * CALLS, 1)),
        renew=cost(0, 1),
        acknowledge=cost(1, 1),
        renew_many=cost(0, MANY),
        acknowledge_many=cost(1, MANY),
    )


def points() -> list[Point]:
    """Measure all sizes, each in a process of its own."""
    found = []
    for size in SIZES:
        command = [sys.executable, "-m", "bench.scale", str(size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(Point(*json.loads(done.stdout)))
    return found


def octets(one: Point) -> str:
    """Return memory per element and in total. A few elements do not show: they fit into pages that were there
    before."""
    return f"{one.octets:.0f} | {one.megabytes:.0f} MB" if one.elements >= FEWEST else " | "


def table(found: list[Point]) -> list[str]:
    """Return a Markdown table."""
    lines = [
        "| elements | octets per element | in all | resolve 3 | re-register | acknowledge "
        f"| {MANY} at once: re-register | acknowledge |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {p.elements} | {octets(p)} | {p.resolve:.0f} ns | {p.renew:.0f} ns | {p.acknowledge:.0f} ns "
        f"| {p.renew_many:.0f} ns | {p.acknowledge_many:.0f} ns |"
        for p in found
    ]
    small = next(p for p in found if p.elements == 1_000)
    large = found[-1]
    ratios = [large[i] / small[i] for i in range(Point._fields.index("resolve"), len(Point._fields))]
    return [
        *lines,
        "",
        f"{large.elements} over {small.elements} elements: " + ", ".join(f"{ratio:.2f}" for ratio in ratios) + ".",
    ]


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(point(int(sys.argv[1]))))
    else:
        print(*table(points()), sep="\n")


if __name__ == "__main__":
    main()

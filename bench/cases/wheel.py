"""The timer wheel with 100 000 armed timers."""

import random
from functools import partial

from bench.cases import Case, Subject
from rserpool._fast.base.wheel import Entry, Wheel

ARMED = 100_000
SPREAD = 5_000_000
"""Microseconds over which the deadlines lie."""


class Armed(Subject):
    def __init__(self) -> None:
        self.draw = random.Random(1)
        self.wheel = Wheel(0)
        self.entries: list[Entry] = []
        for _ in range(ARMED):
            self.wheel.insert(1 + self.draw.randrange(SPREAD), None)

    def arm(self, calls: int) -> None:
        insert, deadlines = self.wheel.insert, self.deadlines[:calls]
        self.entries = [insert(deadline, None) for deadline in deadlines]

    def disarm(self) -> None:
        cancel = self.wheel.cancel
        for entry in self.entries:
            cancel(entry)

    @property
    def deadlines(self) -> list[int]:
        return [self.wheel.now + 1 + (number * 7919) % SPREAD for number in range(1000)]


class Insert(Armed):
    def run(self, calls: int) -> None:
        self.arm(calls)

    def clean(self, calls: int) -> None:
        self.disarm()
        self.entries.clear()


class Cancel(Insert):
    def prepare(self, calls: int) -> None:
        self.arm(calls)

    def run(self, calls: int) -> None:
        self.disarm()

    def clean(self, calls: int) -> None:
        self.entries.clear()


class Expire(Armed):
    """Advance to the next expiry in each call, and arm each expired timer again."""

    fired = 0

    def run(self, calls: int) -> None:
        wheel = self.wheel
        for _ in range(calls):
            self.fired += len(wheel.expire(wheel.next_expiry() or 0))

    def clean(self, calls: int) -> None:
        for _ in range(self.fired):
            self.wheel.insert(self.wheel.now + 1 + self.draw.randrange(SPREAD), None)
        self.fired = 0


CASES = [
    Case(name=f"wheel: {name}, {ARMED}", make=partial(make))
    for name, make in {"insert": Insert, "cancel": Cancel, "expire": Expire}.items()
]

"""Compares CPU time per call with rsplib's: ``python -m bench.ratios``.

rsplib was measured on another machine. Its figures are scaled by two yardsticks, operations of third-party libraries
that were measured on both machines. Yardsticks and cases alternate, round by round, so that other load affects all of
them; the figures are medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from random import Random
from typing import NamedTuple

import uvloop
from sortedcontainers import SortedKeyList

from bench.cases import Subject, codec, handlespace, registrar

ROUNDS = 7
REPEATED = 2
NODES = 100_000
SORTED_THERE, TIMER_THERE = 5304.5, 1717.7
"""Nanoseconds of the yardsticks on the machine where rsplib was measured."""


class Row(NamedTuple):
    """One comparison.

    Its target in report.TARGETS, if any; our case; rsplib's nanoseconds for the same work; and the calls per run. With
    many elements, a run must visit so many of them that they do not all fit into the caches.
    """

    target: int | None
    what: str
    make: Callable[[], Subject]
    there: float
    calls: int = 5_000


def lane(messages: str, held: int, calls: int = 5_000) -> Callable[[], Subject]:
    return partial(registrar.Lane, messages, held, calls)


MANY = 50_000
LU = "least-used"
REGISTRATION, ANSWER, TABLE = 121, 136, 2701
"""rsplib's nanoseconds for parsing a registration, and for encoding the other two."""
ROWS = (
    Row(1, f"register, 10 000 {LU} elements", partial(handlespace.Register, "LU", 10_000, 5_000), 1040),
    Row(1, "re-register", partial(handlespace.Reregister, "LU", 10_000, 5_000), 884),
    Row(1, "deregister", partial(handlespace.Deregister, "LU", 10_000, 5_000), 570),
    Row(1, f"register, 100 000 {LU} elements", partial(handlespace.Register, "LU", 100_000, MANY), 2807, MANY),
    Row(1, "re-register", partial(handlespace.Reregister, "LU", 100_000, MANY), 3008, MANY),
    Row(1, "deregister", partial(handlespace.Deregister, "LU", 100_000, MANY), 2069, MANY),
    Row(2, "keep-alive acknowledged, 100 000 timers armed", lane("acknowledgement", 100_000, MANY), 1358, MANY),
    Row(3, f"resolve 3 of 10 000, {LU}", partial(handlespace.Resolve, 3, "LU", 10_000), 101),
    Row(3, "resolve 3 of 10 000, round robin", partial(handlespace.Resolve, 3, "RR", 10_000), 199),
    Row(3, "resolve 3 of 10 000, random", partial(handlespace.Resolve, 3, "RAND", 10_000), 1086),
    Row(3, "resolve 3 of 10 000, weighted random", partial(handlespace.Resolve, 3, "WRAND", 10_000), 1064),
    Row(
        4,
        "fast lane: registration parsed, every length and value checked",
        lane("registration of another policy", 10_000),
        REGISTRATION,
    ),
    Row(4, "fast lane: answer of 3, chosen among 3", partial(handlespace.Resolve, 3, "LU", 3), ANSWER),
    Row(4, "fast lane: table of 50", partial(handlespace.Table, "LU", 10_000), TABLE, 500),
    Row(5, "octets to octets: resolution of 3", lane("resolution of 3", 10_000), 292),
    Row(5, "octets to octets: registration", lane("registration", 10_000), 1481),
    Row(5, "octets to octets: re-registration", lane("re-registration", 10_000), 1140),
    Row(
        None,
        "readable records: registration decoded",
        partial(codec.Decode, codec.MESSAGES["registration"]),
        REGISTRATION,
    ),
    Row(None, "readable records: answer of 3 encoded", partial(codec.Encode, codec.MESSAGES["answer with 3"]), ANSWER),
    Row(
        None,
        "readable records: table of 50 encoded",
        partial(codec.Encode, codec.MESSAGES["table with 50"]),
        TABLE,
        500,
    ),
)
NOTE = (
    "A resolution of 3 includes the encoding of its answer; rsplib's figure is for the selection only. A registrar "
    "serves every ordinary message by the fast lane. The registration for it is valid except for the pool's policy, "
    "which is checked last, so that nothing is stored. The readable records are `rserpool.messages`, for programs, "
    "logs and unusual messages; each is a Python object that contains others."
)


def per_call(run: Callable[[int], None], calls: int) -> float:
    """Return nanoseconds of CPU time per call."""
    began = time.thread_time_ns()
    run(calls)
    return (time.thread_time_ns() - began) / calls


class SortedUpdate:
    """Remove from and add to a SortedKeyList of 100 000."""

    def __init__(self) -> None:
        self.draw = Random(1)
        self.nodes = [[self.draw.getrandbits(32), number] for number in range(NODES)]
        self.list = SortedKeyList(self.nodes, key=lambda node: (node[0], node[1]))

    def __call__(self, calls: int) -> None:
        for node in self.draw.choices(self.nodes, k=calls):
            self.list.remove(node)
            node[0] = self.draw.getrandbits(32)
            self.list.add(node)


class TimerRestart:
    """Cancel and restart one of 100 000 uvloop timers."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.draw = Random(1)
        self.handles = [self.loop.call_later(1000 + self.draw.random() * 100, self.never) for _ in range(NODES)]

    def never(self) -> None: ...

    def __call__(self, calls: int) -> None:
        for number in self.draw.choices(range(NODES), k=calls):
            self.handles[number].cancel()
            self.handles[number] = self.loop.call_later(1000 + self.draw.random() * 100, self.never)

    def close(self) -> None:
        for handle in self.handles:
            handle.cancel()
        self.loop.close()


class Measured:
    """One row and the results of its rounds."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.subject = row.make()
        self.rounds: list[float] = []

    def round(self) -> None:
        """Measure one round. Its first run is discarded, because the other rows have filled the caches with other
        data."""
        taken = []
        for _ in range(1 + REPEATED):
            self.subject.prepare(self.row.calls)
            taken.append(per_call(self.subject.run, self.row.calls))
            self.subject.clean(self.row.calls)
        self.rounds.append(statistics.mean(taken[1:]))


def measure() -> tuple[float, list[float]]:
    """Return (the factor by which this machine is slower than the other, nanoseconds by row)."""
    measured = [Measured(row) for row in ROWS]
    sorted_update, timer_restart = SortedUpdate(), TimerRestart()
    yardsticks: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        sorted_update(5_000)
        first = per_call(sorted_update, 20_000) / SORTED_THERE
        timer_restart(5_000)
        yardsticks.append((first, per_call(timer_restart, 20_000) / TIMER_THERE))
        for one in measured:
            one.round()
    timer_restart.close()
    first, second = (statistics.median(column) for column in zip(*yardsticks, strict=True))
    return (first * second) ** 0.5, [statistics.median(one.rounds) for one in measured]


def lines() -> tuple[list[str], dict[int, str]]:
    """Return a Markdown table, and the ratios for the targets."""
    slower, figures = measure()
    table = [
        f"By the yardsticks, this machine takes {slower:.2f} times as long as the one on which rsplib was measured.",
        "",
        "| target | | here | rsplib there | scaled | ratio |",
        "|---|---|---|---|---|---|",
    ]
    ratios: dict[int, list[str]] = {}
    for row, figure in zip(ROWS, figures, strict=True):
        there = row.there * slower
        ratio = f"{figure / there:.2f}"
        table.append(
            f"| {row.target or ''} | {row.what} | {figure:.0f} ns | {row.there:.0f} ns | {there:.0f} ns | {ratio} |"
        )
        if row.target is not None:
            ratios.setdefault(row.target, []).append(ratio)
    return [*table, "", NOTE], {target: ", ".join(found) for target, found in ratios.items()}


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(*lines()[0], sep="\n")


if __name__ == "__main__":
    main()

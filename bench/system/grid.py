"""Loads one registrar with many elements that re-register and many users that resolve: ``python -m bench.system.grid``.

The load is that of rsplib's authors: 3 000 elements with 4 re-registrations per second each, on an SCTP association
each (usrsctp in the registrar), and 2 000 users with 10 resolutions per second each, on a TCP connection each. The
registrar has one processor to itself and the load generator the other. The generator is compiled, and keeps its pace
regardless of the registrar. A latency starts at the time at which the request was scheduled, so it includes the
generator's delay.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyximport

from bench.system.populate import registration
from bench.system.processors import LOAD, SERVER, on, pin
from bench.system.servers import connections, echo, processor_seconds, registrar, run_delay
from rserpool.messages import HandleResolution
from tests.support.ports import free_port

pyximport.install(language_level=3, build_dir="build/pyximport", inplace=False)
from bench.system.elements import Elements  # noqa: E402
from bench.system.load import Generator  # noqa: E402

HANDLE = b"ComputePool"
ELEMENTS, RENEWALS = 3_000, 4
USERS, RESOLUTIONS = 2_000, 10
SECONDS = 10.0
TIMES: tuple[float, ...] = (1.0, 2.0, 3.0, 5.0)
"""Multiples of the load."""
REQUEST = HandleResolution(pool_handle=HANDLE, items=3).encode()


class Measured(NamedTuple):
    """The result for one multiple of the load: the share of a processor that the registrar used, the share that other
    processes took while it was ready to run, and the results of both sides (Elements.result, Generator.result)."""

    times: float
    busy: float
    run_delay: float
    elements: dict[str, float]
    users: dict[str, float]

    @property
    def unanswered(self) -> int:
        return int(sum(side["sent"] - side["answers"] for side in (self.elements, self.users)))

    @property
    def unsent(self) -> int:
        """Messages that the generator did not send in time."""
        return int(sum(side["due"] - side["sent"] for side in (self.elements, self.users)))


def elements(port: int, count: int, each: int = 1) -> Elements:
    """Open ``count`` associations with ``each`` elements on each."""
    known = registration(HANDLE, 0, 0)

    def place(other: bytes) -> int:
        return [a != b for a, b in zip(known, other, strict=True)].index(True)

    last = 0xFFFFFFFF
    places = place(registration(HANDLE, last, 0)), place(registration(HANDLE, 0, last))
    return Elements(port, known, *places, count, each)


def load(port: int, times: float) -> None:
    """Run both sides in this process, which never sleeps: waking it would add to the registrar's work."""
    callers = elements(port, ELEMENTS)
    callers.register()
    users = Generator(connections(port, USERS), [[REQUEST]] * USERS, True)
    users.run(1.0)  # until the registrar has accepted all of them
    print("ready", flush=True)
    sys.stdin.readline()
    callers.start(ELEMENTS * RENEWALS * times, SECONDS)
    users.start(USERS * RESOLUTIONS * times, SECONDS)
    sides = [callers.step, users.step]
    while sides:
        sides = [step for step in sides if step()]
        if SERVER == LOAD:
            os.sched_yield()
    print(json.dumps([callers.result(), users.result()]), flush=True)
    callers.close()


@contextmanager
def generator(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a load generator and wait until it prints "ready"."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            pin(process.pid, LOAD)
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("the load generator has ended")
            yield process
        finally:
            process.kill()


def run_order(process: subprocess.Popen[str], order: str, registrar: int) -> tuple[float, float, Any]:
    """Give the load generator an order, and measure the registrar while it runs.

    ``registrar`` is a process identifier. Returns the share of a processor that the registrar used, the share that
    other processes took while it was ready to run, and the generator's result.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    spent, waited, began = processor_seconds(registrar), run_delay(registrar), time.monotonic()
    print(order, file=process.stdin, flush=True)
    time.sleep(SECONDS)
    spent, waited = processor_seconds(registrar) - spent, run_delay(registrar) - waited
    passed = time.monotonic() - began
    return spent / passed, waited / passed, json.loads(process.stdout.readline())


def measure(times: float = 1.0) -> Measured:
    """Measure at ``times`` times the authors' load."""
    port = free_port()
    command = [sys.executable, "-m", "bench.system.grid", "load", str(port), str(times)]
    with registrar(port, "--limit-associations=20000") as process:
        pin(process.pid, SERVER)
        with generator(command) as load_generator:
            busy, waited, sides = run_order(load_generator, "go", process.pid)
        return Measured(times, busy, waited, *sides)


def echo_share() -> float:
    """Return the share of a processor that uvloop's echo uses for the users alone, at the same pace."""
    port = free_port()
    with echo("tcp", port) as process:
        pin(process.pid, SERVER)
        users = Generator(connections(port, USERS), [[REQUEST]] * USERS, True)
        with on(LOAD):
            spent, began = processor_seconds(process.pid), time.monotonic()
            users.start(USERS * RESOLUTIONS, SECONDS)
            while users.step():
                if SERVER == LOAD:
                    os.sched_yield()
            return (processor_seconds(process.pid) - spent) / (time.monotonic() - began)


def cells(one: Measured) -> list[str]:
    def side(found: dict[str, float]) -> list[str]:
        return [
            f"{found['answers'] / SECONDS:.0f}/s",
            f"{found['p50'] * 1e3:.2f} / {found['p99'] * 1e3:.2f} ms",
            f"{found['late'] * 1e3:.2f} ms",
        ]

    lost = f"{one.unanswered}" + (f" and {one.unsent} not sent in time" if one.unsent else "")
    return [
        f"{one.times:g}",
        f"{100 * one.busy:.0f} %",
        f"{100 * one.run_delay:.0f} %",
        lost,
        *side(one.elements),
        *side(one.users),
    ]


def lines() -> tuple[list[str], dict[int, str]]:
    """Return a Markdown table, and the figures for the targets."""
    table = [
        "| times the load | registrar: share of a core | share taken by others | unanswered | "
        "re-registrations | p50 / p99 | sent late, p99 | resolutions | p50 / p99 | sent late, p99 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    yardstick = echo_share()
    words = []
    for times in TIMES:
        one = measure(times)
        table.append(f"| {' | '.join(cells(one))} |")
        lost = "no loss" if not one.unanswered + one.unsent else f"{one.unanswered + one.unsent} unanswered or unsent"
        words.append(f"{times:g} times: {lost}, {100 * one.busy:.0f} %")
    table += [
        "",
        f"For the users of the single load alone, uvloop's echo uses {100 * yardstick:.0f} % of a core: at this pace a "
        "server sleeps and is woken for nearly every request. Under higher load it does not sleep, and a request costs "
        "less.",
    ]
    if SERVER == LOAD:
        table += ["", "The machine has one processor: registrar and generator share it."]
    words.append(f"an echo for the users alone {100 * yardstick:.0f} %")
    return table, {9: "; ".join(words)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        load(int(sys.argv[2]), float(sys.argv[3]))
    else:
        TIMES = tuple(map(float, sys.argv[1:])) or TIMES
        print(*lines()[0], sep="\n")

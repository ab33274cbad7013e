"""Many elements that re-register and many users that ask, at once, at one registrar: ``python -m bench.system.grid``.

The load of rsplib's authors: 3 000 elements with 4 re-registrations a second each, over an SCTP association each
(usrsctp in the registrar), and 2 000 users with 10 resolutions a second each, over a TCP connection each. The registrar
has one processor for itself, the load generator the other; it is compiled and keeps its pace, whatever the registrar
does. Latencies count from when a request was due, so that they contain what the generator is late.
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
from bench.system.servers import connections, echo, kept_waiting, processor_seconds, registrar
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
    """One multiple: the registrar's part of a processor, that for which others took it, and what each side says, see
    Elements.result and Generator.result."""

    times: float
    busy: float
    kept_waiting: float
    elements: dict[str, float]
    users: dict[str, float]

    @property
    def unanswered(self) -> int:
        return int(sum(side["sent"] - side["answers"] for side in (self.elements, self.users)))

    @property
    def unsent(self) -> int:
        """What the generator did not get rid of in time."""
        return int(sum(side["due"] - side["sent"] for side in (self.elements, self.users)))


def elements(port: int, count: int, each: int = 1) -> Elements:
    """So many associations, and elements of each."""
    known = registration(HANDLE, 0, 0)

    def place(other: bytes) -> int:
        return [a != b for a, b in zip(known, other, strict=True)].index(True)

    last = 0xFFFFFFFF
    places = place(registration(HANDLE, last, 0)), place(registration(HANDLE, 0, last))
    return Elements(port, known, *places, count, each)


def load(port: int, times: float) -> None:
    """Both sides, in a process of its own that never sleeps: to wake it would be the registrar's work."""
    callers = elements(port, ELEMENTS)
    callers.register()
    users = Generator(connections(port, USERS), [[REQUEST]] * USERS, True)
    users.run(1.0)  # until all of them are accepted
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
    """A load generator, once it says "ready"."""
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


def turn(process: subprocess.Popen[str], order: str, registrar: int) -> tuple[float, float, Any]:
    """What part of a processor the registrar of that process identifier takes while the load generator follows an
    order, for what part others took it, and what the generator says at the end."""
    assert process.stdin is not None
    assert process.stdout is not None
    spent, waited, began = processor_seconds(registrar), kept_waiting(registrar), time.monotonic()
    print(order, file=process.stdin, flush=True)
    time.sleep(SECONDS)
    spent, waited = processor_seconds(registrar) - spent, kept_waiting(registrar) - waited
    passed = time.monotonic() - began
    return spent / passed, waited / passed, json.loads(process.stdout.readline())


def measure(times: float = 1.0) -> Measured:
    """So many times the authors' load."""
    port = free_port()
    command = [sys.executable, "-m", "bench.system.grid", "load", str(port), str(times)]
    with registrar(port, "--limit-associations=20000") as process:
        pin(process.pid, SERVER)
        with generator(command) as load_generator:
            busy, waited, sides = turn(load_generator, "go", process.pid)
        return Measured(times, busy, waited, *sides)


def echoed() -> float:
    """What uvloop's echo takes of a processor for the users alone, at the same pace."""
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
        f"{100 * one.kept_waiting:.0f} %",
        lost,
        *side(one.elements),
        *side(one.users),
    ]


def lines() -> tuple[list[str], dict[int, str]]:
    """A table in Markdown, and the figures for the targets."""
    table = [
        "| times the load | registrar: of a core | kept from it by others | unanswered | "
        "re-registrations | p50 / p99 | sent late, p99 | resolutions | p50 / p99 | sent late, p99 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    yardstick = echoed()
    words = []
    for times in TIMES:
        one = measure(times)
        table.append(f"| {' | '.join(cells(one))} |")
        lost = "no loss" if not one.unanswered + one.unsent else f"{one.unanswered + one.unsent} unanswered or unsent"
        words.append(f"{times:g} times: {lost}, {100 * one.busy:.0f} %")
    table += [
        "",
        f"For the users of the single load alone uvloop's echo takes {100 * yardstick:.0f} % of a core: at this pace a "
        "server sleeps and is woken for nearly every request. Under more load it does not, and a request costs less.",
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

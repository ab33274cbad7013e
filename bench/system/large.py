"""What a re-registration costs a registrar end to end among a million elements, and among a thousand:
``python -m bench.system.large``.

The elements are registered over 1 000 SCTP associations (usrsctp in the registrar), one or 1 000 over each, and then
re-register at a pace, in no order and with ever new loads. The registrar has one processor for itself.
"""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from bench.system.grid import SECONDS, elements, generator, turn
from bench.system.processors import LOAD, SERVER, pin
from bench.system.servers import registrar
from tests.support.ports import free_port

ASSOCIATIONS = 1_000
EACH = 1, 1_000
"""Elements over an association."""
RATES = 4_000, 16_000, 32_000
"""Re-registrations a second."""
PATIENCE = 180.0
"""Seconds until all are registered."""


class Measured(NamedTuple):
    """The registrar's processor time for a re-registration, in microseconds; those that were not answered or not sent;
    their latency, in seconds."""

    cost: float
    lost: int
    p50: float
    p99: float


def load(port: int, each: int) -> None:
    """In a process of its own: for each rate that comes as a line, re-registrations, and what they had."""
    callers = elements(port, ASSOCIATIONS, each)
    callers.register(PATIENCE)
    print("ready", flush=True)
    for line in sys.stdin:
        callers.start(float(line), SECONDS)
        while callers.step():
            if SERVER == LOAD:
                os.sched_yield()
        print(json.dumps(callers.result()), flush=True)


def megabytes(pid: int) -> float:
    """Of a process's memory."""
    status = Path(f"/proc/{pid}/status").read_text().split()
    return int(status[status.index("VmRSS:") + 1]) * 1024 / 1e6


def measure(each: int) -> tuple[list[Measured], float]:
    """At all rates, and the registrar's megabytes."""
    port = free_port()
    command = [sys.executable, "-m", "bench.system.large", "load", str(port), str(each)]
    found = []
    with registrar(port) as process:
        pin(process.pid, SERVER)
        with generator(command) as callers:
            for rate in (RATES[0], *RATES):  # the first does not count: much comes for the first time
                busy, _, said = turn(callers, str(rate), process.pid)
                cost = busy * SECONDS / max(1, said["answers"]) * 1e6
                found.append(Measured(cost, int(said["due"] - said["answers"]), said["p50"], said["p99"]))
            return found[1:], megabytes(process.pid)


def cells(one: Measured) -> str:
    return f"{one.cost:.1f} us | {one.lost} | {one.p50 * 1e3:.2f} / {one.p99 * 1e3:.2f} ms"


def lines() -> tuple[list[str], dict[int, str]]:
    """A table in Markdown, and the figures for the targets."""
    (few, small), (many, large) = map(measure, EACH)
    sizes = [each * ASSOCIATIONS for each in EACH]
    table = [
        f"| re-registrations a second | {sizes[0]} elements: processor time each | unanswered | p50 / p99 "
        f"| {sizes[1]} elements: processor time each | unanswered | p50 / p99 | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ratios = [b.cost / a.cost for a, b in zip(few, many, strict=True)]
    for rate, a, b, ratio in zip(RATES, few, many, ratios, strict=True):
        table.append(f"| {rate} | {cells(a)} | {cells(b)} | {ratio:.2f} |")
    table += ["", f"The registrar's memory: {small:.0f} and {large:.0f} MB."]
    return table, {11: f"end to end over usrsctp: re-register {min(ratios):.1f} to {max(ratios):.1f}"}


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        load(int(sys.argv[2]), int(sys.argv[3]))
    else:
        print(*lines()[0], sep="\n")

"""Compares the cost of a re-registration among a million elements and among a thousand, end to end: ``python -m
bench.system.large``.

The elements are registered on 1 000 SCTP associations (usrsctp in the registrar), 1 or 1 000 on each. They re-register
at a fixed pace, in random order, each time with a new load. The registrar has one processor to itself.
"""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from bench.system.grid import SECONDS, elements, generator, run_order
from bench.system.processors import LOAD, SERVER, pin
from bench.system.servers import registrar
from tests.support.ports import free_port

ASSOCIATIONS = 1_000
EACH = 1, 1_000
"""Elements per association, for the two sizes."""
RATES = 4_000, 16_000, 32_000
"""Re-registrations per second."""
PATIENCE = 180.0
"""Time limit for registering all elements, in seconds."""


class Measured(NamedTuple):
    """The registrar's processor time per re-registration in microseconds; the number of re-registrations that were not
    sent or not answered; the latencies in seconds."""

    cost: float
    lost: int
    p50: float
    p99: float


def load(port: int, each: int) -> None:
    """Run the elements in this process. Read one rate per line, re-register at that rate, and print the result."""
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
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text().split()
    return int(status[status.index("VmRSS:") + 1]) * 1024 / 1e6


def measure(each: int) -> tuple[list[Measured], float]:
    """Measure at all rates; also return the registrar's memory in megabytes."""
    port = free_port()
    command = [sys.executable, "-m", "bench.system.large", "load", str(port), str(each)]
    found = []
    with registrar(port) as process:
        pin(process.pid, SERVER)
        with generator(command) as callers:
            for rate in (RATES[0], *RATES):  # the first is discarded: it warms up caches
                busy, _, said = run_order(callers, str(rate), process.pid)
                cost = busy * SECONDS / max(1, said["answers"]) * 1e6
                found.append(Measured(cost, int(said["due"] - said["answers"]), said["p50"], said["p99"]))
            return found[1:], megabytes(process.pid)


def cells(one: Measured) -> str:
    return f"{one.cost:.1f} us | {one.lost} | {one.p50 * 1e3:.2f} / {one.p99 * 1e3:.2f} ms"


def lines() -> tuple[list[str], dict[int, str]]:
    """Return a Markdown table, and the figures for the targets."""
    (few, small), (many, large) = map(measure, EACH)
    sizes = [each * ASSOCIATIONS for each in EACH]
    table = [
        f"| re-registrations per second | {sizes[0]} elements: processor time each | unanswered | p50 / p99 "
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

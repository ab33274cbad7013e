"""Measures requests per second of processor time over TCP, compared with uvloop's echo: ``python -m
bench.system.requests``.

Many clients load a server from another processor. A single client shares the server's processor, so that its latencies
are those of the code, without the wake-up of another processor.
"""

import asyncio
import statistics
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyximport

from bench.system.populate import Populator
from bench.system.processors import LOAD, SERVER, on, pin
from bench.system.servers import connections, echo, processor_seconds, registrar
from rserpool.messages import HandleResolution, HandleResolutionResponse, decode
from tests.support.ports import free_port

pyximport.install(language_level=3, build_dir="build/pyximport", inplace=False)
from bench.system.load import Generator  # noqa: E402

HANDLE = b"ComputePool"
ELEMENTS = 10_000
REQUEST = HandleResolution(pool_handle=HANDLE, items=3).encode()


class RegisteredElements:
    """Pool elements in a registrar, kept registered by a loop in a thread of its own."""

    def __init__(self, port: int, count: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._populator = self._do(self._populate(port, count))

    async def _populate(self, port: int, count: int) -> Populator:
        populator = Populator()
        await populator.open(port)
        await populator.register(HANDLE, count)
        return populator

    def _do(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(120)

    def close(self) -> None:
        self._do(self._populator.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def check(port: int) -> None:
    """Send one request and check the answer."""
    (sock,) = connections(port, 1)
    sock.sendall(REQUEST)
    answer = decode(sock.recv(65536), "asap")
    assert isinstance(answer, HandleResolutionResponse), answer
    assert len(answer.pool_elements) == 3, answer
    sock.close()


class Subject(NamedTuple):
    """A server under load, and its TCP port."""

    process: subprocess.Popen[str]
    port: int


@contextmanager
def populated(*options: str) -> Iterator[Subject]:
    """Start a registrar with ELEMENTS pool elements, and check one of its answers."""
    port = free_port()
    with registrar(port, *options) as process:
        held = RegisteredElements(port, ELEMENTS)
        check(port)
        yield Subject(process, port)
        held.close()


def alternate(
    servers: dict[str, Subject], clients: int, outstanding: int, rounds: int, seconds: float
) -> dict[str, list[dict[str, float]]]:
    """Load the servers in alternating rounds."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
    generators = {
        name: Generator(connections(server.port, clients), [[REQUEST]] * clients, True)
        for name, server in servers.items()
    }
    for server in servers.values():
        pin(server.process.pid, SERVER)
    with on(SERVER if clients == 1 else LOAD):
        for generator in generators.values():
            generator.run(0.3, outstanding)
        for _ in range(rounds):
            for name, server in servers.items():
                before = processor_seconds(server.process.pid)
                result = generators[name].run(seconds, outstanding)
                result["cpu"] = processor_seconds(server.process.pid) - before
                found[name].append(result)
    return found


def measure(clients: int, outstanding: int, rounds: int, seconds: float) -> dict[str, list[dict[str, float]]]:
    """Measure an echo server and a registrar in alternating rounds."""
    port = free_port()
    with echo("tcp", port) as process, populated() as subject:
        servers = {"echo": Subject(process, port), "registrar": subject}
        return alternate(servers, clients, outstanding, rounds, seconds)


class Medians(NamedTuple):
    """Medians of one server's rounds: answers per second of processor time; latencies in microseconds."""

    rate: float
    p50: float
    p99: float


def medians(rounds: list[dict[str, float]]) -> Medians:
    return Medians(
        statistics.median(one["answers"] / one["cpu"] for one in rounds),
        *(statistics.median(one[which] for one in rounds) * 1e6 for which in ("p50", "p99")),
    )


def lines() -> tuple[list[str], dict[int, str]]:
    """Return a Markdown table, and the figures for the targets."""
    table = [
        "| clients x outstanding requests | echo | registrar | ratio | p50 of echo / registrar | p99 |",
        "|---|---|---|---|---|---|",
    ]
    figures: dict[int, str] = {}
    for clients, outstanding in ((1, 1), (50, 1), (50, 8)):
        found = measure(clients, outstanding, 5, 1.0)
        echoed, served = medians(found["echo"]), medians(found["registrar"])
        ratio = f"{served.rate / echoed.rate:.2f}"
        table.append(
            f"| {clients} x {outstanding} | {echoed.rate:.0f}/s | {served.rate:.0f}/s | {ratio} | "
            f"{echoed.p50:.0f} / {served.p50:.0f} us | {echoed.p99:.0f} / {served.p99:.0f} us |"
        )
        if clients == 1:
            figures[13] = f"{served.p50:.0f}, {served.p99:.0f} us (echo: {echoed.p50:.0f}, {echoed.p99:.0f})"
        elif outstanding == 1:
            figures[6] = ratio
    return table, figures


if __name__ == "__main__":
    print(*lines()[0], sep="\n")

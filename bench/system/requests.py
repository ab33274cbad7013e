"""Requests a second of processor time over TCP, beside uvloop's echo: ``python -m bench.system.requests``."""

import asyncio
import statistics
import threading
from typing import Any

import pyximport

from bench.system.populate import Populator
from bench.system.servers import connections, echo, free_port, processor_seconds, registrar
from rserpool.messages import HandleResolution, HandleResolutionResponse, decode

pyximport.install(language_level=3, build_dir="build/pyximport", inplace=False)
from bench.system.load import Generator  # noqa: E402

HANDLE = b"ComputePool"
ELEMENTS = 10_000
REQUEST = HandleResolution(pool_handle=HANDLE, items=3).encode()


class Held:
    """A registrar's population, kept by a loop in a thread of its own."""

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
    """One answer is what it should be."""
    (sock,) = connections(port, 1)
    sock.sendall(REQUEST)
    answer = decode(sock.recv(65536), "asap")
    assert isinstance(answer, HandleResolutionResponse), answer
    assert len(answer.pool_elements) == 3, answer
    sock.close()


def measure(clients: int, outstanding: int, rounds: int, seconds: float) -> dict[str, list[dict[str, float]]]:
    """Rounds of both servers in turn."""
    found: dict[str, list[dict[str, float]]] = {"echo": [], "registrar": []}
    ports = {"echo": free_port(), "registrar": free_port()}
    with echo("tcp", ports["echo"]) as first, registrar(ports["registrar"]) as second:
        held = Held(ports["registrar"], ELEMENTS)
        check(ports["registrar"])
        servers = {"echo": first, "registrar": second}
        generators = {
            name: Generator(connections(ports[name], clients), [[REQUEST]] * clients, True) for name in servers
        }
        for name in servers:
            generators[name].run(0.3, outstanding)
        for _ in range(rounds):
            for name, process in servers.items():
                before = processor_seconds(process.pid)
                result = generators[name].run(seconds, outstanding)
                result["cpu"] = processor_seconds(process.pid) - before
                found[name].append(result)
        held.close()
    return found


def lines() -> list[str]:
    """A table in Markdown."""
    table = [
        "| clients x requests on their way | echo | registrar | ratio | p50 of echo / registrar | p99 |",
        "|---|---|---|---|---|---|",
    ]
    for clients, outstanding in ((1, 1), (50, 1), (50, 8)):
        found = measure(clients, outstanding, 5, 1.0)
        rates = {name: statistics.median(one["answers"] / one["cpu"] for one in rows) for name, rows in found.items()}
        p50 = {name: statistics.median(one["p50"] for one in rows) * 1e6 for name, rows in found.items()}
        p99 = {name: statistics.median(one["p99"] for one in rows) * 1e6 for name, rows in found.items()}
        table.append(
            f"| {clients} x {outstanding} | {rates['echo']:.0f}/s | {rates['registrar']:.0f}/s | "
            f"{rates['registrar'] / rates['echo']:.2f} | {p50['echo']:.0f} / {p50['registrar']:.0f} us | "
            f"{p99['echo']:.0f} / {p99['registrar']:.0f} us |"
        )
    return table


if __name__ == "__main__":
    print(*lines(), sep="\n")

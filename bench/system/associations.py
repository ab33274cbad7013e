"""Measures requests per second of processor time over many usrsctp associations, and compares with an echo server over
usrsctp: ``python -m bench.system.associations``.

The clients run in a process of their own, whose processor time is not counted.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import replace

import uvloop

from bench.system.populate import Populator
from bench.system.servers import HOST, echo, processor_seconds, registrar
from rserpool.messages import HandleResolution
from rserpool.protocol.peer import Peer
from rserpool.transport.interface import Down, Endpoint, Tuning
from rserpool.transport.sctp.usrsctp import UsrsctpTransport
from tests.support.ports import free_port

HANDLE = b"ComputePool"
ELEMENTS = 1_000
ASSOCIATIONS = 1, 1_000
ROUNDS, SECONDS = 5, 1.5
ASAP = 11


class Clients:
    """``count`` endpoints with one association to the server each. Each sends its next request when an answer
    arrives."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.up = 0
        self.answers = 0
        self.lost = 0
        self.asking = False
        self.asked: dict[Endpoint, float] = {}
        self.delays: list[float] = []
        self.places: list[tuple[Endpoint, int]] = []
        self.transport = UsrsctpTransport(replace(Tuning(), rto_min=0.5, rto_initial=1.0, rto_max=3.0))

    async def open(self, port: int, count: int) -> None:
        for _ in range(count):
            endpoint = await self.transport.endpoint(self, addresses=[HOST], listen=False)
            self.places.append((endpoint, endpoint.connect([HOST], port)))
        async with asyncio.timeout(60):
            while self.up < count:
                await asyncio.sleep(0.01)

    async def run(self, seconds: float) -> dict[str, float]:
        self.answers, self.asking, self.delays = 0, True, []
        for endpoint, assoc in self.places:
            self.ask(endpoint, assoc)
        await asyncio.sleep(seconds)
        self.asking = False
        percentiles = statistics.quantiles(self.delays, n=100)
        found = {"answers": self.answers, "p50": percentiles[49], "p99": percentiles[98], "lost": self.lost}
        await asyncio.sleep(0.3)
        return found

    def ask(self, endpoint: Endpoint, assoc: int) -> None:
        self.asked[endpoint] = time.perf_counter()
        endpoint.send(assoc, self.request, ASAP)

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        self.up += 1

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None: ...

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        self.lost += 1

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        self.answers += 1
        self.delays.append(time.perf_counter() - self.asked[endpoint])
        if self.asking:
            self.ask(endpoint, assoc)


async def clients() -> None:
    """Read lines "run" and answer each with the result of a run."""
    port, count = int(sys.argv[2]), int(sys.argv[3])
    made = Clients(HandleResolution(pool_handle=HANDLE, items=3).encode())
    await made.open(port, count)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await made.run(SECONDS)), flush=True)
    await made.transport.stop()


class Driver:
    """The process of the clients."""

    def __init__(self, port: int, count: int) -> None:
        command = [sys.executable, "-m", "bench.system.associations", "clients", str(port), str(count)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer("ready")

    def answer(self, wanted: str = "{") -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(wanted), line
        return line

    def run(self) -> dict[str, float]:
        assert self.process.stdin is not None
        print("run", file=self.process.stdin, flush=True)
        result: dict[str, float] = json.loads(self.answer())
        return result

    def close(self) -> None:
        self.process.communicate("", 30)


async def populated(port: int) -> Populator:
    populator = Populator()
    await populator.open(port)
    await populator.register(HANDLE, ELEMENTS)
    return populator


async def measure(count: int) -> dict[str, dict[str, float]]:
    """Return answers per second of processor time and latencies in seconds for each server; medians of the rounds."""
    ports = {"echo": free_port(), "registrar": free_port()}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ports}
    options = ("--limit-associations=20000",)
    with echo("usrsctp", ports["echo"]) as first, registrar(ports["registrar"], *options) as second:
        populator = await populated(ports["registrar"])
        loop = asyncio.get_running_loop()
        servers = {"echo": first, "registrar": second}
        drivers = {name: await loop.run_in_executor(None, Driver, ports[name], count) for name in servers}
        for turn in range(ROUNDS + 1):
            for name, process in servers.items():
                before = processor_seconds(process.pid)
                result = await loop.run_in_executor(None, drivers[name].run)
                result["rate"] = result["answers"] / (processor_seconds(process.pid) - before)
                assert not result["lost"], result
                if turn:
                    found[name].append(result)
        for driver in drivers.values():
            await loop.run_in_executor(None, driver.close)
        await populator.close()
    return {
        name: {key: statistics.median(one[key] for one in rounds) for key in ("rate", "p50", "p99")}
        for name, rounds in found.items()
    }


def lines() -> tuple[list[str], dict[int, str]]:
    """Return a Markdown table, and the figures for target 8."""
    ratio = 0.0
    table = ["| associations | echo | registrar | ratio | p50 of echo / registrar | p99 |", "|---|---|---|---|---|---|"]
    for count in ASSOCIATIONS:
        found = asyncio.run(measure(count))
        first, second = found["echo"], found["registrar"]
        ratio = second["rate"] / first["rate"]
        delays = [f"{first[key] * 1e6:.0f} / {second[key] * 1e6:.0f} us" for key in ("p50", "p99")]
        table.append(
            f"| {count} | {first['rate']:.0f}/s | {second['rate']:.0f}/s | {ratio:.2f} | {' | '.join(delays)} |"
        )
    return table, {8: f"{ratio:.2f}"}


if __name__ == "__main__":
    if sys.argv[1:2] == ["clients"]:
        uvloop.run(clients())
    else:
        print(*lines()[0], sep="\n")

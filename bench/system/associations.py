"""Requests a second of processor time over usrsctp, many associations, beside an echo over the same:
``python -m bench.system.associations``. The clients live in a process of their own, which is not counted.
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
from bench.system.servers import HOST, echo, free_port, processor_seconds, registrar
from rserpool.messages import HandleResolution
from rserpool.transport.interface import Address, Down, Endpoint, Tuning
from rserpool.transport.usrsctp import UsrsctpTransport

HANDLE = b"ComputePool"
ELEMENTS = 1_000
ASSOCIATIONS = 1_000
ROUNDS, SECONDS = 5, 1.5
ASAP = 11


class Clients:
    """So many endpoints, each with one association to the server, each in a closed loop."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.up = 0
        self.answers = 0
        self.lost = 0
        self.asking = False
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
        self.answers, self.asking = 0, True
        began = time.monotonic()
        for endpoint, assoc in self.places:
            endpoint.send(assoc, self.request, ASAP)
        await asyncio.sleep(seconds)
        found = {"answers": self.answers, "seconds": time.monotonic() - began, "lost": self.lost}
        self.asking = False
        await asyncio.sleep(0.3)
        return found

    def on_up(self, endpoint: Endpoint, assoc: int, addresses: tuple[Address, ...], port: int) -> None:
        self.up += 1

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        self.lost += 1

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        self.answers += 1
        if self.asking:
            endpoint.send(assoc, self.request, ASAP)


async def clients() -> None:
    """Reads "run" by line, answers with what came of it."""
    port, count = int(sys.argv[2]), int(sys.argv[3])
    made = Clients(HandleResolution(pool_handle=HANDLE, items=3).encode())
    await made.open(port, count)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await made.run(SECONDS)), flush=True)
    await made.transport.stop()


class Driver:
    """The process with the clients."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", "bench.system.associations", "clients", str(port), str(ASSOCIATIONS)]
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


async def measure() -> dict[str, list[float]]:
    """Answers per second of processor time, by server, round by round."""
    ports = {"echo": free_port(), "registrar": free_port()}
    found: dict[str, list[float]] = {"echo": [], "registrar": []}
    options = ("--limit-associations=20000",)
    with echo("usrsctp", ports["echo"]) as first, registrar(ports["registrar"], *options) as second:
        populator = await populated(ports["registrar"])
        loop = asyncio.get_running_loop()
        servers = {"echo": first, "registrar": second}
        drivers = {name: await loop.run_in_executor(None, Driver, ports[name]) for name in servers}
        for turn in range(ROUNDS + 1):
            for name, process in servers.items():
                before = processor_seconds(process.pid)
                result = await loop.run_in_executor(None, drivers[name].run)
                spent = processor_seconds(process.pid) - before
                assert not result["lost"], result
                if turn:
                    found[name].append(result["answers"] / spent)
        for driver in drivers.values():
            await loop.run_in_executor(None, driver.close)
        await populator.close()
    return found


def lines() -> list[str]:
    """One line."""
    found = asyncio.run(measure())
    rates = {name: statistics.median(rounds) for name, rounds in found.items()}
    return [
        f"{ASSOCIATIONS} associations: echo {rates['echo']:.0f}/s, registrar {rates['registrar']:.0f}/s, "
        f"ratio {rates['registrar'] / rates['echo']:.2f}."
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["clients"]:
        uvloop.run(clients())
    else:
        print(*lines(), sep="\n")

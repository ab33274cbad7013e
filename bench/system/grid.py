"""Many elements that re-register and many users that ask, at once, at one registrar: ``python -m bench.system.grid``.

The offered load is 3 000 elements, 4 re-registrations a second each, over usrsctp, and 2 000 users, 10 resolutions a
second each, over TCP. Counted is the registrar's processor time; the load comes from processes of its own.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence

import uvloop

from bench.system.populate import registration
from bench.system.servers import HOST, free_port, processor_seconds, registrar
from rserpool.messages import HandleResolution
from rserpool.transport.interface import Address, Down, Endpoint, Tuning
from rserpool.transport.usrsctp import UsrsctpTransport

HANDLE = b"ComputePool"
ELEMENTS, RENEWALS = 3_000, 4
USERS, RESOLUTIONS = 2_000, 10
LINES = 100
"""Associations that carry the elements: a process cannot have as many endpoints as elements."""
SECONDS = 10.0
TICK = 0.01
ASAP = 11
REQUEST = HandleResolution(pool_handle=HANDLE, items=3).encode()


class Paced:
    """Does so many things a second, evenly, a few at a time; counts how many it could not do in time."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.done = 0
        self.behind = 0.0

    async def run(self, seconds: float, act: "Sequence[object]", do: object) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (passed := loop.time() - began) < seconds:
            due = int(passed * self.rate)
            self.behind = max(self.behind, (due - self.done) / self.rate)
            while self.done < due:
                do(act[self.done % len(act)])  # type: ignore[operator]
                self.done += 1
            await asyncio.sleep(TICK)


class Elements:
    """Associations with the elements of each, which re-register with new loads."""

    def __init__(self) -> None:
        self.answers = 0
        self.up = 0
        self.lost = 0
        self.lines: list[tuple[Endpoint, int]] = []
        self.transport = UsrsctpTransport(Tuning(rto_min=0.5, rto_initial=1.0, rto_max=3.0))
        self.turn = 0

    async def open(self, port: int) -> None:
        for _ in range(LINES):
            endpoint = await self.transport.endpoint(self, addresses=[HOST], listen=False)
            self.lines.append((endpoint, endpoint.connect([HOST], port)))
        while self.up < LINES:
            await asyncio.sleep(0.01)
        for number in range(ELEMENTS):
            self.renew(number)
            if number % 200 == 199:
                await asyncio.sleep(0.02)
        while self.answers < ELEMENTS:
            await asyncio.sleep(0.01)
        self.answers = 0

    def renew(self, number: int) -> None:
        endpoint, assoc = self.lines[number % LINES]
        self.turn = (self.turn + 2654435761) % 0x7FFFFFFF
        endpoint.send(assoc, registration(HANDLE, number + 1, self.turn), ASAP)

    async def run(self) -> dict[str, float]:
        paced = Paced(ELEMENTS * RENEWALS * factor())
        await paced.run(SECONDS, range(ELEMENTS), self.renew)
        await asyncio.sleep(1.0)
        return {"sent": paced.done, "answered": self.answers, "lost": self.lost, "behind": paced.behind}

    def on_up(self, endpoint: Endpoint, assoc: int, addresses: tuple[Address, ...], port: int) -> None:
        self.up += 1

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        self.lost += 1

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        self.answers += data[0] == 0x03 and data[1] == 0


class User(asyncio.Protocol):
    """One TCP connection that counts the octets of its answers' heads."""

    answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def ask(self) -> None:
        self.transport.write(REQUEST)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 4 and len(self.buffer) >= (size := int.from_bytes(self.buffer[2:4]) + 3 & ~3):
            self.buffer = self.buffer[size:]
            User.answers += 1


class Users:
    """So many users."""

    def __init__(self) -> None:
        self.users: list[User] = []

    async def open(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(USERS):
            _, user = await loop.create_connection(User, HOST, port)
            self.users.append(user)

    async def run(self) -> dict[str, float]:
        User.answers = 0
        paced = Paced(USERS * RESOLUTIONS * factor())
        await paced.run(SECONDS, self.users, lambda user: user.ask())
        await asyncio.sleep(1.0)
        return {"sent": paced.done, "answered": User.answers, "lost": 0, "behind": paced.behind}


def factor() -> float:
    """How many times the authors' load."""
    return float(sys.argv[3]) if len(sys.argv) > 3 else 1.0


async def play(kind: str) -> None:
    """One side of the load, in a process of its own."""
    side: Elements | Users = Elements() if kind == "elements" else Users()
    await side.open(int(sys.argv[2]))
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print(json.dumps(await side.run()), flush=True)


def measure(times: float = 1.0) -> str:
    """One line: what was offered, what came back, and what it cost."""
    port = free_port()
    with registrar(port, "--limit-associations=20000") as process:
        sides = {
            kind: subprocess.Popen(
                [sys.executable, "-m", "bench.system.grid", kind, str(port), str(times)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for kind in ("elements", "users")
        }
        for side in sides.values():
            assert side.stdout is not None
            assert side.stdout.readline() == "ready\n"
        before, began = processor_seconds(process.pid), time.monotonic()
        for side in sides.values():
            print("go", file=side.stdin, flush=True)
        time.sleep(SECONDS)
        spent = (processor_seconds(process.pid) - before) / (time.monotonic() - began)
        found = {kind: json.loads(side.communicate("", 60)[0]) for kind, side in sides.items()}
    words = [
        f"{kind}: {one['sent'] / SECONDS:.0f}/s, {one['sent'] - one['answered']:.0f} unanswered, "
        f"load at most {one['behind'] * 1000:.0f} ms late"
        for kind, one in found.items()
    ]
    return f"{times:g} times the load; {'; '.join(words)}; the registrar takes {100 * spent:.0f} % of a core"


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in ("elements", "users"):
        uvloop.run(play(sys.argv[1]))
    else:
        for times in [float(argument) for argument in sys.argv[1:]] or [1.0]:
            print(measure(times), flush=True)

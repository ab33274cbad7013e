"""A registrar with 10 000 elements hands over, over loopback: to one that starts, then, killed, to that one as its
survivor, which is asked 1 000 times a second meanwhile: ``python -m bench.system.handover``.

Four processes: the registrar, the survivor (embedded, so that its decisions can be timed), the elements, the user.
"""

import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import pyximport
import uvloop

from bench.system.populate import registration
from bench.system.processors import LOAD, SERVER, pin, prefer
from bench.system.report import Outcome
from bench.system.servers import HOST, processor_seconds, registrar
from rserpool.cli.collector import freeze_imports
from rserpool.messages import HandleResolution
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.enrp import mentor
from rserpool.protocol.registrar.enrp.peers import Reaction
from rserpool.registrar.embedded import Registrar
from rserpool.registrar.server import Server
from rserpool.transport.interface import Down, Endpoint
from rserpool.transport.sctp.usrsctp import UsrsctpEndpoint, UsrsctpTransport
from tests.support.ports import free_port
from tests.support.waiting import eventually

pyximport.install(language_level=3, build_dir="build/pyximport", inplace=False)
from bench.system.answering import Answering, answering  # noqa: E402

ELEMENTS, LINES, POOLS = 10_000, 160, 10
"""By default a registrar takes 64 elements over one association."""
ROUNDS = 5
RATE, CONNECTIONS = 1_000, 8
PAUSE = 0.001
"""Seconds for which the user sleeps. uvloop takes less than half of that for nothing, and the user would spin on the
processor of the elements."""
BEFORE = 1.0
"""Seconds for which the user asks before the registrar is killed."""
AFTER_THE_USER = -10
"""The elements' niceness beside the user, who would measure them instead of the survivor."""
ASAP = 11
REQUEST = HandleResolution(pool_handle=b"pool0", items=3).encode()
TIMES = {"peer_heartbeat_cycle": 1.0, "max_time_last_heard": 3.0, "max_time_no_response": 1.0}


class Elements:
    """So many elements behind fewer associations, which answer keep-alives of whoever calls."""

    def __init__(self) -> None:
        self.up = self.granted = 0
        self.lines: list[tuple[Endpoint, int]] = []
        self.owing: list[tuple[UsrsctpEndpoint, int, Answering]] = []
        self.transport = UsrsctpTransport()

    async def open(self, port: int) -> None:
        for _ in range(LINES):
            opened = await self.transport.endpoint(self, addresses=[HOST])
            self.lines.append((opened, opened.connect([HOST], port)))
        async with asyncio.timeout(60):
            while self.up < LINES:
                await asyncio.sleep(0.01)
            for number in range(ELEMENTS):
                endpoint, assoc = self.lines[number % LINES]
                handle = b"pool%d" % (number % POOLS)
                endpoint.send(assoc, registration(handle, number + 1, number * 2654435761 % 0xFFFFFFFF), ASAP)
                while self.granted < number - 200:
                    await asyncio.sleep(0.001)
            while self.granted < ELEMENTS:
                await asyncio.sleep(0.01)

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        self.up += 1
        assert isinstance(endpoint, UsrsctpEndpoint)
        endpoint.attach(assoc, answering(partial(self.owe, endpoint, assoc)))

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None: ...

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None: ...

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        self.granted += 1

    def owe(self, endpoint: UsrsctpEndpoint, assoc: int, lane: Answering) -> None:
        """What has come in one wake-up is answered together: the elements must not be what is measured."""
        if not self.owing:
            asyncio.get_running_loop().call_soon(self.answer)
        self.owing.append((endpoint, assoc, lane))

    def answer(self) -> None:
        for endpoint, assoc, lane in self.owing:
            endpoint.send_row(assoc, lane.take(), ASAP)
        self.owing.clear()


class Clocked:
    """What a survivor does and when, in seconds of the system's monotonic clock; how long its longest event is, in
    processor time."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.spent: dict[str, float] = {}
        """Processor time by then."""
        self.longest = 0.0

    def first(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Note when it is called for the first time."""

        def timed(*arguments: Any) -> Any:
            self.at.setdefault(name, time.monotonic())
            self.spent.setdefault(name, time.process_time())
            return call(*arguments)

        return timed

    def last(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Note when its last call has ended."""

        def timed(*arguments: Any) -> Any:
            result = call(*arguments)
            self.at[name] = time.monotonic()
            return result

        return timed

    def event(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Note how long the longest call lasts."""

        def timed(*arguments: Any) -> Any:
            began = time.thread_time()
            result = call(*arguments)
            self.longest = max(self.longest, time.thread_time() - began)
            return result

        return timed


async def survive(port: int, peer: int) -> None:
    """Downloads from the peer, then takes its elements over when it is killed; a line of JSON after each."""
    freeze_imports()  # as the registrar's own programs do
    clock = Clocked()
    for name in ("_message", "_expired", "_up", "_down", "_unreachable", "_renewed"):
        setattr(Server, name, clock.event(getattr(Server, name)))
    times: dict[str, Any] = dict(TIMES)
    one = Registrar(
        asap=f"{HOST}:{port}", enrp=f"{HOST}:0", peer=[f"{HOST}:{peer}"], announce=(), enrp_announce=(),
        transport="usrsctp", address_scope="loopback", keep_alive_interval=600.0, limit_elements_per_pool=100_000,
        limit_resolution_rate=1e9, limit_resolution_burst=10**9, **times,
    )  # fmt: skip
    start = Server.start

    async def watched(server: Server) -> None:
        enrp = server.registrar.enrp
        start_reactions, peer_reactions = enrp.startup.reactions, enrp.peering.reactions
        for name, step in (("asked", mentor.Reaction.ASK_FOR_TABLE), ("loaded", mentor.Reaction.FINISH)):
            start_reactions[step] = clock.first(name, start_reactions[step])
        for name, reaction in (("won", Reaction.WIN), ("home", Reaction.ANNOUNCE_TAKEOVER)):
            peer_reactions[reaction] = clock.first(name, peer_reactions[reaction])
        server.associations.send_row = clock.last("greeted", server.associations.send_row)  # type: ignore[method-assign]
        await start(server)

    Server.start = watched  # type: ignore[method-assign, assignment]
    async with one:
        registrar = one._started().registrar
        await eventually(lambda: registrar.enrp.startup.over, 60)
        assert len(registrar.handlespace) == ELEMENTS, len(registrar.handlespace)
        print(json.dumps(clock.at | {"longest": clock.longest}), flush=True)
        clock.longest = 0.0
        await eventually(lambda: "greeted" in clock.at and not registrar.elements.ownership.unconfirmed, 60)
        clock.at["answered"] = time.monotonic()
        assert registrar.handlespace.home_size(one.identifier) == ELEMENTS
        found = {"longest": clock.longest, "cpu": time.process_time() - clock.spent["won"]}
        print(json.dumps(clock.at | found), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


class User(asyncio.Protocol):
    """One TCP connection; the requests on their way, by the time at which they were sent."""

    found: ClassVar[list[tuple[float, float]]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""
        self.sent: list[float] = []

    def ask(self) -> None:
        self.sent.append(time.monotonic())
        self.transport.write(REQUEST)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 4 and len(self.buffer) >= (size := int.from_bytes(self.buffer[2:4]) + 3 & ~3):
            self.buffer = self.buffer[size:]
            sent = self.sent.pop(0)
            self.found.append((sent, time.monotonic() - sent))


async def use(port: int) -> None:
    """Asks evenly until it is told to stop, then tells when it asked and how long each answer took."""
    loop = asyncio.get_running_loop()
    users = [(await loop.create_connection(User, HOST, port))[1] for _ in range(CONNECTIONS)]
    print("ready", flush=True)
    stopped = loop.run_in_executor(None, sys.stdin.readline)
    began, asked = loop.time(), 0
    while not stopped.done():
        while asked < (loop.time() - began) * RATE:
            users[asked % CONNECTIONS].ask()
            asked += 1
        await asyncio.sleep(PAUSE)
    await asyncio.sleep(0.2)
    print(json.dumps(User.found), flush=True)


async def populate(port: int) -> None:
    elements = Elements()
    await elements.open(port)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await elements.transport.stop()


class Side:
    """A process that plays one of these."""

    def __init__(self, processor: int, *arguments: object) -> None:
        command = [sys.executable, "-m", "bench.system.handover", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        pin(self.process.pid, processor)

    def line(self) -> str:
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said, "the process has ended"
        return said

    def stop(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            print("stop", file=self.process.stdin, flush=True)


@contextmanager
def side(processor: int, *arguments: object) -> Iterator[Side]:
    made = Side(processor, *arguments)
    try:
        yield made
    finally:
        made.stop()
        try:
            made.process.wait(10)
        except subprocess.TimeoutExpired:
            made.process.kill()
            made.process.wait()


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def play() -> dict[str, float | list[float]]:
    """One round; durations in milliseconds."""
    port, enrp, survivor = free_port(), free_port(), free_port()
    options = [f"--{name.replace('_', '-')}={value}" for name, value in TIMES.items()]
    enrp_options = (f"--enrp={HOST}:{enrp}", "--enrp-announce=")
    with registrar(port, *enrp_options, *options) as first, side(LOAD, "elements", port) as one:
        pin(first.pid, LOAD)
        one.line()
        before = processor_seconds(first.pid)
        with side(SERVER, "survivor", survivor, enrp) as two:
            loaded = json.loads(two.line())
            giving = processor_seconds(first.pid) - before
            with side(LOAD, "user", survivor) as three:
                prefer(one.process.pid, AFTER_THE_USER)
                three.line()
                time.sleep(BEFORE)
                os.kill(first.pid, signal.SIGKILL)
                done = json.loads(two.line())
                three.stop()
                answers: list[tuple[float, float]] = json.loads(three.line())
    return {
        "download": 1000 * (loaded["loaded"] - loaded["asked"]),
        "giving": 1000 * giving,
        "home": 1000 * (done["home"] - done["won"]),
        "greeted": 1000 * (done["greeted"] - done["won"]),
        "answered": 1000 * (done["answered"] - done["won"]),
        "cpu": 1000 * done["cpu"],
        "longest": 1000 * done["longest"],
        "meanwhile": [1000 * took for sent, took in answers if done["won"] - 0.002 <= sent <= done["answered"]],
        "calm": [1000 * took for sent, took in answers if sent < done["won"] - 0.3],
    }


def lines() -> Outcome:
    """A table: medians of the rounds, and all their answers together."""
    rounds = [play() for _ in range(ROUNDS)]

    def median(name: str) -> str:
        return f"{statistics.median(float(one[name]) for one in rounds):.0f} ms"  # type: ignore[arg-type]

    def answers(name: str) -> str:
        took: list[float] = [took for one in rounds for took in one[name]]  # type: ignore[union-attr]
        return f"{quantile(took, 0.5):.2f} / {quantile(took, 0.99):.1f} / {max(took):.1f} ms of {len(took)}"

    table = [
        f"| {ELEMENTS} elements over {LINES} associations, medians of {ROUNDS} | |",
        "|---|---|",
        f"| download: first request to whole table | {median('download')} |",
        f"| takeover: decision to last element at home | {median('home')} |",
        f"| decision to last keep-alive sent | {median('greeted')} |",
        f"| decision to last element's answer | {median('answered')} |",
        f"| the survivor's longest event meanwhile | {median('longest')} |",
        f"| resolutions meanwhile, {RATE}/s: p50 / p99 / longest | {answers('meanwhile')} |",
        f"| the same before | {answers('calm')} |",
        f"| processor time: the survivor's from decision to last answer, resolutions included | {median('cpu')} |",
        f"| processor time: of who was downloaded from | {median('giving')} |",
    ]
    late = quantile([took for one in rounds for took in one["meanwhile"]], 0.99)  # type: ignore[union-attr]
    return table, {
        12: f"owned after {median('home')}, told after {median('greeted')}; {median('download')}; {late:.1f} ms"
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["survivor", port, peer]:
            uvloop.run(survive(int(port), int(peer)))
        case ["elements", port]:
            uvloop.run(populate(int(port)))
        case ["user", port]:
            uvloop.run(use(int(port)))
        case _:
            print(*lines()[0], sep="\n")

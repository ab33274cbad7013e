"""Measures how a registrar with 10 000 elements is replaced, over loopback: ``python -m bench.system.handover``.

A second registrar, the survivor, starts and downloads the handlespace. Then the first registrar is killed and the
survivor takes its elements over, while a user sends it 1 000 resolutions per second. There are four processes: the
registrar, the survivor (embedded, so that its decisions can be timed), the elements, the user.
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

ELEMENTS, ASSOCIATIONS, POOLS = 10_000, 160, 10
"""By default a registrar accepts 64 elements on one association."""
ROUNDS = 5
RATE, CONNECTIONS = 1_000, 8
PAUSE = 0.001
"""Seconds that the user sleeps between two rounds of requests. uvloop rounds less than half of that down to no sleep,
and the user would spin on the processor of the elements."""
BEFORE = 1.0
"""Seconds of requests before the registrar is killed."""
AFTER_THE_USER = -10
"""The elements' niceness: the user, at a lower one, runs first, so that its latencies do not include their work."""
ASAP = 11
REQUEST = HandleResolution(pool_handle=b"pool0", items=3).encode()
TIMES = {"peer_heartbeat_cycle": 1.0, "max_time_last_heard": 3.0, "max_time_no_response": 1.0}


class Elements:
    """ELEMENTS pool elements on ASSOCIATIONS associations. They answer keep-alives of every registrar."""

    def __init__(self) -> None:
        self.up = self.granted = 0
        self.associations: list[tuple[Endpoint, int]] = []
        self.unsent: list[tuple[UsrsctpEndpoint, int, Answering]] = []
        self.transport = UsrsctpTransport()

    async def open(self, port: int) -> None:
        for _ in range(ASSOCIATIONS):
            opened = await self.transport.endpoint(self, addresses=[HOST])
            self.associations.append((opened, opened.connect([HOST], port)))
        async with asyncio.timeout(60):
            while self.up < ASSOCIATIONS:
                await asyncio.sleep(0.01)
            for number in range(ELEMENTS):
                endpoint, assoc = self.associations[number % ASSOCIATIONS]
                handle = b"pool%d" % (number % POOLS)
                endpoint.send(assoc, registration(handle, number + 1, number * 2654435761 % 0xFFFFFFFF), ASAP)
                while self.granted < number - 200:
                    await asyncio.sleep(0.001)
            while self.granted < ELEMENTS:
                await asyncio.sleep(0.01)

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        self.up += 1
        assert isinstance(endpoint, UsrsctpEndpoint)
        endpoint.attach(assoc, answering(partial(self.schedule_answers, endpoint, assoc)))

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None: ...

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None: ...

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        self.granted += 1

    def schedule_answers(self, endpoint: UsrsctpEndpoint, assoc: int, lane: Answering) -> None:
        """Answer all keep-alives of one wake-up together, so that the elements use little processor time."""
        if not self.unsent:
            asyncio.get_running_loop().call_soon(self.send_answers)
        self.unsent.append((endpoint, assoc, lane))

    def send_answers(self) -> None:
        for endpoint, assoc, lane in self.unsent:
            endpoint.send_row(assoc, lane.take(), ASAP)
        self.unsent.clear()


class Clocked:
    """The times of a survivor's steps in seconds of the system's monotonic clock, and the processor time of its longest
    event."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.spent: dict[str, float] = {}
        """Processor time at each of these steps."""
        self.longest = 0.0

    def first(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Record when ``call`` is called for the first time."""

        def timed(*arguments: Any) -> Any:
            self.at.setdefault(name, time.monotonic())
            self.spent.setdefault(name, time.process_time())
            return call(*arguments)

        return timed

    def last(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Record when the last call returns."""

        def timed(*arguments: Any) -> Any:
            result = call(*arguments)
            self.at[name] = time.monotonic()
            return result

        return timed

    def event(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Record the duration of the longest call."""

        def timed(*arguments: Any) -> Any:
            began = time.thread_time()
            result = call(*arguments)
            self.longest = max(self.longest, time.thread_time() - began)
            return result

        return timed


async def survive(port: int, peer: int) -> None:
    """Download from the peer, and take its elements over when it is killed. Print a line of JSON after each step."""
    freeze_imports()  # as the registrar programs do
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

    async def start_timed(server: Server) -> None:
        enrp = server.registrar.enrp
        start_reactions, peer_reactions = enrp.startup.reactions, enrp.peering.reactions
        for name, step in (("asked", mentor.Reaction.ASK_FOR_TABLE), ("loaded", mentor.Reaction.FINISH)):
            start_reactions[step] = clock.first(name, start_reactions[step])
        for name, reaction in (("won", Reaction.WIN), ("home", Reaction.ANNOUNCE_TAKEOVER)):
            peer_reactions[reaction] = clock.first(name, peer_reactions[reaction])
        server.associations.send_row = clock.last("informed", server.associations.send_row)  # type: ignore[method-assign]
        await start(server)

    Server.start = start_timed  # type: ignore[method-assign, assignment]
    async with one:
        registrar = one._started().registrar
        await eventually(lambda: registrar.enrp.startup.over, 60)
        assert len(registrar.handlespace) == ELEMENTS, len(registrar.handlespace)
        print(json.dumps(clock.at | {"longest": clock.longest}), flush=True)
        clock.longest = 0.0
        await eventually(lambda: "informed" in clock.at and not registrar.elements.ownership.unconfirmed, 60)
        clock.at["answered"] = time.monotonic()
        assert registrar.handlespace.home_size(one.identifier) == ELEMENTS
        found = {"longest": clock.longest, "cpu": time.process_time() - clock.spent["won"]}
        print(json.dumps(clock.at | found), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


class User(asyncio.Protocol):
    """One TCP connection, with the send times of its unanswered requests."""

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


async def resolve_evenly(port: int) -> None:
    """Send requests at an even pace until a line arrives on standard input; then print each send time and latency."""
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


class Child:
    """One of the processes that this one starts."""

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
def child(processor: int, *arguments: object) -> Iterator[Child]:
    made = Child(processor, *arguments)
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


def run_round() -> dict[str, float | list[float]]:
    """Run one round. Durations are in milliseconds."""
    port, enrp, survivor = free_port(), free_port(), free_port()
    options = [f"--{name.replace('_', '-')}={value}" for name, value in TIMES.items()]
    enrp_options = (f"--enrp={HOST}:{enrp}", "--enrp-announce=")
    with registrar(port, *enrp_options, *options) as first, child(LOAD, "elements", port) as one:
        pin(first.pid, LOAD)
        one.line()
        before = processor_seconds(first.pid)
        with child(SERVER, "survivor", survivor, enrp) as two:
            loaded = json.loads(two.line())
            sender = processor_seconds(first.pid) - before
            with child(LOAD, "user", survivor) as three:
                prefer(one.process.pid, AFTER_THE_USER)
                three.line()
                time.sleep(BEFORE)
                os.kill(first.pid, signal.SIGKILL)
                done = json.loads(two.line())
                three.stop()
                answers: list[tuple[float, float]] = json.loads(three.line())
    return {
        "download": 1000 * (loaded["loaded"] - loaded["asked"]),
        "sender": 1000 * sender,
        "home": 1000 * (done["home"] - done["won"]),
        "informed": 1000 * (done["informed"] - done["won"]),
        "answered": 1000 * (done["answered"] - done["won"]),
        "cpu": 1000 * done["cpu"],
        "longest": 1000 * done["longest"],
        "during": [1000 * took for sent, took in answers if done["won"] - 0.002 <= sent <= done["answered"]],
        "before": [1000 * took for sent, took in answers if sent < done["won"] - 0.3],
    }


def lines() -> Outcome:
    """Return a table: medians of the rounds, and quantiles of all their answers together."""
    rounds = [run_round() for _ in range(ROUNDS)]

    def median(name: str) -> str:
        return f"{statistics.median(float(one[name]) for one in rounds):.0f} ms"  # type: ignore[arg-type]

    def answers(name: str) -> str:
        took: list[float] = [took for one in rounds for took in one[name]]  # type: ignore[union-attr]
        return f"{quantile(took, 0.5):.2f} / {quantile(took, 0.99):.1f} / {max(took):.1f} ms of {len(took)}"

    table = [
        f"| {ELEMENTS} elements over {ASSOCIATIONS} associations, medians of {ROUNDS} | |",
        "|---|---|",
        f"| download: first request to whole table | {median('download')} |",
        f"| takeover: decision to last element owned | {median('home')} |",
        f"| decision to last keep-alive sent | {median('informed')} |",
        f"| decision to last element's answer | {median('answered')} |",
        f"| the survivor's longest event during the takeover | {median('longest')} |",
        f"| resolutions during the takeover, {RATE}/s: p50 / p99 / longest | {answers('during')} |",
        f"| resolutions before it, {RATE}/s: p50 / p99 / longest | {answers('before')} |",
        f"| processor time of the survivor, decision to last answer, resolutions included | {median('cpu')} |",
        f"| processor time of the registrar that sent the download | {median('sender')} |",
    ]
    late = quantile([took for one in rounds for took in one["during"]], 0.99)  # type: ignore[union-attr]
    return table, {
        12: f"owned after {median('home')}, informed after {median('informed')}; {median('download')}; {late:.1f} ms"
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["survivor", port, peer]:
            uvloop.run(survive(int(port), int(peer)))
        case ["elements", port]:
            uvloop.run(populate(int(port)))
        case ["user", port]:
            uvloop.run(resolve_evenly(int(port)))
        case _:
            print(*lines()[0], sep="\n")

"""A handler that records its calls, and factories for the transports of each back end."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address

from rserpool.protocol.peer import Peer
from rserpool.transport.interface import MAX_MESSAGE_OCTETS, Down, Endpoint, Transport, Tuning

LIMIT = 30.0
HOST = "127.0.0.1"
LOOPBACK = IPv4Address(HOST)
HASTY = Tuning(rto_initial=0.1, rto_min=0.05, rto_max=0.1, association_retransmissions=3, init_retransmissions=2)


def message(length: int = 16, number: int = 0) -> bytes:
    """Return an ASAP message of that many octets, a multiple of 4, as TCP's framing requires."""
    return b"\x0b\x00" + length.to_bytes(2) + number.to_bytes(4) + bytes(i & 0xFF for i in range(length - 8))


class Recorder:
    """Records its calls; until() waits for a condition on them."""

    def __init__(self, *, echo: bool = False) -> None:
        self.echo = echo
        self.up: dict[int, Peer] = {}
        self.down: list[tuple[int, Down]] = []
        self.restarted: list[int] = []
        self.messages: list[tuple[int, bytes, int]] = []
        self.writable: list[int] = []
        self.order: list[str] = []
        self.in_call = False
        self._news = asyncio.Event()

    def _note(self, what: str) -> None:
        assert not self.in_call, f"{what} came from inside a call"
        self.order.append(what)
        self._news.set()

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        self.up[assoc] = peer
        self._note("up")

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None:
        self.restarted.append(assoc)
        self._note("restart")

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        self.messages.append((assoc, data, ppid))
        self._note("message")
        if self.echo:
            endpoint.send(assoc, data, ppid)

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        self._note("answer")

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        self.down.append((assoc, reason))
        self._note("down")

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        self.writable.append(assoc)
        self._note("writable")

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT):
            while not condition():
                self._news.clear()
                await self._news.wait()

    @property
    def reasons(self) -> list[Down]:
        return [reason for _, reason in self.down]


def make(back_end: str, tuning: Tuning | None = None) -> Transport:
    """Make a transport of that back end for the running loop."""
    if back_end == "memory":
        from rserpool.transport.memory import MemoryNetwork, MemoryTransport

        loop = asyncio.get_running_loop()
        return MemoryTransport(MemoryNetwork(lambda source, target, callback: void(loop.call_soon(callback))))
    if back_end == "tcp":
        from rserpool.transport.tcp.endpoint import TcpTransport

        return TcpTransport()
    if back_end == "kernel":
        from rserpool.transport.sctp.kernel import KernelTransport

        return KernelTransport(tuning)
    from rserpool.transport.sctp.usrsctp import UsrsctpTransport

    return UsrsctpTransport(tuning)


def void(_: object) -> None:
    """Ignore a result."""


@contextlib.asynccontextmanager
async def transport(back_end: str, tuning: Tuning | None = None) -> AsyncIterator[Transport]:
    made = make(back_end, tuning)
    try:
        yield made
    finally:
        await made.stop()


class Pair:
    """A client and a server with one association."""

    def __init__(
        self, made: Transport, server: Endpoint, client: Endpoint, at_server: Recorder, at_client: Recorder
    ) -> None:
        self.transport = made
        self.server = server
        self.client = client
        self.at_server = at_server
        self.at_client = at_client
        self.assoc = 0
        self.server_assoc = 0

    async def connect(self) -> None:
        self.assoc = self.client.connect([HOST], self.server.port)
        before = set(self.at_server.up)
        await self.at_client.until(lambda: self.assoc in self.at_client.up)
        await self.at_server.until(lambda: len(self.at_server.up) > len(before))
        (self.server_assoc,) = set(self.at_server.up) - before


@contextlib.asynccontextmanager
async def pair(
    back_end: str, *, echo: bool = False, tuning: Tuning | None = None, max_message: int = MAX_MESSAGE_OCTETS
) -> AsyncIterator[Pair]:
    async with transport(back_end, tuning) as made:
        at_server, at_client = Recorder(echo=echo), Recorder()
        server = await made.endpoint(at_server, addresses=[HOST], max_message=max_message)
        client = await made.endpoint(at_client, addresses=[HOST], listen=back_end != "tcp", max_message=max_message)
        both = Pair(made, server, client, at_server, at_client)
        await both.connect()
        yield both


def reset(port: int) -> None:
    """Connect, and reset the connection at once."""
    with socket.create_connection((HOST, port)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

"""The tester's side of a scenario: associations that send octets and compare the received octets exactly."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from rserpool.messages import EndpointKeepAlive, EndpointKeepAliveAck, Message, decode
from rserpool.protocol.peer import Peer
from rserpool.transport.interface import Down, Endpoint, Transport
from tests.scenarios.octets import OCTETS, octets

ASAP_PPID = 11
SOON = 30.0
"""Seconds to wait for an expected message: generous, because the machine may be busy."""
SILENCE = 1.0
"""Seconds without a message that count as silence."""


class Association:
    """One association of the tester. Keep-alives are collected separately, and acknowledged while ``acknowledging`` is
    true."""

    def __init__(self, endpoint: Endpoint, assoc: int) -> None:
        self.endpoint = endpoint
        self.assoc = assoc
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.keep_alives: asyncio.Queue[bytes] = asyncio.Queue()
        self.acknowledging = True
        self.up = asyncio.Event()
        self.down: asyncio.Future[Down] = asyncio.get_running_loop().create_future()

    def send(self, what: str | bytes | Message, ppid: int = ASAP_PPID) -> None:
        """Send a message, given as a name in the list of octets, as octets, or as a record."""
        data = octets(what) if isinstance(what, str) else what if isinstance(what, bytes) else what.encode()
        assert self.endpoint.send(self.assoc, data, ppid)

    async def receive(self) -> bytes:
        """Return the next message that is not a keep-alive."""
        return await asyncio.wait_for(self.inbox.get(), SOON)

    async def expect(self, name: str) -> None:
        """Check that the next message has exactly these octets."""
        received = await self.receive()
        assert received.hex(" ", 4) == OCTETS[name], f"{name}: got {received.hex(' ', 4)}"

    async def answer(self) -> Message:
        """Return the next message, decoded."""
        return decode(await self.receive(), "asap")

    async def keep_alive(self) -> bytes:
        """Return the next keep-alive."""
        return await asyncio.wait_for(self.keep_alives.get(), SOON)

    async def silent(self) -> None:
        """Check that only keep-alives arrive."""
        try:
            received = await asyncio.wait_for(self.inbox.get(), SILENCE)
        except TimeoutError:
            return
        raise AssertionError(f"silence expected, got {received.hex(' ', 4)}")

    def heard(self, data: bytes) -> None:
        """Handle an arrived message; keep-alives are acknowledged here."""
        if data[0] != EndpointKeepAlive.TYPE:
            self.inbox.put_nowait(data)
            return
        self.keep_alives.put_nowait(data)
        message = decode(data, "asap")
        assert isinstance(message, EndpointKeepAlive)
        assert message.pe_identifier is not None
        if self.acknowledging:
            self.send(EndpointKeepAliveAck(pool_handle=message.pool_handle, pe_identifier=message.pe_identifier))


class Counterpart:
    """Opens associations to the registrar, each from an endpoint of its own."""

    def __init__(self, transport: Transport, own: str, registrar: tuple[str, int]) -> None:
        self.transport = transport
        self.own = own
        self.registrar = registrar
        self.associations: dict[int, Association] = {}
        self.endpoints: list[Endpoint] = []

    async def associate(self, port: int = 0) -> Association:
        """Open an association to the registrar and wait until it is up."""
        endpoint = await self.transport.endpoint(self, addresses=[self.own], port=port)
        self.endpoints.append(endpoint)
        assoc = endpoint.connect([self.registrar[0]], self.registrar[1])
        association = self.associations[id(endpoint)] = Association(endpoint, assoc)
        await asyncio.wait_for(association.up.wait(), SOON)
        return association

    async def listen(self, port: int) -> Association:
        """Prepare for an association that the registrar opens."""
        endpoint = await self.transport.endpoint(self, addresses=[self.own], port=port)
        self.endpoints.append(endpoint)
        association = self.associations[id(endpoint)] = Association(endpoint, 0)
        return association

    async def close(self) -> None:
        """Close every endpoint."""
        for endpoint in self.endpoints:
            await endpoint.close()

    # Callbacks of the transport

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        association = self.associations[id(endpoint)]
        association.assoc = assoc
        association.up.set()

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None:
        raise AssertionError("unexpected restart of the association")

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        assert ppid == ASAP_PPID
        self.associations[id(endpoint)].heard(data)

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        raise AssertionError("unexpected: no fast lane is attached")

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        association = self.associations[id(endpoint)]
        if not association.down.done():
            association.down.set_result(reason)

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        """Ignored, because the tester sends little."""


async def exchange(host: str, port: int, writes: Sequence[bytes], octets_expected: int) -> bytes:
    """Write the pieces over one TCP connection with pauses between them; returns that many octets of the reply."""
    async with asyncio.timeout(SOON):
        reader, writer = await asyncio.open_connection(host, port)
        for piece in writes:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.1)
        received = await reader.readexactly(octets_expected)
        writer.close()
        await writer.wait_closed()
        return received


class Lab(Protocol):
    """The environment of a scenario: starts the registrar under test and reaches it."""

    async def registrar(self, *flags: str) -> Counterpart:
        """Start registrar 0x22222222 at 10.44.0.1:3863 with additional flags, and a tester at 10.44.0.1."""

    async def exchange_over_tcp(self, writes: Sequence[bytes], octets_expected: int) -> bytes:
        """Write the pieces over one TCP connection to the registrar with pauses between them; returns the reply."""

    async def announcement(self) -> bytes:
        """Return the registrar's next announcement."""

"""The tester's fake registrars. They collect presences separately, answer presences that ask for a reply, and serve as
mentors with empty tables."""

import asyncio
import contextlib

from rserpool.messages import (
    EnrpMessage,
    HandleTableRequest,
    HandleTableResponse,
    ListRequest,
    ListResponse,
    Message,
    Presence,
    decode,
)
from rserpool.protocol.peer import Peer
from rserpool.transport.interface import AssociationGone, Down, Endpoint, Transport
from tests.scenarios.octets import OCTETS, octets
from tests.scenarios.tester import SILENCE, SOON

ENRP_PPID = 12
LOW, HIGH = 0x11111111, 0x33333333
AT_ONCE = 0.2
"""Seconds within which a starting registrar requests the peer list from its mentor."""
SETTLED = 2.0
"""Seconds after which a starting registrar has sent all requests to its mentor and its peers."""
HEARTBEATS = {LOW: "T08.hb", HIGH: "T08.hb-high"}
PORTS = {LOW: 19901, HIGH: 19902}


class FakeRegistrar:
    """A fake peer registrar, controlled by a scenario."""

    def __init__(self, identifier: int) -> None:
        self.identifier = identifier
        self.heartbeat = octets(HEARTBEATS[identifier])
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.presences: asyncio.Queue[Presence] = asyncio.Queue()
        self.answering = True
        self.up = asyncio.Event()
        self.known = asyncio.Event()
        self.mentoring = False
        self.down = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None

    async def open(self, transport: Transport, own: str) -> None:
        """Listen at this registrar's port."""
        self.endpoint = await transport.endpoint(self, addresses=[own], port=PORTS[self.identifier])

    async def meet(self, registrar: tuple[str, int]) -> None:
        """Associate with the registrar under test and exchange presences."""
        self.assoc = self.endpoint.connect([registrar[0]], registrar[1])
        await asyncio.wait_for(self.up.wait(), SOON)
        self.send(self.heartbeat)
        self.beat()
        await asyncio.wait_for(self.known.wait(), SOON)
        await asyncio.sleep(AT_ONCE)
        if self.mentoring:
            await asyncio.sleep(SETTLED)
            self.mentoring = False

    def beat(self) -> None:
        """Start to send a presence every half second."""

        async def beating() -> None:
            with contextlib.suppress(AssociationGone):
                while True:
                    await asyncio.sleep(0.5)
                    self.send(self.heartbeat)

        self._beating = asyncio.create_task(beating())

    def die(self) -> None:
        """Stop sending anything, including answers."""
        self.answering = False
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None

    async def close(self) -> None:
        """Stop."""
        self.die()
        await self.endpoint.close()

    def send(self, what: str | bytes | Message) -> None:
        """Send a message, given as a name in the list of octets, as octets, or as a record."""
        data = octets(what) if isinstance(what, str) else what if isinstance(what, bytes) else what.encode()
        assert self.endpoint.send(self.assoc, data, ENRP_PPID)

    async def receive(self) -> bytes:
        """Return the next message that is not a presence."""
        return await asyncio.wait_for(self.inbox.get(), SOON)

    async def next_of_takeover(self) -> bytes:
        """Return the next message that is neither a presence nor a table request; both of these may come at any
        time."""
        while (received := await self.receive())[0] == HandleTableRequest.TYPE:
            pass
        return received

    async def expect(self, name: str) -> None:
        """Check that the next message has exactly these octets."""
        received = await self.receive()
        assert received.hex(" ", 4) == OCTETS[name], f"{name}: got {received.hex(' ', 4)}"

    async def answer(self) -> EnrpMessage:
        """Return the next message that is not a presence, decoded."""
        message = decode(await self.receive(), "enrp")
        assert isinstance(message, EnrpMessage)
        return message

    async def presence(self) -> Presence:
        """Return the next presence."""
        return await asyncio.wait_for(self.presences.get(), SOON)

    async def silent(self) -> None:
        """Check that only presences arrive."""
        try:
            received = await asyncio.wait_for(self.inbox.get(), SILENCE)
        except TimeoutError:
            return
        raise AssertionError(f"silence expected, got {received.hex(' ', 4)}")

    # Callbacks of the transport

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        self.assoc = assoc
        self.up.set()

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None:
        raise AssertionError("unexpected restart of the association")

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        assert ppid == ENRP_PPID
        message = decode(data, "enrp")
        match message:
            case Presence():
                self.known.set()
                self.presences.put_nowait(message)
                if message.reply_required and self.answering:
                    self.send(self.heartbeat)
            case ListRequest() | HandleTableRequest(own_only=False) if not self.answering:
                pass
            case ListRequest():
                self.mentoring = True
                self.send(ListResponse(sender_identifier=self.identifier, receiver_identifier=0))
            case HandleTableRequest(own_only=own_only) if self.mentoring or not own_only:
                self.send(HandleTableResponse(sender_identifier=self.identifier, receiver_identifier=0))
            case _:
                self.inbox.put_nowait(data)

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        raise AssertionError("unexpected: no fast lane is attached")

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        self.down.set()

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        """Ignored, because the fake registrar sends little."""

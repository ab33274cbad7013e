"""A toy transport wrapper: the interface's obligations of a wrapper, with XOR in place of encryption."""

from collections.abc import Callable, Sequence

from rserpool._fast.lane.lane import Lane
from rserpool.model.principal import Principal
from rserpool.protocol.peer import Peer
from rserpool.transport.interface import (
    MAX_MESSAGE_OCTETS,
    Address,
    AssociationGone,
    Down,
    Endpoint,
    Handler,
    Transport,
)

KEY = 0x5A
CLEAR = 4
"""Octets that stay in the clear: the common header, by whose length TCP frames a message."""


def seal(data: bytes) -> bytes:
    """Encrypt or decrypt a message."""
    return data[:CLEAR] + bytes(octet ^ KEY for octet in data[CLEAR:])


class WrappingEndpoint:
    """An Endpoint around an Endpoint whose peers wrap their messages too."""

    def __init__(self, handler: Handler, now: Callable[[], int]) -> None:
        self.handler = handler
        self.answered = 0
        """Answers of lanes that were sent."""
        self._now = now
        self._lanes: dict[int, Lane] = {}
        self._blocked: set[int] = set()
        self.inner: Endpoint

    @property
    def port(self) -> int:
        return self.inner.port

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        return self.inner.local_addresses

    @property
    def max_message(self) -> int:
        return self.inner.max_message

    def connect(self, addresses: Sequence[str | Address], port: int, *, udp_port: int | None = None) -> int:
        return self.inner.connect(addresses, port, udp_port=udp_port)

    def send(self, assoc: int, data: bytes, ppid: int) -> bool:
        if self.inner.send(assoc, seal(data), ppid):
            return True
        self._blocked.add(assoc)
        return False

    def pause(self, assoc: int) -> None:
        self.inner.pause(assoc)

    def resume(self, assoc: int) -> None:
        self.inner.resume(assoc)

    def shutdown(self, assoc: int) -> None:
        self.inner.shutdown(assoc)

    def abort(self, assoc: int) -> None:
        self.inner.abort(assoc)

    def peer_addresses(self, assoc: int) -> tuple[Address, ...]:
        return self.inner.peer_addresses(assoc)

    def rtt(self, assoc: int) -> float | None:
        return self.inner.rtt(assoc)

    async def close(self) -> None:
        await self.inner.close()

    def attach(self, assoc: int, lane: Lane) -> None:
        self._lanes[assoc] = lane

    # The inner endpoint's handler

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        proved = Peer(
            addresses=peer.addresses,
            port=peer.port,
            sctp=peer.sctp,
            principal=Principal(name="toy"),
            round_trip=peer.round_trip,
        )
        self.handler.on_up(self, assoc, proved)

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None:
        self.handler.on_restart(self, assoc)

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        plain = seal(data)
        lane = self._lanes.get(assoc)
        answer = lane.answer(plain, self._now()) if lane is not None and assoc not in self._blocked else None
        if answer is None:
            self.handler.on_message(self, assoc, plain, ppid)
            if lane is not None:
                lane.declined = False
        elif answer:
            self._send_answer(assoc, answer, ppid)

    def _send_answer(self, assoc: int, answer: bytes, ppid: int) -> None:
        try:
            sent = self.inner.send(assoc, seal(answer), ppid)
        except AssociationGone:
            return
        self.answered += sent
        if not sent:
            self.handler.on_answer(self, assoc, answer)

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        raise AssertionError("the inner endpoint has no lanes")

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        self._lanes.pop(assoc, None)
        self._blocked.discard(assoc)
        self.handler.on_down(self, assoc, reason)

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        self._blocked.discard(assoc)
        self.handler.on_writable(self, assoc)


class Eavesdropper:
    """A handler between an inner endpoint and its wrapper that records what came over the wire."""

    def __init__(self, wrapper: WrappingEndpoint, wire: list[bytes]) -> None:
        self._wire = wire
        self.on_up = wrapper.on_up
        self.on_restart = wrapper.on_restart
        self.on_answer = wrapper.on_answer
        self.on_down = wrapper.on_down
        self.on_writable = wrapper.on_writable
        self._on_message = wrapper.on_message

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        self._wire.append(data)
        self._on_message(endpoint, assoc, data, ppid)


class WrappingTransport:
    """A Transport whose endpoints are wrapped."""

    def __init__(self, inner: Transport, now: Callable[[], int]) -> None:
        self.inner = inner
        self.wire: list[bytes] = []
        """The messages that its endpoints have received, as they came over the wire."""
        self.endpoints: list[WrappingEndpoint] = []
        self._now = now

    @property
    def name(self) -> str:
        return f"wrapped {self.inner.name}"

    async def endpoint(
        self,
        handler: Handler,
        *,
        addresses: Sequence[str],
        port: int = 0,
        listen: bool = True,
        max_message: int = MAX_MESSAGE_OCTETS,
    ) -> WrappingEndpoint:
        made = WrappingEndpoint(handler, self._now)
        made.inner = await self.inner.endpoint(
            Eavesdropper(made, self.wire), addresses=addresses, port=port, listen=listen, max_message=max_message
        )
        self.endpoints.append(made)
        return made

    async def stop(self) -> None:
        await self.inner.stop()

"""Associations of all endpoints under numbers of the registrar's own, and what waits to be sent over each."""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import cast

from rserpool._fast.lane.lane import Lane
from rserpool.model.addresses import Address
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Connect, Protocol
from rserpool.transport.interface import AssociationGone, Attaching, Bundling, Down, Endpoint

IDLE_ROUNDS = 4
"""Sweeps in a row that find an association idle before it is closed."""


@dataclass(slots=True)
class Link:
    """One association: where it lives, whose it is, and the messages that its peer has not made room for."""

    number: int
    protocol: Protocol
    endpoint: Endpoint
    assoc: int
    peer: Peer
    waiting: deque[bytes] = field(default_factory=deque)
    octets: int = 0
    idle: int = 0
    """Sweeps since the last message."""
    lane: Lane | None = None
    attaching: Attaching | None = None
    """The endpoint, if it can do that; so is the next."""
    bundling: Bundling | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Whom the links tell what happens."""

    up: Callable[[int, Protocol, Peer], None]
    message: Callable[[int, bytes], None]
    down: Callable[[int], None]
    unreachable: Callable[[Protocol, tuple[Address, ...], int], None]
    ignored: Callable[[int, int], None]
    answer: Callable[[int, bytes], None]


@cache
def abilities(kind: type[Endpoint]) -> tuple[bool, bool]:
    """Whether such endpoints are Attaching, and Bundling; to find out takes 20 us."""
    return issubclass(kind, Attaching), issubclass(kind, Bundling)


class Links:
    """Every association of the registrar. Numbers start at 1 and are never used twice."""

    def __init__(self, events: Events, queued_octets: dict[Protocol, int]) -> None:
        self.events = events
        self._queued_octets = queued_octets
        self._numbers = itertools.count(1)
        self._by_number: dict[int, Link] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def add(self, protocol: Protocol, endpoint: Endpoint, assoc: int, peer: Peer) -> Link:
        """A new association under a new number."""
        link = Link(next(self._numbers), protocol, endpoint, assoc, peer)
        attaches, bundles = abilities(type(endpoint))
        link.attaching = cast(Attaching, endpoint) if attaches else None
        link.bundling = cast(Bundling, endpoint) if bundles else None
        self._by_number[link.number] = link
        self.events.up(link.number, protocol, peer)
        return link

    def remove(self, link: Link) -> None:
        """The association has ended."""
        del self._by_number[link.number]
        self.events.down(link.number)

    def send(self, number: int, data: bytes) -> bool:
        """Send, or queue while there is no room; False where the peer has let too much pile up. An association that
        has ended swallows the message: its end is on its way."""
        link = self._by_number.get(number)
        if link is None:
            return True
        link.idle = 0
        try:
            if not link.waiting and link.endpoint.send(link.assoc, data, link.protocol.value):
                return True
        except AssociationGone:
            return True
        link.waiting.append(data)
        link.octets += len(data)
        return link.octets <= self._queued_octets[link.protocol]

    def send_row(self, number: int, messages: list[bytes]) -> bool:
        """The same for messages that may share packets, where the transport can do that."""
        link = self._by_number.get(number)
        sent = 0
        if link is not None and link.bundling is not None and not link.waiting:
            link.idle = 0
            try:
                sent = link.bundling.send_row(link.assoc, messages, link.protocol.value)
            except AssociationGone:
                return True
        return all(self.send(number, data) for data in messages[sent:])

    def attach(self, number: int, lane: Lane) -> None:
        """Where the transport can, it answers from the lane what the lane serves; no event is told of that."""
        link = self._by_number.get(number)
        if link is not None and link.attaching is not None:
            link.lane = lane
            with contextlib.suppress(AssociationGone):
                link.attaching.attach(link.assoc, lane)

    def protocol(self, number: int) -> Protocol | None:
        """What an association carries; None once it has ended."""
        link = self._by_number.get(number)
        return link.protocol if link is not None else None

    def sweep(self) -> None:
        """Close in order what has been idle for IDLE_ROUNDS sweeps."""
        for link in self._by_number.values():
            if link.lane is not None and link.lane.used:
                link.lane.used = False
                link.idle = 0
            if link.idle == IDLE_ROUNDS:
                link.endpoint.shutdown(link.assoc)
            link.idle += 1

    def abort(self, number: int) -> None:
        """Abort an association, if it is still there."""
        link = self._by_number.get(number)
        if link is not None:
            link.endpoint.abort(link.assoc)

    def abort_all(self) -> None:
        """Abort every association; their ends are told of as ever."""
        for number in tuple(self._by_number):
            self.abort(number)


class Face:
    """The handler of one endpoint: puts its associations among the links."""

    def __init__(self, links: Links, protocol: Protocol, *, sctp: bool = True) -> None:
        self._links = links
        self._protocol = protocol
        self._sctp = sctp
        self._by_association: dict[int, Link] = {}
        self._calling: dict[int, Connect] = {}

    def connect(self, endpoint: Endpoint, call: Connect) -> None:
        """Open an association from the endpoint; what becomes of it is told as an event."""
        try:
            assoc = endpoint.connect(call.addresses, call.port)
        except OSError:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._links.events.unreachable, call.protocol, call.addresses, call.port)
            return
        if assoc not in self._by_association:
            self._calling[assoc] = call

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        self._calling.pop(assoc, None)
        self._by_association[assoc] = self._links.add(self._protocol, endpoint, assoc, peer)

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None:
        """The peer began anew: what it had registered is gone, and it is another association to us."""
        old = self._by_association.pop(assoc, None)
        if old is not None:
            self._links.remove(old)
            self._by_association[assoc] = self._links.add(self._protocol, endpoint, assoc, old.peer)

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        link = self._by_association.get(assoc)
        if link is None:
            return
        link.idle = 0
        if ppid == self._protocol.value:
            self._links.events.message(link.number, data)
        else:
            self._links.events.ignored(link.number, ppid)

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        """A lane's answer for which there was no room."""
        link = self._by_association.get(assoc)
        if link is not None:
            self._links.events.answer(link.number, data)

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        link = self._by_association.pop(assoc, None)
        if link is not None:
            self._links.remove(link)
        call = self._calling.pop(assoc, None)
        if call is not None:
            self._links.events.unreachable(call.protocol, call.addresses, call.port)

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        link = self._by_association.get(assoc)
        if link is None:
            return
        try:
            while link.waiting and endpoint.send(assoc, link.waiting[0], self._protocol.value):
                link.octets -= len(link.waiting.popleft())
        except AssociationGone:
            link.waiting.clear()
            link.octets = 0

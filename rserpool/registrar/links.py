"""Associations of all endpoints under numbers of the registrar's own, and what waits to be sent over each."""

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rserpool.protocol.addresses import Address
from rserpool.protocol.association import Peer
from rserpool.transport.interface import AssociationGone, Down, Endpoint

ASAP_PPID = 11


@dataclass(slots=True)
class Link:
    """One association: where it lives, and the messages that its peer has not made room for."""

    number: int
    endpoint: Endpoint
    association: int
    waiting: deque[bytes] = field(default_factory=deque)
    octets: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Whom the links tell what happens."""

    up: Callable[[int, Peer], None]
    message: Callable[[int, bytes], None]
    down: Callable[[int], None]
    ignored: Callable[[int, int], None]


class Links:
    """The handler of every ASAP endpoint. Numbers start at 1 and are never used twice."""

    def __init__(self, events: Events, queued_octets: int) -> None:
        self._events = events
        self._queued_octets = queued_octets
        self._numbers = itertools.count(1)
        self._by_association: dict[tuple[int, int], Link] = {}
        self._by_number: dict[int, Link] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    # The transport's calls

    def on_up(self, endpoint: Endpoint, association: int, addresses: tuple[Address, ...], port: int) -> None:
        link = Link(next(self._numbers), endpoint, association)
        self._by_association[id(endpoint), association] = link
        self._by_number[link.number] = link
        peer = Peer(
            addresses=addresses,
            port=port,
            sctp=endpoint.protocol == "sctp",
            round_trip=lambda: endpoint.rtt(association),
        )
        self._events.up(link.number, peer)

    def on_restart(self, endpoint: Endpoint, association: int) -> None:
        """The peer began anew: what it had registered is gone, and it is another association to us."""
        addresses, port = endpoint.peer_addresses(association), endpoint.peer_port(association)
        self.on_down(endpoint, association, Down.LOST)
        self.on_up(endpoint, association, addresses, port)

    def on_message(self, endpoint: Endpoint, association: int, data: bytes, ppid: int) -> None:
        link = self._by_association.get((id(endpoint), association))
        if link is None:
            return
        if ppid == ASAP_PPID:
            self._events.message(link.number, data)
        else:
            self._events.ignored(link.number, ppid)

    def on_down(self, endpoint: Endpoint, association: int, reason: Down) -> None:
        link = self._by_association.pop((id(endpoint), association), None)
        if link is not None:
            del self._by_number[link.number]
            self._events.down(link.number)

    def on_writable(self, endpoint: Endpoint, association: int) -> None:
        link = self._by_association.get((id(endpoint), association))
        if link is None:
            return
        try:
            while link.waiting and endpoint.send(association, link.waiting[0], ASAP_PPID):
                link.octets -= len(link.waiting.popleft())
        except AssociationGone:
            link.waiting.clear()
            link.octets = 0

    # The registrar's calls

    def send(self, number: int, data: bytes) -> bool:
        """Send, or queue while there is no room; False where the peer has let too much pile up. An association that
        has ended swallows the message: its end is on its way."""
        link = self._by_number.get(number)
        if link is None:
            return True
        try:
            if not link.waiting and link.endpoint.send(link.association, data, ASAP_PPID):
                return True
        except AssociationGone:
            return True
        link.waiting.append(data)
        link.octets += len(data)
        return link.octets <= self._queued_octets

    def abort(self, number: int) -> None:
        """Abort an association, if it is still there."""
        link = self._by_number.get(number)
        if link is not None:
            link.endpoint.abort(link.association)

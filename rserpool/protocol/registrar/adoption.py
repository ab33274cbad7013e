"""Informs pool elements that were taken over of their new home (RFC 5353 3.5.2).

An element is informed over the association from its ASAP transport. If there is no such association, the registrar
opens one; a rate limits how many it opens.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.lane.takeover import home_keep_alives, start_answer_timers
from rserpool.messages import SCTPTransport, decode_parameter
from rserpool.model.addresses import Address, plain
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.registrar.actions import Action, Connect, Protocol, SendRow
from rserpool.protocol.registrar.association import Association
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.ownership import ElementName, Ownership
from rserpool.protocol.registrar.updates import Updates

TIMEOUTS = 3
"""The number of keep-alive time-outs within which an element that was taken over must acknowledge. They include the
time to connect."""

Endpoint = tuple[tuple[Address, ...], int]
"""Addresses and port of the ASAP endpoint of pool elements."""


@dataclass(slots=True)
class Connection:
    """The association that is to be opened to an endpoint, and the elements there that were taken over."""

    names: list[ElementName]
    requested: bool = False
    """True if the transport was asked to open it."""


class Adoption:
    """Elements that were taken over and have not been informed."""

    def __init__(self, context: RegistrarContext, ownership: Ownership, updates: Updates) -> None:
        limits = context.settings.limits
        self._context = context
        self._ownership = ownership
        self._updates = updates
        self._associations: dict[tuple[Address, int], int] = {}
        """Numbers of SCTP associations, by each address and the port at the other end."""
        self._connections: dict[Endpoint, Connection] = {}
        self._endpoints_at: dict[tuple[Address, int], list[Endpoint]] = {}
        """The endpoints of ``_connections``, by each of their addresses and the port."""
        self._to_connect: deque[Endpoint] = deque()
        self._connect_rate = Bucket(limits.takeover_calls, limits.takeover_calls_burst, 0)
        self._to_inform: deque[tuple[int, list[ElementName]]] = deque()
        """Keep-alives to send: the number of an association, and the elements to inform over it."""
        self._connecting = self._informing = self._confirming = False
        """Each is True while the timer for the next slice of its work is armed."""

    def adopt(self, found: dict[bytes, list[ElementName]], now: int) -> list[Action]:
        """Inform elements that were taken over, given by ASAP transport, by keep-alives with H=1 (RFC 5353 3.5.2).
        They must acknowledge in time."""
        for parameter, names in found.items():
            transport = decode_parameter(parameter, SCTPTransport)
            self._ownership.add_unconfirmed(names)
            self._updates.pools_changed(names, now)
            numbers = (self._associations.get((address, transport.port)) for address in transport.addresses)
            number = next((number for number in numbers if number is not None), None)
            if number is not None:
                self._to_inform.append((number, names))
            else:
                self._enqueue((transport.addresses, transport.port), names, now)
        if not self._confirming:
            self._confirming = True
            self._after(self._context.slices.confirmed_pause, now, self._announce_confirmed)
        return [*self._inform(now), *self._connect(now)]

    def _after(self, seconds: float, now: int, callback: Callable[[int], list[Action]]) -> None:
        self._context.wheel.insert(now + round(seconds * MICROSECONDS), callback)

    def _deadline(self, now: int) -> int:
        """The time until which an element must acknowledge its new home."""
        return now + TIMEOUTS * self._context.keep_alive_timeout

    def _announce_confirmed(self, now: int) -> list[Action]:
        """Send one slice of the updates on elements that have acknowledged over the fast lane."""
        slices, handlespace = self._context.slices, self._context.handlespace
        actions = self._updates.renewed(now, slices.confirmed)
        self._confirming = bool(self._ownership.unconfirmed or handlespace.updated)
        if self._confirming:
            self._after(slices.pause if handlespace.updated else slices.confirmed_pause, now, self._announce_confirmed)
        return actions

    # Associations

    def associated(self, association: Association, now: int) -> list[Action]:
        """An association came up: elements that were taken over may be at its other end. A user's TCP connection, whose
        port may be the same, does not count."""
        if not association.peer.sctp:
            return []
        port = association.peer.port
        self._associations.update(((address, port), association.number) for address in association.hosts)
        if not self._connections:
            return []
        for address in map(plain, association.peer.addresses):
            for endpoint in tuple(self._endpoints_at.get((address, port), ())):
                self._to_inform.append((association.number, self._dequeue(endpoint)))
        return self._inform(now)

    def lost(self, association: Association) -> None:
        """An association ended."""
        for address in association.hosts:
            if self._associations.get((address, association.peer.port)) == association.number:
                del self._associations[address, association.peer.port]

    def unreachable(self, endpoint: Endpoint) -> list[ElementName]:
        """An association could not be opened. Returns the elements at the endpoint that are still ours and have no
        other association."""
        gone = []
        for name in self._dequeue(endpoint):
            view = self._context.handlespace.find(*name)
            if view is not None and view.home_identifier == self._context.identifier and not view.connection:
                gone.append(name)
        return gone

    # Connecting

    def _enqueue(self, endpoint: Endpoint, names: list[ElementName], now: int) -> None:
        """Queue an association to an endpoint, or add elements to one already queued."""
        connection = self._connections.get(endpoint)
        if connection is None:
            self._connections[endpoint] = Connection(names)
            for address in endpoint[0]:
                self._endpoints_at.setdefault((address, endpoint[1]), []).append(endpoint)
            self._to_connect.append(endpoint)
            return
        connection.names += names
        if connection.requested:
            start_answer_timers(self._context.handlespace, names, self._deadline(now))

    def _dequeue(self, endpoint: Endpoint) -> list[ElementName]:
        """Connecting to an endpoint is over. Returns its elements."""
        connection = self._connections.pop(endpoint, None)
        if connection is None:
            return []
        for address in endpoint[0]:
            endpoints = self._endpoints_at[address, endpoint[1]]
            endpoints.remove(endpoint)
            if not endpoints:
                del self._endpoints_at[address, endpoint[1]]
        return connection.names

    def _connect(self, now: int) -> list[Action]:
        """Open one slice of the queued associations, as far as the rate allows."""
        actions: list[Action] = []
        if self._connecting:
            return actions
        slices = self._context.slices
        pause = slices.pause
        while self._to_connect and len(actions) < slices.connects:
            connection = self._connections.get(self._to_connect[0])
            if connection is not None and not self._connect_rate.take(now):
                pause = slices.connect_retry
                break
            endpoint = self._to_connect.popleft()
            if connection is None:
                continue
            connection.requested = True
            if start_answer_timers(self._context.handlespace, connection.names, self._deadline(now)):
                actions.append(Connect(Protocol.ASAP, *endpoint))
            else:
                self._dequeue(endpoint)
        if self._to_connect:
            self._connecting = True
            self._after(pause, now, self._connect_next)
        return actions

    def _connect_next(self, now: int) -> list[Action]:
        self._connecting = False
        return self._connect(now)

    # Keep-alives with H=1

    def _inform(self, now: int) -> list[Action]:
        """Send one slice of the queued keep-alives."""
        actions: list[Action] = []
        if self._informing:
            return actions
        most = room = self._context.slices.keep_alives
        while self._to_inform and room > 0:
            number, names = self._to_inform.popleft()
            if len(names) > most:
                self._to_inform.appendleft((number, names[most:]))
            actions += self._keep_alives(number, names[:most], now)
            room -= len(names)
        if room < most:
            self._informing = True
            self._after(self._context.slices.pause, now, self._inform_next)
        return actions

    def _inform_next(self, now: int) -> list[Action]:
        self._informing = False
        return self._inform(now)

    def _keep_alives(self, number: int, names: list[ElementName], now: int) -> list[Action]:
        """Send keep-alives with H=1 over an association. If it has ended, the elements have until their deadline to
        associate again."""
        handlespace = self._context.handlespace
        association = self._context.associations.get(number)
        if association is None:
            start_answer_timers(handlespace, names, self._deadline(now))
            return []
        messages, joined = home_keep_alives(handlespace, names, number, self._deadline(now))
        association.registrant.elements += joined
        self._context.counters.count(Count.KEEP_ALIVES, len(messages))
        return [SendRow(number, messages)] if messages else []

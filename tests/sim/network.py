"""A simulated network: SCTP associations with random delay and in order, between hosts that can be cut off, crash and
come back; and multicast. One random generator decides everything.

Both ends know an association, and they can disagree, as SCTP's ends can: each end notices a host that is cut off or
vanished after a time-out of its own; an end whose peer has forgotten it is aborted.
"""

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from random import Random
from typing import Literal, Protocol

from tests.sim.clock import Clock
from tests.sim.history import History

Item = tuple[int, Literal["up", "data", "end"], bytes]
Kind = Literal["asap", "enrp", "data"]
"""The use of an endpoint: one of the registrars' two protocols, or the data of sessions."""

ROOM = 262_144
"""The most octets that may wait on one association in one direction."""
DATA_ROOM = 200
"""The same for an association that carries data: small, so that its ends must wait for room."""
CONNECT_PATIENCE = 4.0
"""Seconds after which a connect to a host that does not answer fails."""
LONG_PATIENCE = 60.0
"""The same for a caller that has a time limit of its own."""
LOSS_PATIENCE = (3.0, 12.0)
"""Seconds after which an end that gets no answers gives up its association: minimum and maximum."""
HEARTBEAT = 4.0
"""The longest time until an idle end notices that its peer has forgotten it, in seconds."""


class End(enum.Enum):
    """The ways in which an end of an association can end."""

    SHUT_DOWN = "is shut down"
    GIVEN_UP = "gives up"
    LOST = "is lost"
    FORGOTTEN = "is forgotten"
    RESTARTED = "is restarted"
    """The peer had lost its own end and set up another association."""


class Owner(Protocol):
    """Callbacks of the owner of endpoints. ``writable`` follows after offer() has refused a message."""

    def up(self, side: "Side") -> None: ...
    def message(self, side: "Side", data: bytes) -> None: ...
    def down(self, side: "Side") -> None: ...
    def writable(self, side: "Side") -> None: ...
    def unreachable(self, endpoint: "Endpoint", address: IPv4Address, port: int) -> None: ...


@dataclass(slots=True, eq=False)
class Host:
    """One machine. Hosts of different groups do not reach one another; a silent host reaches nobody."""

    name: str
    address: IPv4Address
    group: int = 0
    silent: bool = False


@dataclass(slots=True, eq=False)
class Endpoint:
    """One SCTP port of a host. ``sides`` are its associations by the peer's address and port."""

    host: Host
    port: int
    kind: Kind
    owner: Owner
    alive: bool = True
    sides: dict[tuple[IPv4Address, int], "Side"] = field(default_factory=dict)
    pending: set[tuple[IPv4Address, int]] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Side:
    """One end of an association. ``number`` is for its owner."""

    endpoint: Endpoint
    there: Endpoint
    other: "Side | None" = None
    is_up: bool = False
    over: bool = False
    closing: bool = False
    """Whether this end has shut it down: what was sent before still arrives, from either end."""
    end: End | None = None
    """How it ended, where its owner did not end it."""
    number: int = 0
    cut: int = 0
    """Counts cuts and healings, so that a time-out of an earlier cut does not count."""
    queue: deque[Item] = field(default_factory=deque)
    octets: int = 0
    blocked: bool = False
    moving: bool = False
    last: int = 0


class Network:
    """Connects the hosts."""

    def __init__(self, clock: Clock, randomness: Random, history: History, *, slowest: float = 0.05) -> None:
        self.clock = clock
        self.history = history
        self._random = randomness
        self._slowest = slowest
        self._endpoints: dict[tuple[IPv4Address, int], Endpoint] = {}
        self._hosts: dict[IPv4Address, Host] = {}
        self._pairs: dict[int, tuple[Side, Side]] = {}
        self._made = 0
        self._cuts: set[frozenset[str]] = set()
        self._listeners: dict[str, list[tuple[Host, Callable[[bytes, IPv4Address, int], None]]]] = {}

    def _delay(self) -> float:
        """Draw a delay in seconds: mostly short, sometimes long."""
        return 0.0002 + self._slowest * self._random.random() ** 4

    # Hosts and links

    def add(self, host: Host) -> None:
        self._hosts[host.address] = host

    def listen(self, host: Host, port: int, kind: Kind, owner: Owner) -> Endpoint:
        """Open an endpoint at a port. An earlier endpoint there must be closed."""
        key = (host.address, port)
        assert key not in self._endpoints, f"{host.name} listens at {port} already"
        self._endpoints[key] = Endpoint(host, port, kind, owner)
        return self._endpoints[key]

    def reaches(self, one: Host, other: Host) -> bool:
        """True if what one host sends arrives at the other."""
        if one.silent or other.silent or one.group != other.group:
            return False
        return not self._cuts or frozenset((one.name, other.name)) not in self._cuts

    def cut(self, one: Host, other: Host) -> None:
        """Cut the link between two hosts."""
        self._cuts.add(frozenset((one.name, other.name)))
        self.links_changed()

    def heal(self) -> None:
        """Let every running host reach every other again."""
        self._cuts.clear()
        for host in self._hosts.values():
            host.group = 0
        self.links_changed()

    def links_changed(self) -> None:
        """Apply a change of groups, cuts or silence: start or stop time-outs, and deliver what waited."""
        for number, (one, other) in tuple(self._pairs.items()):
            if one.over and other.over:
                del self._pairs[number]
                continue
            reached = self.reaches(one.endpoint.host, other.endpoint.host)
            for side in (one, other):
                if side.over:
                    continue
                if not reached and side.cut % 2 == 0:
                    side.cut += 1
                    self.clock.after(self._random.uniform(*LOSS_PATIENCE), self._timed_out, side, side.cut)
                elif reached and side.cut % 2:
                    side.cut += 1
                    self._move(side)
                if reached and side.other is not None and side.other.over:
                    self.clock.after(self._random.uniform(0, HEARTBEAT), self._forgotten, side, side.cut)

    def _timed_out(self, side: Side, cut: int) -> None:
        if not side.over and side.cut == cut:
            self._end(side, End.GIVEN_UP)

    def _forgotten(self, side: Side, cut: int) -> None:
        if not side.over and side.cut == cut and side.other is not None and side.other.over:
            self._end(side, End.FORGOTTEN)

    # Associations

    def connect(self, endpoint: Endpoint, address: IPv4Address, port: int, most: float = CONNECT_PATIENCE) -> bool:
        """Open an association within ``most`` seconds; up() or unreachable() follows. Returns False, and nothing
        follows, if there is one already."""
        key = (address, port)
        if key in endpoint.sides or key in endpoint.pending:
            return False
        endpoint.pending.add(key)
        self.clock.after(self._delay(), self._initiate, endpoint, key, self._random.uniform(1, most))
        return True

    def give_up(self, endpoint: Endpoint, address: IPv4Address, port: int) -> None:
        """Cancel a connect(). No event follows."""
        key = (address, port)
        endpoint.pending.discard(key)
        side = endpoint.sides.get(key)
        if side is not None and not side.is_up:
            self._drop(side)

    def _initiate(self, endpoint: Endpoint, key: tuple[IPv4Address, int], patience: float) -> None:
        if not endpoint.alive or key not in endpoint.pending:
            return
        host = self._hosts.get(key[0])
        if host is None or not self.reaches(endpoint.host, host):
            if patience > 0:
                self.clock.after(1.0, self._initiate, endpoint, key, patience - 1.0)
            else:
                self._refused(endpoint, key)
            return
        there = self._endpoints.get(key)
        if there is None or there is endpoint:
            self.clock.after(self._delay(), self._refused, endpoint, key)
        else:
            self._establish(endpoint, there)

    def _refused(self, endpoint: Endpoint, key: tuple[IPv4Address, int]) -> None:
        if endpoint.alive and key in endpoint.pending:
            endpoint.pending.discard(key)
            self._note(endpoint.host, f"cannot reach {self._name(key[0])}")
            endpoint.owner.unreachable(endpoint, *key)

    def _establish(self, endpoint: Endpoint, there: Endpoint) -> None:
        """Establish an association: at the peer at once, at the caller a moment later. This ends an older end that the
        peer still had with the caller's predecessor."""
        here_key, there_key = (endpoint.host.address, endpoint.port), (there.host.address, there.port)
        old = there.sides.get(here_key)
        if old is not None:
            self._end(old, End.RESTARTED)
        endpoint.pending.discard(there_key)
        there.pending.discard(here_key)
        one, other = Side(endpoint, there), Side(there, endpoint)
        one.other, other.other = other, one
        endpoint.sides[there_key], there.sides[here_key] = one, other
        self._made += 1
        self._pairs[self._made] = (one, other)
        self._put(other, "up", b"")
        other.is_up = True
        there.owner.up(other)

    def _put(self, side: Side, what: Literal["up", "data", "end"], data: bytes) -> None:
        side.last = max(side.last, self.clock.now + round(self._delay() * 1_000_000))
        side.queue.append((side.last, what, data))
        self._move(side)

    def _move(self, side: Side) -> None:
        if side.queue and not side.moving:
            side.moving = True
            self.clock.at(side.queue[0][0], self._arrive, side)

    def _arrive(self, side: Side) -> None:
        side.moving = False
        other = side.other
        assert other is not None
        if not side.queue or not self.reaches(side.endpoint.host, other.endpoint.host):
            return
        _, what, data = side.queue.popleft()
        side.octets -= len(data)
        if other.over or not other.endpoint.alive:
            side.queue.clear()
            other.over = True
            self.clock.after(self._delay(), self._forgotten, side, side.cut)
            return
        if side.blocked and side.octets < DATA_ROOM:
            side.blocked = False
            self.clock.at(self.clock.now, self._writable, side)
        if what == "data":
            host, to = side.endpoint.host, other.endpoint.host
            self.history.add(self.clock.now, other.endpoint.kind, f"{host.name}>{to.name}", data)
            other.endpoint.owner.message(other, data)
        elif what == "up":
            other.is_up = True
            other.endpoint.owner.up(other)
        else:
            self._end(other, End.SHUT_DOWN)
            self.clock.after(self._delay(), self._confirmed, side)
        self._move(side)

    def _writable(self, side: Side) -> None:
        if not side.over and side.endpoint.alive:
            side.endpoint.owner.writable(side)

    def _confirmed(self, side: Side) -> None:
        if not side.over:
            self._end(side, End.SHUT_DOWN)

    def send(self, side: Side, data: bytes) -> bool:
        """Send a message. Returns False if too many messages wait. An end that is over swallows it."""
        if side.over or side.closing:
            return True
        side.octets += len(data)
        self._put(side, "data", data)
        return side.octets <= ROOM

    def offer(self, side: Side, data: bytes) -> bool:
        """Send a message if there is room; otherwise writable() follows."""
        if side.octets + len(data) > DATA_ROOM and side.octets and not side.over:
            side.blocked = True
            return False
        return self.send(side, data)

    def shut_down(self, side: Side) -> None:
        """End an association in order: messages sent before arrive. The owner gets down() later."""
        if not side.over and not side.closing:
            side.closing = True
            self._put(side, "end", b"")
            self._detach(side)

    def abort(self, side: Side) -> None:
        """End an association at once. The owner gets down() later."""
        if not side.over:
            self._drop(side)
            self.clock.at(self.clock.now, side.endpoint.owner.down, side)

    def _drop(self, side: Side) -> None:
        side.over = True
        side.queue.clear()
        self._detach(side)
        if side.other is not None and self.reaches(side.endpoint.host, side.there.host):
            self.clock.after(self._delay(), self._forgotten, side.other, side.other.cut)

    def lose(self, endpoint: Endpoint, most: float) -> None:
        """Lose one random association of an endpoint. Each end notices within so many seconds."""
        sides = [side for side in endpoint.sides.values() if side.is_up]
        if not sides:
            return
        side = self._random.choice(sides)
        self._note(side.endpoint.host, f"loses its association with {side.there.host.name}")
        for end in (side, side.other):
            if end is not None and not end.over:
                self.clock.after(self._random.uniform(0, most), self._lost, end)

    def _lost(self, side: Side) -> None:
        if not side.over:
            self._end(side, End.LOST)

    def _end(self, side: Side, how: End) -> None:
        side.over = True
        side.end = how
        side.queue.clear()
        self._detach(side)
        if not side.endpoint.alive:
            return
        self._note(side.endpoint.host, f"association with {side.there.host.name} {how.value}")
        if side.is_up:
            side.endpoint.owner.down(side)
        else:
            side.endpoint.owner.unreachable(side.endpoint, side.there.host.address, side.there.port)

    def _detach(self, side: Side) -> None:
        key = (side.there.host.address, side.there.port)
        if side.endpoint.sides.get(key) is side:
            del side.endpoint.sides[key]

    def close(self, endpoint: Endpoint, *, silently: bool, orderly: bool = False) -> None:
        """Close an endpoint. Its peers get an ABORT, an orderly end after what was sent, or nothing."""
        endpoint.alive = False
        endpoint.pending.clear()
        del self._endpoints[endpoint.host.address, endpoint.port]
        for side in tuple(endpoint.sides.values()):
            if orderly and side.is_up:
                self.shut_down(side)
                continue
            side.over = True
            side.queue.clear()
            other = side.other
            if other is not None and not silently and self.reaches(endpoint.host, other.endpoint.host):
                self.clock.after(self._delay(), self._forgotten, other, other.cut)
        endpoint.sides.clear()

    # Multicast

    def join(self, group: str, host: Host, listener: Callable[[bytes, IPv4Address, int], None]) -> None:
        """Receive what is sent to a group. A host has one listener; a later one replaces it."""
        others = [entry for entry in self._listeners.get(group, ()) if entry[0] is not host]
        self._listeners[group] = [*others, (host, listener)]

    def multicast(self, group: str, host: Host, port: int, data: bytes) -> None:
        """Send a datagram to everybody else in the group. It may be lost."""
        for target, listener in self._listeners.get(group, ()):
            if target is not host and self.reaches(host, target) and self._random.random() > 0.01:
                self.clock.after(self._delay(), self._heard, listener, host, target, port, data)

    def _heard(
        self, listener: Callable[[bytes, IPv4Address, int], None], host: Host, target: Host, port: int, data: bytes
    ) -> None:
        if self.reaches(host, target):
            listener(data, host.address, port)

    def _name(self, address: IPv4Address) -> str:
        host = self._hosts.get(address)
        return str(address) if host is None else host.name

    def _note(self, host: Host, text: str) -> None:
        self.history.text(self.clock.now, host.name, text)

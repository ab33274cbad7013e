"""A simulated process of pool elements and a pool user: the client protocol's Node between the simulated network and a
clock of its own."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address
from random import Random

from rserpool.messages import EndpointUnreachable, decode
from rserpool.protocol.actions import Abort, Level, Note, Send, Shutdown
from rserpool.protocol.client.actions import Action, Dial, Publish
from rserpool.protocol.client.candidate_list import ServerAddress
from rserpool.protocol.client.events import ClientEvent, ElementStatus, PoolChanged, Resolution
from rserpool.protocol.client.hunt import AT_ONCE
from rserpool.protocol.client.node import Node
from rserpool.protocol.peer import Peer
from rserpool.settings.client import ClientSettings
from tests.sim.caller import Caller
from tests.sim.ledger import Violation
from tests.sim.member import Member
from tests.sim.network import LONG_PATIENCE, Endpoint, Side
from tests.sim.process import Process

PE_PORT = 4711
LOOKS = 5.0
"""Seconds between two resolutions of a watched pool whose registrar sends no updates."""
Answer = Callable[[Resolution | None], None]


@dataclass(slots=True, eq=False)
class Line:
    """One association with a registrar, or an attempt to open one."""

    number: int
    place: tuple[IPv4Address, int]
    dialled: bool
    side: Side | None = None


@dataclass(slots=True, eq=False)
class Client(Process):
    """One node with its elements, and the application of its user, which watches pools and holds sessions with them."""

    settings: ClientSettings = field(default_factory=ClientSettings)
    places: tuple[ServerAddress, ...] = ()
    """The registrars that it is configured with."""
    hears: bool = False
    """Whether it hears registrars' announcements."""
    pools: tuple[bytes, ...] = ()
    """The pools that its user watches."""
    members: list[Member] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    node: Node | None = None
    watched: dict[bytes, PoolChanged] = field(default_factory=dict)
    """The last resolution of each pool."""
    lines: dict[int, Line] = field(default_factory=dict)
    reports: "Counter[tuple[bytes, int]]" = field(default_factory=Counter)
    """Reports of the user that no registrar has got yet."""
    _endpoint: Endpoint | None = None
    _dialling: dict[tuple[IPv4Address, int], Line] = field(default_factory=dict)
    _tickets: dict[int, Answer] = field(default_factory=dict)
    _events: deque[ClientEvent] = field(default_factory=deque)
    _telling: bool = False

    @property
    def running(self) -> bool:
        return self.node is not None

    @property
    def home(self) -> Side | None:
        """The association with the home registrar, or None."""
        node = self.node
        home = node.context.home if node is not None else None
        line = self.lines.get(home.number) if home is not None else None
        return line.side if line is not None else None

    # Life

    def start(self) -> None:
        """Start the process and register its elements."""
        if self.running:
            return
        self._begun()
        self.note("starts")
        self._endpoint = self.network.listen(self.host, PE_PORT, "asap", self)
        if self.hears:
            self.network.join("asap", self.host, self._announced)
        seed = self.randomness.getrandbits(60)
        self.node = Node(self.settings, Random(seed), self.now(), self.places)
        self._carry_out(self.node.start(self.now()))
        for member in self.members:
            if member.wanted:
                member.begin()
        for pool in self.pools:
            self.node.user.watch(pool, self.now(), LOOKS)
        self.settle()
        for caller in self.callers:
            self.later(self.randomness.uniform(0, 1), caller.begin)

    def stop(self, *, silently: bool) -> None:
        """End the process: it is killed and its system aborts its associations or ends them in order, or its host
        vanishes ``silently``."""
        if not self.running:
            return
        orderly = not silently and self.randomness.random() < 0.5
        how = "its associations ending in order" if orderly else "its associations aborted"
        self.note("its host is gone" if silently else f"is killed, {how}")
        assert self._endpoint is not None
        self.network.close(self._endpoint, silently=silently, orderly=orderly)
        self.node = self._endpoint = None
        for member in self.members:
            member.ended(silently=silently, orderly=orderly)
        for caller in self.callers:
            caller.reset(silently=silently, orderly=orderly)
        for record in (self.lines, self._dialling, self._tickets, self._events, self.watched, self.reports):
            record.clear()
        self._over(silently=silently)

    # Requests of the application

    def settle(self) -> None:
        """Carry out the actions of the node."""
        if self.node is not None:
            self._carry_out(self.node.drain())

    def resolve(self, pool: bytes, answer: Answer) -> None:
        """Ask a registrar for a pool. The answer is None if no registrar answers after all repetitions."""
        assert self.node is not None
        ticket = self.node.user.resolve(pool, self.now(), fresh_within=0)
        self._tickets[ticket] = answer
        settings = self.settings
        self.later(settings.request_timeout * (1 + settings.max_request_retransmits), partial(self._late, ticket))
        self.settle()

    def _late(self, ticket: int) -> None:
        answer = self._tickets.pop(ticket, None)
        if answer is not None and self.node is not None:
            self.node.user.cancel(ticket)
            self.settle()
            answer(None)

    def ask(self, what: Callable[[], None]) -> None:
        """Run something of the application as soon as possible."""
        if self.running:
            self._happens(what)
            self.rearm()

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Its endpoints, while it runs."""
        owners: list[Member | Caller] = [*self.members, *self.callers]
        used = (self._endpoint, *(owner.endpoint for owner in owners))
        return tuple(endpoint for endpoint in used if endpoint is not None)

    def report(self, pool: bytes, identifier: int) -> None:
        """Report an element as unreachable to the registrar."""
        assert self.node is not None
        if self.node.user.report(pool, identifier, self.now()):
            self.reports[pool, identifier] += 1
        self.settle()

    def check(self) -> None:
        """Raise Violation if the node has too many associations, or a session waits for too long."""
        if not self.still:
            for caller in self.callers:
                caller.check()
        dialled = sum(line.dialled for line in self.lines.values())
        if dialled > AT_ONCE:
            raise Violation(f"{self.name} has opened {dialled} associations with registrars, more than {AT_ONCE}")
        if len(self.lines) > AT_ONCE + 2 * self.settings.incoming:
            raise Violation(f"{self.name} has {len(self.lines)} associations with registrars")

    # Network events

    def _up(self, side: Side) -> None:
        if not side.endpoint.alive or self.node is None:
            return
        if side.endpoint is not self._endpoint:
            self._owner(side.endpoint).up(side)
            return
        host, port = side.there.host, side.there.port
        line = self._dialling.pop((host.address, port), None)
        if line is None:
            line = Line(self.node.number(), (host.address, port), dialled=False)
            self.lines[line.number] = line
        line.side, side.number = side, line.number
        self._carry_out(self.node.up(line.number, Peer(addresses=(host.address,), port=port, sctp=True), self.now()))

    def _message(self, side: Side, data: bytes) -> None:
        if not side.endpoint.alive or self.node is None:
            return
        if side.endpoint is not self._endpoint:
            self._owner(side.endpoint).message(side, data)
        elif side.number in self.lines:
            self._carry_out(self.node.received(side.number, data, self.now()))

    def _down(self, side: Side) -> None:
        if not side.endpoint.alive:
            return
        if side.endpoint is not self._endpoint:
            self._owner(side.endpoint).down(side)
        else:
            self._lost(side.number)

    def _writable(self, side: Side) -> None:
        if side.endpoint.alive and side.endpoint is not self._endpoint:
            self._owner(side.endpoint).writable(side)

    def _unreachable(self, endpoint: Endpoint, address: IPv4Address, port: int) -> None:
        if not endpoint.alive:
            return
        if endpoint is self._endpoint:
            line = self._dialling.pop((address, port), None)
            if line is not None:
                self._lost(line.number)
            return
        for caller in self.callers:
            if caller.endpoint is endpoint:
                caller.unreachable(address, port)

    def _owner(self, endpoint: Endpoint) -> "Member | Caller":
        owners: list[Member | Caller] = [*self.members, *self.callers]
        return next(owner for owner in owners if owner.endpoint is endpoint)

    def _lost(self, number: int) -> None:
        """An association or an attempt has ended."""
        if self.node is not None and self.lines.pop(number, None) is not None:
            self._carry_out(self.node.down(number, self.now()))

    def _announced(self, data: bytes, address: IPv4Address, port: int) -> None:
        if self.node is not None and not self.still:
            self._carry_out(self.node.announced(data, address, port, self.now()))

    # Actions

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(number, data):
                    self._send(number, data)
                case Dial(number, addresses, port, _):
                    self._dial(number, addresses[0], port)
                case Abort(number):
                    self._abort(number)
                case Shutdown(number):
                    line = self.lines.get(number)
                    if line is not None and line.side is not None:
                        self.network.shut_down(line.side)
                case Publish(event):
                    self._events.append(event)
                case Note(level, _, text):
                    if level >= Level.INFO:
                        self.note(text)
        self._tell()
        self.rearm()

    def _send(self, number: int, data: bytes) -> None:
        line = self.lines.get(number)
        if line is None or line.side is None:
            return
        if data[0] == EndpointUnreachable.TYPE:
            self._reported(data)
        if not self.network.send(line.side, data):
            self.network.abort(line.side)

    def _reported(self, data: bytes) -> None:
        message = decode(data, "asap")
        assert isinstance(message, EndpointUnreachable)
        about = message.pool_handle, message.pe_identifier
        if not self.reports[about]:
            raise Violation(f"{self.name} reports element {about[1]:08x}, which its user has not reported")
        self.reports[about] -= 1

    def _dial(self, number: int, address: object, port: int) -> None:
        assert isinstance(address, IPv4Address)
        assert self._endpoint is not None
        line = self.lines[number] = Line(number, (address, port), dialled=True)
        if self.network.connect(self._endpoint, address, port, LONG_PATIENCE):
            self._dialling[line.place] = line
        else:
            self.later(0, partial(self._lost, number))

    def _abort(self, number: int) -> None:
        line = self.lines.get(number)
        if line is None:
            return
        if line.side is not None:
            self.network.abort(line.side)
        elif self._dialling.get(line.place) is line:
            del self._dialling[line.place]
            assert self._endpoint is not None
            self.network.give_up(self._endpoint, *line.place)
            self.later(0, partial(self._lost, number))

    def _tell(self) -> None:
        """Deliver an event to the application, which may make new requests at once."""
        if self._telling:
            return
        self._telling = True
        while self._events:
            event = self._events.popleft()
            match event:
                case ElementStatus(element=number):
                    for member in self.members:
                        if member.element is not None and member.element.number == number:
                            member.heard(event)
                case Resolution(ticket=ticket):
                    answer = self._tickets.pop(ticket, None)
                    if answer is not None:
                        answer(event)
                case PoolChanged(pool_handle=pool):
                    self.watched[pool] = event
        self._telling = False

    # Time

    def rearm(self) -> None:
        """Schedule the next event again, because a deadline may have changed."""
        self._schedule()

    def _next(self) -> int | None:
        assert self.node is not None
        deadlines = [caller.deadline for caller in self.callers]
        due = [deadline for deadline in (self.node.next_expiry, *deadlines) if deadline is not None]
        for member in self.members:
            due += member.service.deadlines
        return min(due, default=None)

    def _expire(self) -> None:
        assert self.node is not None
        now = self.now()
        self._carry_out(self.node.advance(now))
        for caller in self.callers:
            caller.advance(now)
        for member in self.members:
            member.service.advance(now)
        self.rearm()

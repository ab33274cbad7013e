"""A simulated registrar process: its protocol object between the simulated network and its own clock."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv4Address
from random import Random

from rserpool.protocol.actions import (
    Abort,
    Action,
    Announce,
    AnnouncePresence,
    Connect,
    Level,
    Note,
    Protocol,
    Renumber,
    Send,
)
from rserpool.protocol.association import Peer
from rserpool.protocol.registrar import Reachable, Registrar
from rserpool.settings import Settings
from tests.sim.clock import SECOND
from tests.sim.history import History
from tests.sim.network import Endpoint, Host, Network, Side

ASAP_PORT = 3863
ENRP_PORT = 9901
PROTOCOLS = {"asap": Protocol.ASAP, "enrp": Protocol.ENRP}
INBOX = 50_000
"""Events that a stopped process may find when it goes on."""

Place = tuple[tuple[IPv4Address, ...], int]


@dataclass(slots=True, eq=False)
class Node:
    """One registrar: runs, crashes, restarts, stands still, and has a clock that can leap forward."""

    network: Network
    host: Host
    randomness: Random
    history: History
    registrar: Registrar | None = None
    started: int = 0
    """When it was started last, in the simulation's time."""
    disturbed: int = 0
    """When its clock or its process was disturbed last."""
    leapt: int | None = None
    """When its clock leapt last: the lives that it counted then end early."""
    offset: int = 0
    still: bool = False
    _inbox: deque[Callable[[], None]] = field(default_factory=deque)
    _endpoints: dict[str, Endpoint] = field(default_factory=dict)
    _sides: dict[int, Side] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _static_peers: tuple[Place, ...] = ()
    _timer: int = -1
    _due: int | None = None

    def other_end(self, number: int) -> Side | None:
        """The other end of one of the registrar's associations."""
        side = self._sides.get(number)
        return side.other if side is not None else None

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Its endpoints, while it runs."""
        return tuple(self._endpoints.values()) if self.running else ()

    # Life

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def running(self) -> bool:
        """Whether there is a process, be it stopped."""
        return self.registrar is not None

    @property
    def identifier(self) -> int:
        """Its server identifier now; 0 when it does not run."""
        return self.registrar.handlespace.identifier if self.registrar is not None else 0

    def now(self) -> int:
        """Its own clock, in microseconds."""
        return self.network.clock.now + self.offset

    def start(self, settings: Settings, seed: int, static_peers: tuple[Place, ...]) -> None:
        """Begin, with nothing known but who else there may be."""
        assert self.registrar is None
        self.host.silent = False
        self.network.links_changed()
        self.leapt = None
        self.started = self.disturbed = self.network.clock.now
        self.note(f"starts as {settings.identifier:08x}, profile {settings.profile.name}")
        for kind, port in (("asap", ASAP_PORT), ("enrp", ENRP_PORT)):
            self._endpoints[kind] = self.network.listen(self.host, port, kind, self)  # type: ignore[arg-type]
        self.network.join("enrp", self.host, self._presence_heard)
        self.network.join("asap", self.host, self._announcement_heard)
        self._static_peers = tuple(place for place in static_peers if place[0] != (self.host.address,))
        self._begin(settings, seed)

    def _begin(self, settings: Settings, seed: int) -> None:
        own = (self.host.address,)
        self.registrar = Registrar(settings, Random(seed), seed=seed, now=self.now(), static_peers=self._static_peers)
        asap = Reachable(sctp=own, port=ASAP_PORT, tcp=())
        self._due = None
        self._carry_out(self.registrar.start(self.now(), asap, Reachable(sctp=own, port=ENRP_PORT, tcp=())))

    def _renumber(self) -> None:
        """Begin anew with another identifier, without associations."""
        assert self.registrar is not None
        for side in tuple(self._sides.values()):
            self.network.abort(side)
        self._sides.clear()
        settings = replace(self.registrar.settings, identifier=self.randomness.randrange(1, 1 << 32))
        self.note(f"its identifier is taken: it is {settings.identifier:08x} from now on")
        self.started = self.disturbed = self.network.clock.now
        self._begin(settings, self.randomness.getrandbits(60))

    def stop(self, *, silently: bool) -> None:
        """End: killed, with ABORTs from its system; or its whole host gone ``silently``."""
        self.note("its host is gone" if silently else "is killed")
        self.registrar = None
        self.still = False
        self.host.silent = silently
        for endpoint in self._endpoints.values():
            self.network.close(endpoint, silently=silently)
        self.network.links_changed()
        self._sides.clear()
        self._inbox.clear()
        self._due = None
        self.offset = 0

    def stand_still(self) -> None:
        """The process is stopped; its system goes on to take what arrives."""
        if self.running and not self.still:
            self.note("stands still")
            self.still = True

    def go_on(self) -> None:
        """The process continues; its timers or its messages come first, as it happens."""
        if not self.still:
            return
        self.note(f"goes on, with {len(self._inbox)} events waiting")
        self.still = False
        self.disturbed = self.network.clock.now
        if self.randomness.random() < 0.5:
            self._advance()
        inbox, self._inbox = self._inbox, deque()
        for event in inbox:
            if self.running:
                event()
        self._advance()

    def leap(self, seconds: float) -> None:
        """Its clock leaps forward."""
        if self.running:
            self.note(f"its clock leaps by {seconds:.0f} s")
            self.offset += round(seconds * SECOND)
            self.leapt = self.disturbed = self.network.clock.now
            self._due = None
            self._schedule()

    def note(self, text: str) -> None:
        self.history.text(self.network.clock.now, self.name, text)

    # The network's events

    def up(self, side: Side) -> None:
        if not self.still:
            self._up(side)
        else:
            self._later(partial(self._up, side))

    def message(self, side: Side, data: bytes) -> None:
        if not self.still:
            self._message(side, data)
        else:
            self._later(partial(self._message, side, data))

    def down(self, side: Side) -> None:
        if not self.still:
            self._down(side)
        else:
            self._later(partial(self._down, side))

    def unreachable(self, endpoint: Endpoint, address: IPv4Address, port: int) -> None:
        if not self.still:
            self._unreachable(endpoint, address, port)
        else:
            self._later(partial(self._unreachable, endpoint, address, port))

    def _later(self, event: Callable[[], None]) -> None:
        if len(self._inbox) >= INBOX:
            raise OverflowError(f"{self.name}: more than {INBOX} events wait for a process that stands still")
        self._inbox.append(event)

    def _up(self, side: Side) -> None:
        if self.registrar is None or not side.endpoint.alive:
            return
        side.number = next(self._numbers) + 1
        self._sides[side.number] = side
        host, port = side.there.host, side.there.port
        peer = Peer(addresses=(host.address,), port=port, sctp=True)
        self._carry_out(self.registrar.associated(side.number, PROTOCOLS[side.endpoint.kind], peer, self.now()))

    def _message(self, side: Side, data: bytes) -> None:
        if self.registrar is not None and side.number in self._sides:
            self._carry_out(self.registrar.received(side.number, data, self.now()))

    def _down(self, side: Side) -> None:
        if self.registrar is not None and self._sides.pop(side.number, None) is not None:
            self._carry_out(self.registrar.lost(side.number, self.now()))

    def _unreachable(self, endpoint: Endpoint, address: IPv4Address, port: int) -> None:
        if self.registrar is not None and endpoint.alive:
            self._carry_out(self.registrar.unreachable(PROTOCOLS[endpoint.kind], (address,), port, self.now()))

    def _presence_heard(self, data: bytes, address: IPv4Address, port: int) -> None:
        if self.registrar is not None and not self.still:
            self._carry_out(self.registrar.presence_heard(data, address, port, self.now()))

    def _announcement_heard(self, data: bytes, address: IPv4Address, port: int) -> None:
        if self.registrar is not None and not self.still:
            self.registrar.announcement_heard(data, self.now())

    # Actions and time

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(number, data):
                    side = self._sides.get(number)
                    if side is not None and not self.network.send(side, data):
                        self.network.abort(side)
                case Note(level, _, text):
                    if level >= Level.INFO:
                        self.note(text)
                case Connect(protocol, addresses, port):
                    address = addresses[0]
                    assert isinstance(address, IPv4Address)
                    self.network.connect(self._endpoints[protocol.name.lower()], address, port)
                case Abort(number):
                    side = self._sides.get(number)
                    if side is not None:
                        self.network.abort(side)
                case Renumber():
                    self._renumber()
                    return
                case Announce(data):
                    self.network.multicast("asap", self.host, ASAP_PORT, data)
                case AnnouncePresence(data):
                    self.network.multicast("enrp", self.host, ENRP_PORT, data)
        self._schedule()

    def _schedule(self) -> None:
        """One event for the wheel's next expiry, like the loop timer of the real process."""
        if self.registrar is None:
            return
        due = self.registrar.wheel.next_expiry()
        if due is None or (self._due is not None and self._due <= due):
            return
        self._due = due
        self._timer += 1
        self.network.clock.at(due - self.offset, self._expired, self._timer)

    def _expired(self, timer: int) -> None:
        if timer == self._timer and not self.still:
            self._advance()

    def _advance(self) -> None:
        self._due = None
        if self.registrar is not None:
            self._carry_out(self.registrar.advance(self.now()))

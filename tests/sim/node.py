"""A simulated registrar process: the registrar's protocol object between the simulated network and a clock of its
own."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from random import Random

from rserpool.protocol.actions import Abort, Level, Note, Send
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Action, Announce, AnnouncePresence, Connect, Protocol, Renumber, SendRow
from rserpool.protocol.registrar.registrar import Reachable, Registrar
from rserpool.protocol.registrar.slices import DEFAULT_SLICES, Slices
from rserpool.settings.registrar import Settings
from tests.sim.network import Endpoint, Side
from tests.sim.process import Process

ASAP_PORT = 3863
ENRP_PORT = 9901
PROTOCOLS = {"asap": Protocol.ASAP, "enrp": Protocol.ENRP}

Place = tuple[tuple[IPv4Address, ...], int]


@dataclass(slots=True, eq=False)
class Node(Process):
    """One registrar: it runs, crashes, restarts, is stopped, and has a clock that can leap forward."""

    registrar: Registrar | None = None
    _endpoints: dict[str, Endpoint] = field(default_factory=dict)
    _sides: dict[int, Side] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _static_peers: tuple[Place, ...] = ()
    slices: Slices = DEFAULT_SLICES

    def other_end(self, number: int) -> Side | None:
        """Build the peer record of an association."""
        side = self._sides.get(number)
        return side.other if side is not None else None

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Its endpoints, while it runs."""
        return tuple(self._endpoints.values()) if self.running else ()

    # Life

    @property
    def running(self) -> bool:
        """True while there is a process, even a stopped one."""
        return self.registrar is not None

    @property
    def identifier(self) -> int:
        """Its present server identifier; 0 while it does not run."""
        return self.registrar.handlespace.identifier if self.registrar is not None else 0

    def start(self, settings: Settings, seed: int, static_peers: tuple[Place, ...]) -> None:
        """Start with an empty handlespace and the known peers."""
        assert self.registrar is None
        self._begun()
        self.note(f"starts as {settings.identifier:08x}, profile {settings.profile.name}")
        for kind, port in (("asap", ASAP_PORT), ("enrp", ENRP_PORT)):
            self._endpoints[kind] = self.network.listen(self.host, port, kind, self)  # type: ignore[arg-type]
        self.network.join("enrp", self.host, self._presence_heard)
        self.network.join("asap", self.host, self._announcement_heard)
        self._static_peers = tuple(place for place in static_peers if place[0] != (self.host.address,))
        self._begin(settings, seed)

    def _begin(self, settings: Settings, seed: int) -> None:
        own = (self.host.address,)
        self.registrar = Registrar(
            settings,
            Random(seed),
            seed=seed,
            now=self.now(),
            static_peers=self._static_peers,
            slices=self.slices,
        )
        asap = Reachable(sctp=own, port=ASAP_PORT, tcp=())
        self._due = None
        self._carry_out(self.registrar.start(self.now(), asap, Reachable(sctp=own, port=ENRP_PORT, tcp=())))

    def _renumber(self) -> None:
        """Start over with another identifier and without associations."""
        assert self.registrar is not None
        for side in tuple(self._sides.values()):
            self.network.abort(side)
        self._sides.clear()
        settings = replace(self.registrar.settings, identifier=self.randomness.randrange(1, 1 << 32))
        self.note(f"its identifier is taken: it is {settings.identifier:08x} from now on")
        self.started = self.disturbed = self.network.clock.now
        self._begin(settings, self.randomness.getrandbits(60))

    def stop(self, *, silently: bool) -> None:
        """End: it is killed and its system aborts its associations, or its whole host vanishes ``silently``."""
        self.note("its host is gone" if silently else "is killed")
        self.registrar = None
        for endpoint in self._endpoints.values():
            self.network.close(endpoint, silently=silently)
        self._sides.clear()
        self._over(silently=silently)

    # Network events

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

    def _writable(self, side: Side) -> None:
        """Nothing to do: it never offers messages that might not fit."""

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
                    self._send(number, data)
                case SendRow(number, messages):
                    for data in messages:
                        self._send(number, data)
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

    def _send(self, number: int, data: bytes) -> None:
        side = self._sides.get(number)
        if side is not None and not self.network.send(side, data):
            self.network.abort(side)

    def _next(self) -> int | None:
        return self.registrar.wheel.next_expiry() if self.registrar is not None else None

    def _expire(self) -> None:
        if self.registrar is not None:
            self._carry_out(self.registrar.advance(self.now()))

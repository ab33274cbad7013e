"""A whole registrar without input and output: ASAP and ENRP over one handlespace and one wheel."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.lane import Lane
from rserpool.errors import RemoteProtocolError
from rserpool.messages import ServerAnnounce, decode
from rserpool.model.addresses import Address, usable
from rserpool.protocol.peer import Peer
from rserpool.protocol.randomness import Randomness
from rserpool.protocol.registrar.actions import Action, Protocol, Update
from rserpool.protocol.registrar.asap.dispatch import AsapRegistrar
from rserpool.protocol.registrar.enrp.dispatch import EnrpRegistrar, Place
from rserpool.protocol.registrar.slices import DEFAULT_SLICES, Slices
from rserpool.settings.registrar import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachable:
    """Where an endpoint is reached."""

    sctp: tuple[Address, ...]
    port: int
    tcp: tuple[Address, ...] = ()


class Registrar:
    """Events and the time go in, actions come out, to be carried out in order. Times are integer microseconds;
    association numbers are more than 0, of both endpoints together, and never used twice."""

    def __init__(
        self,
        settings: Settings,
        randomness: Randomness,
        *,
        seed: int,
        now: int,
        static_peers: Iterable[Place] = (),
        slices: Slices = DEFAULT_SLICES,
    ) -> None:
        self.settings = settings
        self.wheel = Wheel(now)
        self.handlespace = Handlespace(settings.identifier, seed=seed, wheel=self.wheel)
        self.asap = AsapRegistrar(settings, self.handlespace, self.wheel, randomness, slices)
        self.enrp = EnrpRegistrar(
            settings, self.handlespace, self.wheel, randomness, self.asap, tuple(static_peers), slices
        )
        self._protocols: dict[int, Protocol] = {}

    @property
    def counters(self) -> Counter[str]:
        """What has happened so far, ASAP's and ENRP's together."""
        return self.asap.counters + self.enrp.counters

    def start(self, now: int, asap: Reachable | None, enrp: Reachable | None) -> list[Action]:
        """Begin to announce ASAP, where it is given, and to meet peers, where ENRP is."""
        actions: list[Action] = []
        scope = self.settings.address_scope
        if asap is not None:
            tcp = usable(asap.tcp, scope)
            actions += self.asap.start(now, usable(asap.sctp, scope), asap.port, tcp, asap.port)
        if enrp is not None:
            self.enrp.start(now, enrp.sctp, enrp.port)
        return self._complete(actions)

    def associated(self, number: int, protocol: Protocol, peer: Peer, now: int) -> list[Action]:
        """An association came up at one of the endpoints."""
        self._protocols[number] = protocol
        if protocol is Protocol.ASAP:
            return self._complete(self.asap.associated(number, peer, now))
        self.enrp.associated(number, peer, now)
        return self._complete([])

    def received(self, number: int, data: bytes, now: int) -> list[Action]:
        """A whole message of the association's protocol."""
        if self._protocols.get(number) is Protocol.ENRP:
            self.enrp.received(number, data, now)
            return self._complete([])
        return self._complete(self.asap.received(number, data, now))

    def lane(self, number: int) -> Lane | None:
        """The fast lane of an ASAP association, for whoever carries its octets: ``renewed`` is due after a renewal."""
        known = self.asap.associations.get(number)
        return known.lane if known is not None else None

    def renewed(self, now: int) -> list[Action]:
        """Lanes have renewed elements; nothing of it has been told yet."""
        return self._complete(self.asap.renewed(now))

    def lost(self, number: int, now: int) -> list[Action]:
        """An association ended."""
        if self._protocols.pop(number, None) is Protocol.ENRP:
            self.enrp.lost(number, now)
            return self._complete([])
        return self._complete(self.asap.lost(number, now))

    def unreachable(self, protocol: Protocol, addresses: tuple[Address, ...], port: int, now: int) -> list[Action]:
        """An association that was to be opened could not be."""
        if protocol is Protocol.ENRP:
            self.enrp.unreachable((addresses, port), now)
            return self._complete([])
        return self._complete(self.asap.unreachable(addresses, port, now))

    def announcement_heard(self, data: bytes, now: int) -> None:
        """A datagram came to the groups where registrars announce themselves to elements and users."""
        if not self.asap.announcing.within_rate(now):
            self.asap.counters["announcements over the rate"] += 1
            return
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            self.asap.counters["malformed announcements"] += 1
            return
        if isinstance(message, ServerAnnounce):
            self.asap.announcing.heard(message.server_identifier, now)

    def presence_heard(self, data: bytes, address: Address, port: int, now: int) -> list[Action]:
        """A datagram came to the groups where registrars find one another."""
        self.enrp.presence_heard(data, address, port, now)
        return self._complete([])

    def advance(self, now: int) -> list[Action]:
        """Everything that is due by now."""
        self.enrp.now = now
        actions: list[Action] = []
        for due in self.handlespace.expire(now):
            if isinstance(due, tuple):
                which, handle, identifier = due
                actions += self._complete(self.asap.due(which, handle, identifier, now))
            else:
                actions += self._complete(due(now))
        return actions

    def _complete(self, actions: list[Action]) -> list[Action]:
        """The actions with ENRP's own, and with each update told to the peers in its place. The handlespace learns
        whether lanes are to tell of renewals at all."""
        self.handlespace.record_renewals = bool(self.enrp.peers or self.asap.subscriptions.watchers)
        told = self.enrp.drain()
        for action in actions:
            if isinstance(action, Update):
                self.enrp.mirror.tell(action)
                told += self.enrp.drain()
            else:
                told.append(action)
        return told

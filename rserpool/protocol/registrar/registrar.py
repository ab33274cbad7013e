"""Composes a registrar without input and output: ASAP and ENRP over one handlespace and one timer wheel."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rserpool._fast.lane.lane import Lane
from rserpool.model.addresses import Address, usable
from rserpool.protocol.counters import Counters
from rserpool.protocol.peer import Peer
from rserpool.protocol.randomness import Randomness
from rserpool.protocol.registrar.access import UNRESTRICTED, Access
from rserpool.protocol.registrar.actions import Action, Protocol, Update
from rserpool.protocol.registrar.asap.dispatch import AsapRegistrar
from rserpool.protocol.registrar.context import new_context
from rserpool.protocol.registrar.elements import Elements
from rserpool.protocol.registrar.enrp.dispatch import EnrpRegistrar
from rserpool.protocol.registrar.enrp.places import Place
from rserpool.protocol.registrar.slices import DEFAULT_SLICES, Slices
from rserpool.protocol.registrar.snapshot import Snapshot
from rserpool.protocol.registrar.watching import QUEUE, Watch
from rserpool.settings.registrar import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachable:
    """The addresses and the port at which an endpoint is reached."""

    sctp: tuple[Address, ...]
    port: int
    tcp: tuple[Address, ...] = ()


class Registrar:
    """Takes events with their time, and returns actions to carry out in order. Times are integer microseconds of a
    monotonic clock. Association numbers are greater than 0, unique over both endpoints, and never used twice."""

    def __init__(
        self,
        settings: Settings,
        randomness: Randomness,
        *,
        seed: int,
        now: int,
        static_peers: Iterable[Place] = (),
        slices: Slices = DEFAULT_SLICES,
        access: Access = UNRESTRICTED,
    ) -> None:
        self.settings = settings
        self.context = new_context(settings, randomness, seed=seed, now=now, slices=slices, access=access)
        self.wheel = self.context.wheel
        self.handlespace = self.context.handlespace
        self.snapshot = Snapshot(self.context)
        self.elements = Elements(self.context)
        self.asap = AsapRegistrar(self.context, self.elements)
        self.enrp = EnrpRegistrar(self.context, self.elements, tuple(static_peers))
        self._protocols: dict[int, Protocol] = {}

    @property
    def counters(self) -> Counters:
        """The count of every kind of event so far."""
        return self.context.counters

    def watch(self, *, limit: int = QUEUE, ready: Callable[[], None] | None = None) -> Watch:
        """Begin to watch changes; see Watching.open."""
        return self.context.watching.open(limit=limit, ready=ready)

    def continue_watches(self, former: "Registrar") -> None:
        """Take over the watches of a registrar that this one replaces after a Renumber action. Each gets
        EventsMissed."""
        self.context.watching.continue_from(former.context.watching)

    def start(self, now: int, asap: Reachable | None, enrp: Reachable | None) -> list[Action]:
        """Begin to announce the ASAP endpoint and to connect to peers from the ENRP endpoint, if given."""
        actions: list[Action] = []
        scope = self.settings.address_scope
        if asap is not None:
            tcp = usable(asap.tcp, scope)
            actions += self.asap.announcing.start(now, usable(asap.sctp, scope), asap.port, tcp, asap.port)
        if enrp is not None:
            actions += self.enrp.start(enrp.sctp, enrp.port, now)
        return self._complete(actions)

    def associated(self, number: int, protocol: Protocol, peer: Peer, now: int) -> list[Action]:
        """An association came up at one of the endpoints."""
        self._protocols[number] = protocol
        if protocol is Protocol.ASAP:
            return self._complete(self.asap.associated(number, peer, now))
        return self._complete(self.enrp.associated(number, peer, now))

    def received(self, number: int, data: bytes, now: int) -> list[Action]:
        """A complete message arrived over an association."""
        if self._protocols.get(number) is Protocol.ENRP:
            return self._complete(self.enrp.received(number, data, now))
        return self._complete(self.asap.received(number, data, now))

    def lane(self, number: int) -> Lane | None:
        """Return the fast lane of an ASAP association, for the transport. The transport must call renewed() after a
        re-registration. None if there is no such association, or if access is restricted."""
        association = self.context.associations.get(number)
        return association.lane if association is not None else None

    def renewed(self, now: int) -> list[Action]:
        """Fast lanes have registered elements: update peers, subscribers and watches."""
        return self._complete(self.elements.updates.renewed(now))

    def lost(self, number: int, now: int) -> list[Action]:
        """An association ended."""
        if self._protocols.pop(number, None) is Protocol.ENRP:
            return self._complete(self.enrp.lost(number, now))
        return self._complete(self.asap.lost(number, now))

    def unreachable(self, protocol: Protocol, addresses: tuple[Address, ...], port: int, now: int) -> list[Action]:
        """An association could not be opened."""
        if protocol is Protocol.ENRP:
            return self._complete(self.enrp.unreachable((addresses, port), now))
        return self._complete(self.elements.unreachable(addresses, port, now))

    def announcement_heard(self, data: bytes, now: int) -> None:
        """A datagram arrived at the groups in which registrars announce themselves to pool elements and pool users."""
        self.asap.announcing.received(data, now)

    def presence_heard(self, data: bytes, address: Address, port: int, now: int) -> list[Action]:
        """A datagram arrived at the groups in which registrars announce themselves to one another."""
        return self._complete(self.enrp.presence_heard(data, address, port, now))

    def advance(self, now: int) -> list[Action]:
        """Run all timers that have expired by ``now``."""
        actions: list[Action] = []
        for due in self.handlespace.expire(now):
            if isinstance(due, tuple):
                which, handle, identifier = due
                actions += self._complete(self.asap.expired(which, handle, identifier, now))
            else:
                actions += self._complete(due(now))
        return actions

    def _complete(self, actions: list[Action]) -> list[Action]:
        """Expand each Update into sends to the peers, in its place, and refresh whether fast lanes must record
        renewals."""
        self.elements.updates.refresh()
        completed: list[Action] = []
        for action in actions:
            if isinstance(action, Update):
                completed += self.enrp.send_update(action)
            else:
                completed.append(action)
        return completed

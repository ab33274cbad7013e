"""Where registrars may be: configured, or announced by multicast (RFC 5352 3.6)."""

from collections.abc import Iterable
from dataclasses import dataclass

from rserpool._fast.base.bucket import Bucket
from rserpool.errors import RemoteProtocolError
from rserpool.messages import SCTPTransport, ServerAnnounce, decode
from rserpool.model.addresses import LINK_LOCAL, UNUSABLE, Address, scope
from rserpool.model.numbers import ASAP_PORT, MICROSECONDS
from rserpool.settings.client import ClientSettings

FORGET = 12
"""Times its time-out after which even the period of a registrar that no longer announces itself is forgotten."""
FOREVER = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """Where one registrar serves ASAP. TCP has one address, and is for pool users (RFC 5352 2.1)."""

    addresses: tuple[Address, ...]
    port: int
    sctp: bool = True


@dataclass(slots=True, eq=False)
class Candidate:
    """A registrar that could become home. Times are microseconds."""

    where: ServerAddress
    configured: bool = False
    leader: "Candidate | None" = None
    """The better guess at the same registrar's place: this one counts only after that one has failed."""
    heard: int = 0
    until: int = 0
    """When T7 deletes it."""
    timeout: int = 0
    """T7: three times the period at which it announces itself, where that is more than the least."""
    tried: int = -FOREVER
    round: int = 0
    """The round in which it was tried last."""
    troubled: int = 0
    """When it was last of no use; 0 while it is as good as any."""
    in_use: bool = False

    def known(self, now: int) -> bool:
        """Whether it is configured, or was announced within T7."""
        return self.configured or now < self.until

    def usable(self, now: int) -> bool:
        """Whether it may be tried, but for when it was tried last."""
        behind = self.leader is not None and self.leader.known(now) and not self.leader.troubled
        return self.known(now) and not self.in_use and not behind


class Candidates:
    """The list of RFC 5352 3.6: configured registrars, which stay, and announced ones, which T7 deletes."""

    def __init__(self, settings: ClientSettings, registrars: Iterable[ServerAddress]) -> None:
        self._settings = settings
        self._known = {where: Candidate(where, configured=True) for where in registrars}
        self._configured = len(self._known)
        self._rate = Bucket(settings.announcement_rate, max(1.0, settings.announcement_rate), 0)

    def __len__(self) -> int:
        return len(self._known)

    def known(self, now: int) -> list[Candidate]:
        """Those that are configured, or were announced within T7."""
        return [candidate for candidate in self._known.values() if candidate.known(now)]

    def announced(self, data: bytes, source: Address, port: int, now: int) -> bool:
        """A datagram came to an announcement group; whether it named a registrar. A forged one can add a candidate
        within the bound, and do nothing else."""
        if not self._rate.take(now):
            return False
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            return False
        if not isinstance(message, ServerAnnounce):
            return False
        leader = None
        for where in places(message, source, port):
            leader = self._heard(where, leader, now) or leader
        return leader is not None

    def _heard(self, where: ServerAddress, leader: Candidate | None, now: int) -> Candidate | None:
        known = self._known.get(where)
        least = round(self._settings.announce_timeout * MICROSECONDS)
        if known is None:
            if len(self._known) - self._configured >= self._settings.candidates and not self._make_room(now):
                return None
            known = self._known[where] = Candidate(where, leader=leader, timeout=least)
        elif known.heard:
            known.timeout = max(least, min(3 * (now - known.heard), FORGET * least))
            known.leader = leader and known.leader
        known.heard = now
        known.until = now + known.timeout
        return known

    def _make_room(self, now: int) -> bool:
        """Forget one that has not been heard for long."""
        for where, known in self._known.items():
            if not known.known(now) and not known.in_use and now > known.heard + FORGET * known.timeout:
                del self._known[where]
                return True
        return False


def places(message: ServerAnnounce, source: Address, port: int) -> list[ServerAddress]:
    """Where an announcement says that its sender is; without transports, where it came from (RFC 5352 3.6), at the port
    that it came from, as rsplib means it, or else at ASAP's."""
    found = []
    for transport in message.transports:
        sctp = isinstance(transport, SCTPTransport)
        listed = transport.addresses if isinstance(transport, SCTPTransport) else (transport.address,)
        reachable = tuple(address for address in listed if scope(address) not in (UNUSABLE, LINK_LOCAL))
        if reachable and transport.port:
            found.append(ServerAddress(addresses=reachable, port=transport.port, sctp=sctp))
    if not message.transports and scope(source) != UNUSABLE and (source.version == 4 or scope(source) != LINK_LOCAL):
        found = [ServerAddress(addresses=(source,), port=one) for one in dict.fromkeys((port, ASAP_PORT)) if one]
    return sorted(found, key=lambda place: not place.sctp)

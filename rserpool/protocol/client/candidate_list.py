"""The candidates for a home registrar: configured, or announced by multicast (RFC 5352 3.6)."""

from collections.abc import Iterable
from dataclasses import dataclass

from rserpool._fast.base.bucket import Bucket
from rserpool.errors import RemoteProtocolError
from rserpool.messages import SCTPTransport, ServerAnnounce, decode
from rserpool.model.addresses import LINK_LOCAL, UNUSABLE, Address, scope
from rserpool.model.numbers import ASAP_PORT, MICROSECONDS
from rserpool.settings.client import ClientSettings

FORGET = 12
"""A silent candidate, with its measured announcement interval, is dropped after this many time-outs."""
FOREVER = 1 << 62
"""More microseconds than any time. A candidate that was never tried has ``tried = -FOREVER``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """The ASAP endpoint of one registrar. TCP has one address, and serves pool users only (RFC 5352 2.1)."""

    addresses: tuple[Address, ...]
    port: int
    sctp: bool = True


@dataclass(slots=True, eq=False)
class Candidate:
    """A registrar that may become home. Times are microseconds."""

    where: ServerAddress
    configured: bool = False
    leader: "Candidate | None" = None
    """Another candidate for the same registrar, whose address is a better guess. This candidate may be dialled only
    after that one has failed."""
    heard: int = 0
    """Time of the latest announcement."""
    until: int = 0
    """Time at which T7 deletes it."""
    timeout: int = 0
    """T7: three times its announcement interval, but not less than announce_timeout."""
    tried: int = -FOREVER
    """Time at which it was dialled last."""
    round: int = 0
    """The round of the hunt in which it was dialled last."""
    troubled: int = 0
    """Time of its latest failure; 0 if it has answered since, or never failed."""
    in_use: bool = False
    """True while there is an association to it."""

    def known(self, now: int) -> bool:
        """True if it is configured, or was announced within T7."""
        return self.configured or now < self.until

    def usable(self, now: int) -> bool:
        """True if it may be dialled, regardless of the time of the last attempt."""
        waits = self.leader is not None and self.leader.known(now) and not self.leader.troubled
        return self.known(now) and not self.in_use and not waits


class Candidates:
    """The list of RFC 5352 3.6: configured registrars, which stay, and announced ones, which T7 deletes."""

    def __init__(self, settings: ClientSettings, registrars: Iterable[ServerAddress], *, tcp: bool = False) -> None:
        """``tcp``: registrars may be reached over TCP, unless ``sctp_only`` is set."""
        self.sctp_only = False
        """True while the node has pool elements, which register over SCTP only (RFC 5352 2.1)."""
        self._tcp = tcp
        self._settings = settings
        self._known = {where: Candidate(where, configured=True) for where in registrars}
        self._configured = len(self._known)
        self._rate = Bucket(settings.announcement_rate, max(1.0, settings.announcement_rate), 0)

    def __len__(self) -> int:
        return len(self._known)

    def known(self, now: int) -> list[Candidate]:
        """The candidates that are configured, or were announced within T7."""
        return [candidate for candidate in self._known.values() if candidate.known(now)]

    def allowed(self, now: int) -> list[Candidate]:
        """The known candidates whose transport the node may use."""
        tcp = self._tcp and not self.sctp_only
        return [candidate for candidate in self.known(now) if tcp or candidate.where.sctp]

    def announced(self, data: bytes, source: Address, port: int, now: int) -> bool:
        """Handle a datagram to an announcement group. True if it named a registrar. A forged datagram can at most add a
        candidate within the bound."""
        if not self._rate.take(now):
            return False
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            return False
        if not isinstance(message, ServerAnnounce):
            return False
        leader = None
        for where in announced_addresses(message, source, port):
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
        """Drop one candidate that has been silent for long. True if there was one."""
        for where, known in self._known.items():
            if not known.known(now) and not known.in_use and now > known.heard + FORGET * known.timeout:
                del self._known[where]
                return True
        return False


def announced_addresses(message: ServerAnnounce, source: Address, port: int) -> list[ServerAddress]:
    """The addresses that an announcement names, SCTP first. If it names none, the datagram's source address (RFC 5352
    3.6) with two ports: the source port, as rsplib expects, and ASAP's port."""
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

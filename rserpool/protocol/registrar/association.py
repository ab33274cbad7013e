"""What a registrar remembers of one association or connection, as long as it lasts."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.lane.lane import Lane
from rserpool._fast.lane.registration import Registrant
from rserpool.messages import SCTPTransport, TCPTransport
from rserpool.model.addresses import Address, plain, usable
from rserpool.protocol.peer import Peer
from rserpool.settings.registrar import Settings


@dataclass(slots=True)
class Association:
    """One association: its peer, its rates and what hangs on it."""

    number: int
    peer: Peer
    registrations: Bucket
    resolutions: Bucket
    reports: Bucket
    errors: Bucket
    registrant: Registrant
    lane: Lane
    hosts: frozenset[Address]
    reachable: tuple[Address, ...]
    """The peer's addresses that reach as far as the address scope."""
    subscriptions: set[bytes]
    reported: dict[tuple[bytes, int], Bucket] = field(default_factory=dict)


def association(
    number: int,
    peer: Peer,
    settings: Settings,
    now: int,
    lane: Callable[[Registrant, Bucket, Bucket, set[bytes]], Lane],
) -> Association:
    """A new association whose buckets are full. ``lane`` makes its fast lane, given the registrant, the buckets of
    registrations and of resolutions, and the subscriptions."""
    limits = settings.limits
    registrations = Bucket(limits.registration_rate, limits.registration_burst, now)
    resolutions = Bucket(limits.resolution_rate, limits.resolution_burst, now)
    subscriptions: set[bytes] = set()
    hosts = frozenset(map(plain, peer.addresses))
    reachable = usable(peer.addresses, settings.address_scope)[: limits.addresses_per_transport]
    registrant = registrant_at(peer, reachable)
    return Association(
        number=number,
        peer=peer,
        registrations=registrations,
        resolutions=resolutions,
        reports=Bucket(limits.report_rate, limits.report_rate, now),
        errors=Bucket(limits.errors_per_second, limits.errors_burst, now),
        registrant=registrant,
        lane=lane(registrant, registrations, resolutions, subscriptions),
        subscriptions=subscriptions,
        hosts=hosts,
        reachable=reachable,
    )


def registrant_at(peer: Peer, reachable: tuple[Address, ...]) -> Registrant:
    """Who may register elements over the association: over SCTP, where an address reaches far enough (RFC 5352 2.1,
    2.2.1)."""
    if not peer.sctp or not reachable:
        return Registrant(b"", b"")
    asap = SCTPTransport(port=peer.port, transport_use=0, addresses=reachable)
    hosts = b"".join(TCPTransport(port=0, address=address).encode()[8:] for address in reachable)
    return Registrant(hosts, asap.encode())

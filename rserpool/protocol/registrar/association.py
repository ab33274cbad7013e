"""Records what a registrar knows of one ASAP association or connection while it lasts."""

from dataclasses import dataclass, field

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.lane.lane import Lane, LaneContext
from rserpool._fast.lane.registration import Registrant
from rserpool.messages import SCTPTransport, encode_address
from rserpool.model.addresses import Address, plain, usable
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.ownership import ElementName
from rserpool.settings.registrar import Settings


@dataclass(slots=True, kw_only=True)
class Association:
    """One association, with the rates of its requests."""

    number: int
    peer: Peer
    registrations: Bucket
    resolutions: Bucket
    reports: Bucket
    errors: Bucket
    registrant: Registrant
    lane: Lane | None
    """The fast lane, or None if access is restricted."""
    hosts: frozenset[Address]
    reachable: tuple[Address, ...]
    """The peer's addresses within the address scope."""
    subscriptions: set[bytes]
    """The handles of the pools to which it has subscribed."""
    reported: dict[ElementName, Bucket] = field(default_factory=dict)
    """Rates of the reports that count, by reported element."""


def new_association(number: int, peer: Peer, settings: Settings, now: int, lanes: LaneContext | None) -> Association:
    """Make the record of a new association, with full buckets, and with a fast lane unless ``lanes`` is None."""
    limits = settings.limits
    registrations = Bucket(limits.registration_rate, limits.registration_burst, now)
    resolutions = Bucket(limits.resolution_rate, limits.resolution_burst, now)
    subscriptions: set[bytes] = set()
    reachable = usable(peer.addresses, settings.address_scope)[: limits.addresses_per_transport]
    registrant = registrant_at(peer, reachable)
    lane = None
    if lanes is not None:
        lane = Lane(lanes, number, registrant, registrations, resolutions, subscriptions)
    return Association(
        number=number,
        peer=peer,
        registrations=registrations,
        resolutions=resolutions,
        reports=Bucket(limits.report_rate, limits.report_rate, now),
        errors=Bucket(limits.errors_per_second, limits.errors_burst, now),
        registrant=registrant,
        lane=lane,
        subscriptions=subscriptions,
        hosts=frozenset(map(plain, peer.addresses)),
        reachable=reachable,
    )


def registrant_at(peer: Peer, reachable: tuple[Address, ...]) -> Registrant:
    """The addresses that elements may register over the association; empty if it is not SCTP, or if no address
    is within the scope (RFC 5352 2.1, 2.2.1)."""
    if not peer.sctp or not reachable:
        return Registrant(b"", b"")
    asap = SCTPTransport(port=peer.port, transport_use=0, addresses=reachable)
    hosts = b"".join(map(encode_address, reachable))
    return Registrant(hosts, asap.encode())

"""What a registrar remembers of one association or connection, as long as it lasts."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rserpool._fast.bucket import Bucket
from rserpool._fast.lanes import Lane
from rserpool.protocol.addresses import Address, plain, usable
from rserpool.settings import Settings

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end."""

    addresses: tuple[Address, ...]
    port: int
    sctp: bool
    """Whether it is an SCTP association: pool elements may use nothing else (RFC 5352 2.1)."""
    round_trip: Callable[[], float | None] = lambda: None
    """The smoothed round trip time in seconds, where the transport knows it."""

    def __str__(self) -> str:
        host = str(self.addresses[0]) if self.addresses else "?"
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


@dataclass(slots=True)
class Association:
    """One association: its peer, its rates and what hangs on it."""

    number: int
    peer: Peer
    registrations: Bucket
    resolutions: Bucket
    reports: Bucket
    errors: Bucket
    lane: Lane
    hosts: frozenset[Address]
    reachable: tuple[Address, ...]
    """The peer's addresses that reach as far as the address scope."""
    subscriptions: set[bytes]
    elements: int = 0
    reported: dict[tuple[bytes, int], Bucket] = field(default_factory=dict)


def association(
    number: int, peer: Peer, settings: Settings, now: int, lane: Callable[[Bucket, Bucket, set[bytes]], Lane]
) -> Association:
    """A new association whose buckets are full. ``lane`` makes its fast lane, given registrations, resolutions and
    subscriptions."""
    limits = settings.limits
    registrations = Bucket(limits.registration_rate, limits.registration_burst, now)
    resolutions = Bucket(limits.resolution_rate, limits.resolution_burst, now)
    subscriptions: set[bytes] = set()
    return Association(
        number=number,
        peer=peer,
        registrations=registrations,
        resolutions=resolutions,
        reports=Bucket(limits.report_rate, limits.report_rate, now),
        errors=Bucket(limits.errors_per_second, limits.errors_burst, now),
        lane=lane(registrations, resolutions, subscriptions),
        subscriptions=subscriptions,
        hosts=frozenset(map(plain, peer.addresses)),
        reachable=usable(peer.addresses, settings.address_scope)[: limits.addresses_per_transport],
    )

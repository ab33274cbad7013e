"""What a registrar remembers of one association or connection, as long as it lasts."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rserpool.protocol.addresses import Address, plain, usable
from rserpool.protocol.bucket import Bucket
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
    hosts: frozenset[Address]
    reachable: tuple[Address, ...]
    """The peer's addresses that reach as far as the address scope."""
    elements: int = 0
    subscriptions: set[bytes] = field(default_factory=set)
    reported: dict[tuple[bytes, int], Bucket] = field(default_factory=dict)
    excess_since: int | None = None
    """When it began to exceed the registration rate; None once it has kept quiet for a full burst's time."""


def association(number: int, peer: Peer, settings: Settings, now: int) -> Association:
    """A new association whose buckets are full."""
    limits = settings.limits
    return Association(
        number=number,
        peer=peer,
        registrations=Bucket(limits.registration_rate, limits.registration_burst, now),
        resolutions=Bucket(limits.resolution_rate, limits.resolution_burst, now),
        reports=Bucket(limits.report_rate, limits.report_rate, now),
        errors=Bucket(limits.errors_per_second, limits.errors_burst, now),
        hosts=frozenset(map(plain, peer.addresses)),
        reachable=usable(peer.addresses, settings.address_scope)[: limits.addresses_per_transport],
    )

"""The two dialects of a registrar, and every point in which they differ."""

from dataclasses import dataclass

from rserpool.model.numbers import MICROSECONDS

ALL_ITEMS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One dialect. RFC and RSPLIB are the two that exist."""

    name: str

    registration_life_unit: int
    """Microseconds in one unit of a Registration Life: a second in RFC 5354 3.10, a millisecond in rsplib."""

    default_items: int
    """Number of pool elements in a handle resolution answer if the request names none: all in RFC 5352 3.3."""

    bad_reports: int
    """Number of unreachability reports that a pool element survives; the next one removes it. MAX-BAD-PE-REPORT (RFC
    5352 3.5) has no default; rsplib removes at the third report."""

    announce_per_peer: bool
    """True if the announcement interval is (N+1) * T6 with N other registrars (RFC 5352 3.6); else it is always T6."""

    max_pool_handle: int
    """Octets of the longest pool handle that may be registered. A handle of more than 32 crashes rsplib."""

    peer_heartbeat_cycle: float
    """Seconds between two ENRP_PRESENCEs to every peer (PEER-HEARTBEAT-CYCLE, RFC 5353 4.2)."""

    max_time_last_heard: float
    """Seconds of silence after which a peer must prove that it is alive (MAX-TIME-LAST-HEARD, RFC 5353 4.2)."""

    smaller_identifier_wins: bool
    """True if, of two registrars that take over the same peer, the one with the smaller identifier continues, as in
    rsplib; RFC 5353 3.5.1 has the larger. All registrars of a scope must agree."""

    multicast_presence: bool
    """True if ENRP_PRESENCE is also sent by multicast, so that registrars find each other; RFC 5353 does not define
    it."""

    refuse_peer_killers: bool
    """True if registrations that would crash an rsplib registrar or client are rejected: weighted-random elements with
    weight 0, and the two policies that rsplib accepts but cannot encode."""


RFC = Profile(
    name="rfc",
    registration_life_unit=MICROSECONDS,
    default_items=ALL_ITEMS,
    bad_reports=3,
    announce_per_peer=True,
    max_pool_handle=255,
    peer_heartbeat_cycle=30.0,
    max_time_last_heard=61.0,
    smaller_identifier_wins=False,
    multicast_presence=False,
    refuse_peer_killers=False,
)

RSPLIB = Profile(
    name="rsplib",
    registration_life_unit=1_000,
    default_items=3,
    bad_reports=2,
    announce_per_peer=False,
    max_pool_handle=32,
    peer_heartbeat_cycle=2.444,
    max_time_last_heard=5.0,
    smaller_identifier_wins=True,
    multicast_presence=True,
    refuse_peer_killers=True,
)

PROFILES = {profile.name: profile for profile in (RFC, RSPLIB)}

"""The two dialects a registrar can speak, and every place where they differ."""

from dataclasses import dataclass

from rserpool.model.numbers import MICROSECONDS

ALL_ITEMS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One dialect. ``Profile.RFC`` and ``Profile.RSPLIB`` are the two that exist; see ``profiles()``."""

    name: str

    registration_life_unit: int
    """Microseconds that one unit of a Registration Life lasts: a second in RFC 5354 3.10, a millisecond in rsplib."""

    default_items: int
    """Pool elements in a handle resolution answer when the request names no number: all in RFC 5352 3.3."""

    bad_reports: int
    """Unreachability reports that a pool element survives: the next one removes it (MAX-BAD-PE-REPORT, RFC 5352 3.5,
    has no default there; rsplib removes at the third)."""

    announce_per_peer: bool
    """Whether announcements slow down to (N+1) * T6 beside N other registrars (RFC 5352 3.6), or keep T6."""

    max_pool_handle: int
    """Octets of the longest pool handle that may be registered. A longer one than 32 ends an rsplib process."""

    peer_heartbeat_cycle: float
    """Seconds between two ENRP_PRESENCEs to every peer (PEER-HEARTBEAT-CYCLE, RFC 5353 4.2)."""

    max_time_last_heard: float
    """Seconds of silence after which a peer is asked for a sign of life (MAX-TIME-LAST-HEARD, RFC 5353 4.2)."""

    smaller_identifier_wins: bool
    """Which of two registrars that take over the same peer goes on: the one with the larger identifier (RFC 5353
    3.5.1), or, in rsplib, the one with the smaller. All of a scope must agree."""

    multicast_presence: bool
    """Whether ENRP_PRESENCE also goes out by multicast, so that registrars find one another (RFC 5353 does not say)."""

    refuse_peer_killers: bool
    """Whether registrations that would end an rsplib registrar or client are refused: a weighted-random element of
    weight 0, and the two policies that rsplib knows but cannot encode."""


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

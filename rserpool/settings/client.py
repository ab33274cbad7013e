"""How pool elements and pool users behave: the timers and thresholds of RFC 5352 7, and the bounds on what strangers
can make them keep or do. Durations are in seconds."""

from dataclasses import dataclass
from typing import Final

from rserpool.settings.checks import check_positive

MAY_BE_ZERO: Final = frozenset(
    {"max_registration_attempts", "max_request_retransmits", "stale_cache", "registrar_silence"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """The settings of one node, that is of its pool elements and of its pool user."""

    request_timeout: float = 15.0
    """T1-ENRPrequest: seconds until an unanswered handle resolution is sent again, and another registrar looked for."""

    registration_timeout: float = 30.0
    """T2-registration: seconds until an unanswered registration makes the element look for another registrar."""

    deregistration_timeout: float = 30.0
    """T3-deregistration: the same of a deregistration."""

    server_hunt: float = 10.0
    """T5-Serverhunt: seconds of the first round of a hunt for a registrar; each further round takes twice as long."""

    hunt_max: float = 60.0
    """RETRAN-MAX: seconds of the longest round. A registrar that comes back is found within one round and the time that
    an association takes to come up, or at its first announcement."""

    hunt_retry: float = 1.0
    """Seconds between two tries at the same address within a round, at least."""

    registrar_silence: float = 0.0
    """Seconds within which SCTP notices, by heartbeats, that a registrar's machine does not answer any more; 0 leaves
    it to the transport, which takes about a minute. A node whose loop stands still for that long loses its
    registrar."""

    announce_timeout: float = 5.0
    """T7-ENRPoutdate: seconds after which a registrar that was heard announcing is forgotten, if its announcements do
    not come more slowly: then three times their period."""

    max_registration_attempts: int = 2
    """MAX-REG-ATTEMPT: registrations that fail in a row before that is reported. The element goes on trying."""

    max_request_retransmits: int = 2
    """MAX-REQUEST-RETRANSMIT: times that a handle resolution is sent again before it fails."""

    stale_cache: float = 0.0
    """stale_cache_value: seconds for which a resolved pool is used again without asking; 0 asks every time."""

    # Bounds

    candidates: int = 64
    """Registrars known from announcements: a forged flood of them adds nothing beyond, and takes nothing away from the
    configured ones (RFC 5352 9)."""

    announcement_rate: float = 100.0
    """Announcements looked at per second; the rest of a flood is dropped unread."""

    incoming: int = 32
    """Associations that registrars, or who says so, opened to this node: one more is aborted."""

    pools_cached: int = 1024
    """Pools in the cache: the one that was used longest ago makes room."""

    requests: int = 4096
    """Handle resolutions that may wait for a registrar at a time; one more fails at once."""

    update_rate: float = 5.0
    """Registrations per second that may be sent only because a load or a policy has changed; what changes faster goes
    out with the next one. A registrar refuses what comes too fast (RFC 5355 2.1)."""

    report_rate: float = 5.0
    """Unreachability reports sent per second (RFC 5355 2.13); the rest of a burst is not sent."""

    def __post_init__(self) -> None:
        check_positive(self, may_be_zero=MAY_BE_ZERO)


FAST: Final = ClientSettings(
    request_timeout=0.5,
    registration_timeout=0.5,
    deregistration_timeout=0.5,
    server_hunt=0.5,
    hunt_max=2.0,
    hunt_retry=0.1,
    registrar_silence=3.0,
    max_request_retransmits=10,
)
"""For a local network: a registrar that does not answer is left within half a second, one whose machine has fallen
silent within three, and a new one found within two."""

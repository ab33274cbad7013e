"""Settings of pool elements and pool users: the timers and thresholds of RFC 5352 7, and bounds against strangers."""

from dataclasses import dataclass
from typing import Final

from rserpool.settings.checks import check_positive

MAY_BE_ZERO: Final = frozenset(
    {"max_registration_attempts", "max_request_retransmits", "stale_cache", "registrar_silence"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Settings of one node with its pool elements and its pool user. Durations are in seconds."""

    request_timeout: float = 15.0
    """T1-ENRPrequest: seconds until an unanswered handle resolution is sent again and the hunt for another registrar
    begins."""

    registration_timeout: float = 30.0
    """T2-registration: seconds until an unanswered registration starts the hunt for another registrar."""

    deregistration_timeout: float = 30.0
    """T3-deregistration: seconds until an unanswered deregistration starts the hunt for another registrar."""

    server_hunt: float = 10.0
    """T5-Serverhunt: seconds of the first round of the hunt for a registrar. Each further round takes twice as long."""

    hunt_max: float = 60.0
    """RETRAN-MAX: seconds of the longest round. A registrar that returns is found within one round plus the time to set
    up an association, or at its first announcement."""

    hunt_retry: float = 1.0
    """Shortest time in seconds between two attempts at the same address within a round."""

    registrar_silence: float = 0.0
    """Seconds within which SCTP heartbeats detect that the registrar's machine no longer answers. 0 uses the
    transport's defaults, about a minute. A node whose event loop blocks for this long loses its registrar."""

    announce_timeout: float = 5.0
    """T7-ENRPoutdate: seconds after its last announcement at which a registrar is forgotten, or three announcement
    intervals if that is longer."""

    max_registration_attempts: int = 2
    """MAX-REG-ATTEMPT: failed registrations in a row before the failure is reported. The element keeps trying."""

    max_request_retransmits: int = 2
    """MAX-REQUEST-RETRANSMIT: number of times that a handle resolution is sent again before it fails."""

    stale_cache: float = 0.0
    """stale_cache_value: seconds for which a resolved pool is used without a new request. 0 requests every time."""

    # Bounds

    candidates: int = 64
    """Largest number of registrars known from announcements. A flood of forged ones adds no more, and never replaces
    the configured ones (RFC 5352 9)."""

    announcement_rate: float = 100.0
    """Announcements processed per second; the rest of a flood is dropped unread."""

    incoming: int = 32
    """Largest number of incoming associations, from registrars or others; one more is aborted."""

    pools_cached: int = 1024
    """Largest number of cached pools; a new one replaces the least recently used."""

    requests: int = 4096
    """Largest number of handle resolutions that wait for a registrar; one more fails at once."""

    update_rate: float = 5.0
    """Re-registrations per second because of a changed load or policy; faster changes are combined. A registrar rejects
    registrations that arrive too fast (RFC 5355 2.1)."""

    report_rate: float = 5.0
    """Unreachability reports sent per second (RFC 5355 2.13); further ones are dropped."""

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
"""Settings for a local network. A registrar that does not answer is left within half a second, one whose machine is
silent within three seconds, and a new one is found within two."""

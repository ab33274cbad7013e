"""Settings of both ends of a session: timers, and bounds on what the other end can make them store."""

import enum
from dataclasses import dataclass
from typing import Final

from rserpool.settings.checks import check_positive

MAX_COOKIE: Final = 0xFFFF - 8
"""Octets of the longest cookie: the 16-bit Message Length minus the headers of message and parameter (RFC 5352
2.2.11)."""
MAX_MALFORMED: Final = 16
"""The number of malformed control messages that are tolerated from one peer; at the next one the peer is dropped."""
ENTRY_COST: Final = 64
"""Octets added to the size of each queued message, so that a flood of tiny messages is bounded too."""


class Failover(enum.Enum):
    """How the application learns of a failover."""

    SILENT = "silent"
    """Not at all (SEND_FAILOVER of RFC 5352 6.5.5)."""
    EVENT = "event"
    """By a FailoverEvent among the received data (RFC 5355 2.9)."""
    ERROR = "error"
    """There is no failover: the session fails and returns the unsent messages (SEND_NO_FAILOVER of RFC 5352 6.5.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Settings of a pool user's session. Durations are in seconds."""

    failover: Failover = Failover.SILENT
    """How the application learns of a failover."""

    silence: float | None = None
    """The session fails over if the element sends no data for this many seconds after something was sent to it. None
    relies on the transport. Use it for services that always answer: it detects a stopped server whose kernel still
    acknowledges."""

    reopen: bool | None = None
    """True if the session fails over when an element ends it in an orderly way, False if the session ends then. None
    fails over only if the element has left the pool, because the kernel of a killed server also ends its associations
    in an orderly way."""

    doubt: float = 0.2
    """Seconds from an orderly end until the registrar is asked again whether the element has left the pool; the
    registrar may learn of the element's death a little later."""

    patience: float = 30.0
    """Seconds without a serving element after which the session fails."""

    confirm_timeout: float = 1.0
    """Time limit in seconds for checking whether the element is still registered; on time-out the session ends."""

    connect_timeout: float = 5.0
    """Time limit in seconds for setting up an association."""

    settle: float = 1.0
    """Seconds of service after which an element counts as good. An element that fails earlier is excluded from the next
    selections and does not reset the backoff."""

    backoff: float = 0.25
    """First pause in seconds after all elements of the pool have failed or the pool was empty; each further pause is
    twice as long. The actual pause is drawn from +-50 % around it, so that users do not return in step."""

    backoff_max: float = 2.0
    """Longest pause in seconds, before the draw."""

    close_timeout: float = 2.0
    """Time limit in seconds for an orderly end; then the association is aborted."""

    max_unread: int = 262_144
    """The peer must wait while the application has not read this many received octets, so that a slow reader costs no
    more memory."""

    max_unsent: int = 262_144
    """send() waits while this many octets are accepted from the application and not yet passed to the transport."""

    max_resolutions: int = 8
    """Largest number of pools that business cards of one session can make the pool user resolve."""

    max_card: int = 32
    """Largest number of elements kept from a business card as the failover order."""

    def __post_init__(self) -> None:
        check_positive(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Settings of a pool element's sessions. Durations are in seconds."""

    max_sessions: int = 1024
    """Largest number of sessions, including those not yet accepted by the application. One more is aborted, so that its
    user moves on to another element."""

    idle_timeout: float = 60.0
    """Seconds without data after which a session over UDP ends; UDP has no other end."""

    close_timeout: float = 2.0
    """Time limit in seconds for an orderly end; then the association is aborted."""

    max_unread: int = 262_144
    """See SessionSettings."""

    max_unsent: int = 262_144
    """See SessionSettings."""

    def __post_init__(self) -> None:
        check_positive(self)

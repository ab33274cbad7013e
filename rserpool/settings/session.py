"""How the two ends of a session behave: timers, and the bounds on what the other end can make them keep. Durations are
in seconds."""

import enum
from dataclasses import dataclass
from typing import Final

from rserpool.settings.checks import check_positive

MAX_COOKIE: Final = 0xFFFF - 8
"""Octets of the longest cookie: the 16-bit Message Length counts two headers besides it (RFC 5352 2.2.11)."""
MAX_MALFORMED: Final = 16
"""Control messages that make no sense, of one peer; with one more it is left: it costs time and says nothing."""
ENTRY_COST: Final = 64
"""Octets that each waiting message counts besides its own, so that a flood of tiny ones is bounded too."""


class Failover(enum.Enum):
    """What the application hears of a failover."""

    SILENT = "silent"
    """Nothing (SEND_FAILOVER of RFC 5352 6.5.5)."""
    EVENT = "event"
    """A FailoverEvent among the data (RFC 5355 2.9)."""
    ERROR = "error"
    """There is none: the session fails and gives back what was not sent (SEND_NO_FAILOVER of RFC 5352 6.5.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """The settings of a pool user's session."""

    failover: Failover = Failover.SILENT
    """What the application hears of a failover."""

    silence: float | None = None
    """Seconds after which an element is given up that was sent something and has sent nothing since; None waits for
    the transport to notice. For services that always answer: it catches a server that is stopped while its kernel goes
    on acknowledging."""

    reopen: bool | None = None
    """Whether the session goes on with another element where one ends it in order. None: only if the element has left
    the pool, for the kernel of a server that was killed ends its associations in order too."""

    doubt: float = 0.2
    """Seconds after an orderly end when the pool is asked for the second time whether the element has left it: a
    registrar may hear of its death a little later."""

    patience: float = 30.0
    """Seconds without an element that serves, after which the session fails."""

    confirm_timeout: float = 1.0
    """Seconds that asking for it may take; then the element's own word counts, and the session ends."""

    connect_timeout: float = 5.0
    """Seconds that an association may take to come up."""

    settle: float = 1.0
    """Seconds after which an element that came up counts as a good one. One that fails earlier is left out of the next
    selections and shortens no pause."""

    backoff: float = 0.25
    """Seconds of the first pause after all elements of the pool have failed, or none was there; each further one takes
    twice as long. Drawn between half and one and a half of it, so that users do not come back in step."""

    backoff_max: float = 2.0
    """Seconds of the longest pause, before the draw."""

    close_timeout: float = 2.0
    """Seconds that an orderly end may take before the association is aborted."""

    max_unread: int = 262_144
    """Octets received and not yet read by the application. At this bound the peer is made to wait: a slow
    reader costs no memory."""

    max_unsent: int = 262_144
    """Octets accepted from the application and not yet by the transport. At this bound send() waits."""

    max_resolutions: int = 8
    """Pools that the business cards of one session's elements can make the pool user resolve."""

    max_card: int = 32
    """Elements of a business card that are kept as the order of failover."""

    def __post_init__(self) -> None:
        check_positive(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """The settings of a pool element's sessions."""

    max_sessions: int = 1024
    """Sessions at a time, those included that wait to be taken; one more is aborted, so that a flood of associations
    costs nothing and its users move on to another element."""

    idle_timeout: float = 60.0
    """Seconds after which a session over UDP ends that heard nothing: nothing else ends it."""

    close_timeout: float = 2.0
    """Seconds that an orderly end may take before the association is aborted."""

    max_unread: int = 262_144
    """As of SessionSettings."""

    max_unsent: int = 262_144
    """As of SessionSettings."""

    def __post_init__(self) -> None:
        check_positive(self)

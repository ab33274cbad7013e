"""The life of a pool user's session as a table (RFC 5352 3.8, 3.9, 6.5)."""

import enum


class UserSessionState(enum.Enum):
    """How far a session is."""

    NEW = enum.auto()
    """Nothing was asked for."""
    SELECTING = enum.auto()
    """An element is being selected by the pool's policy."""
    CONNECTING = enum.auto()
    """The transport to an element is coming up."""
    OPEN = enum.auto()
    """An element serves."""
    WAITING = enum.auto()
    """No element is to be had; the session pauses before it asks again."""
    DOUBTING = enum.auto()
    """The element has ended in order; it is not known whether it meant to end the session."""
    CLOSING = enum.auto()
    """The application has closed it; what it had sent goes out."""
    ENDED = enum.auto()
    """It is over."""


class UserSessionEvent(enum.Enum):
    """What may happen to a session."""

    START = enum.auto()
    SELECTED = enum.auto()
    NOTHING_SELECTED = enum.auto()
    UP = enum.auto()
    """The transport to the element is up."""
    FAILED = enum.auto()
    """It is lost or aborted, or never came up."""
    PEER_ENDED = enum.auto()
    """The element ended it in order."""
    RESTARTED = enum.auto()
    """The element lost its state, and is there again."""
    LISTED = enum.auto()
    """The element that ended is still in its pool, or nobody knows."""
    UNLISTED = enum.auto()
    """It has left its pool."""
    FORCED = enum.auto()
    """The application wants another element."""
    EXPIRED = enum.auto()
    """The time that the state allows is over."""
    CLOSED = enum.auto()
    """The application has no more use for the session."""


LET_BE = "let_be"
"""Nothing is done: it comes too late, or changes nothing."""

TABLE: dict[tuple[UserSessionState, UserSessionEvent], tuple[str, UserSessionState]] = {
    (UserSessionState.NEW, UserSessionEvent.START): ("select", UserSessionState.SELECTING),
    (UserSessionState.NEW, UserSessionEvent.CLOSED): ("end", UserSessionState.ENDED),
    (UserSessionState.SELECTING, UserSessionEvent.SELECTED): ("connect", UserSessionState.CONNECTING),
    (UserSessionState.SELECTING, UserSessionEvent.NOTHING_SELECTED): ("pause", UserSessionState.WAITING),
    (UserSessionState.SELECTING, UserSessionEvent.FORCED): (LET_BE, UserSessionState.SELECTING),
    (UserSessionState.SELECTING, UserSessionEvent.EXPIRED): ("give_up", UserSessionState.ENDED),
    (UserSessionState.SELECTING, UserSessionEvent.CLOSED): ("end", UserSessionState.ENDED),
    (UserSessionState.CONNECTING, UserSessionEvent.UP): ("opened", UserSessionState.OPEN),
    (UserSessionState.CONNECTING, UserSessionEvent.FAILED): ("fail_over", UserSessionState.SELECTING),
    (UserSessionState.CONNECTING, UserSessionEvent.PEER_ENDED): ("fail_over", UserSessionState.SELECTING),
    (UserSessionState.CONNECTING, UserSessionEvent.FORCED): ("fail_over", UserSessionState.SELECTING),
    (UserSessionState.CONNECTING, UserSessionEvent.EXPIRED): ("fail_over", UserSessionState.SELECTING),
    (UserSessionState.CONNECTING, UserSessionEvent.CLOSED): ("end", UserSessionState.ENDED),
    (UserSessionState.OPEN, UserSessionEvent.FAILED): ("fail_over", UserSessionState.SELECTING),
    (UserSessionState.OPEN, UserSessionEvent.PEER_ENDED): ("peer_ended", UserSessionState.DOUBTING),
    (UserSessionState.OPEN, UserSessionEvent.RESTARTED): ("fail_over", UserSessionState.SELECTING),
    (UserSessionState.OPEN, UserSessionEvent.FORCED): ("fail_over", UserSessionState.SELECTING),
    (UserSessionState.OPEN, UserSessionEvent.EXPIRED): ("fail_over", UserSessionState.SELECTING),
    (UserSessionState.OPEN, UserSessionEvent.CLOSED): ("finish", UserSessionState.CLOSING),
    (UserSessionState.DOUBTING, UserSessionEvent.LISTED): ("doubt_again", UserSessionState.DOUBTING),
    (UserSessionState.DOUBTING, UserSessionEvent.UNLISTED): ("fail_over", UserSessionState.SELECTING),
    (UserSessionState.DOUBTING, UserSessionEvent.EXPIRED): ("doubt_on", UserSessionState.DOUBTING),
    (UserSessionState.DOUBTING, UserSessionEvent.FORCED): ("fail_over", UserSessionState.SELECTING),
    (UserSessionState.DOUBTING, UserSessionEvent.CLOSED): ("end", UserSessionState.ENDED),
    (UserSessionState.WAITING, UserSessionEvent.FORCED): (LET_BE, UserSessionState.WAITING),
    (UserSessionState.WAITING, UserSessionEvent.EXPIRED): ("select_again", UserSessionState.SELECTING),
    (UserSessionState.WAITING, UserSessionEvent.CLOSED): ("end", UserSessionState.ENDED),
    (UserSessionState.CLOSING, UserSessionEvent.FAILED): ("end", UserSessionState.ENDED),
    (UserSessionState.CLOSING, UserSessionEvent.PEER_ENDED): ("end", UserSessionState.ENDED),
    (UserSessionState.CLOSING, UserSessionEvent.RESTARTED): ("end", UserSessionState.ENDED),
    (UserSessionState.CLOSING, UserSessionEvent.FORCED): (LET_BE, UserSessionState.CLOSING),
    (UserSessionState.CLOSING, UserSessionEvent.EXPIRED): ("end", UserSessionState.ENDED),
    (UserSessionState.CLOSING, UserSessionEvent.CLOSED): (LET_BE, UserSessionState.CLOSING),
    (UserSessionState.ENDED, UserSessionEvent.SELECTED): (LET_BE, UserSessionState.ENDED),
    (UserSessionState.ENDED, UserSessionEvent.NOTHING_SELECTED): (LET_BE, UserSessionState.ENDED),
    (UserSessionState.ENDED, UserSessionEvent.LISTED): (LET_BE, UserSessionState.ENDED),
    (UserSessionState.ENDED, UserSessionEvent.UNLISTED): (LET_BE, UserSessionState.ENDED),
    (UserSessionState.ENDED, UserSessionEvent.FORCED): (LET_BE, UserSessionState.ENDED),
    (UserSessionState.ENDED, UserSessionEvent.CLOSED): (LET_BE, UserSessionState.ENDED),
}
"""(state, event) -> (what to do, next state). ``fail_over`` goes on to CONNECTING where a business card names the next
element, and to ENDED where failover is forbidden or patience is over, as ``select_again`` does; ``pause`` ends where
patience is over, ``connect`` goes to WAITING where the element has failed just now. ``peer_ended`` selects again where
the session is to be reopened in any case, and ends it where in none; ``doubt_again`` and ``doubt_on`` end it the second
time and where nobody answers. UP, FAILED, PEER_ENDED and RESTARTED are those of the present channel alone: others are
dropped before the table. EXPIRED comes only where a time is set."""

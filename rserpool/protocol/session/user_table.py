"""The life of a pool user's session as a table (RFC 5352 3.8, 3.9, 6.5)."""

import enum


class State(enum.Enum):
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


class Event(enum.Enum):
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

TABLE: dict[tuple[State, Event], tuple[str, State]] = {
    (State.NEW, Event.START): ("select", State.SELECTING),
    (State.NEW, Event.CLOSED): ("end", State.ENDED),
    (State.SELECTING, Event.SELECTED): ("connect", State.CONNECTING),
    (State.SELECTING, Event.NOTHING_SELECTED): ("pause", State.WAITING),
    (State.SELECTING, Event.FORCED): (LET_BE, State.SELECTING),
    (State.SELECTING, Event.EXPIRED): ("give_up", State.ENDED),
    (State.SELECTING, Event.CLOSED): ("end", State.ENDED),
    (State.CONNECTING, Event.UP): ("opened", State.OPEN),
    (State.CONNECTING, Event.FAILED): ("fail_over", State.SELECTING),
    (State.CONNECTING, Event.PEER_ENDED): ("fail_over", State.SELECTING),
    (State.CONNECTING, Event.FORCED): ("fail_over", State.SELECTING),
    (State.CONNECTING, Event.EXPIRED): ("fail_over", State.SELECTING),
    (State.CONNECTING, Event.CLOSED): ("end", State.ENDED),
    (State.OPEN, Event.FAILED): ("fail_over", State.SELECTING),
    (State.OPEN, Event.PEER_ENDED): ("peer_ended", State.DOUBTING),
    (State.OPEN, Event.RESTARTED): ("fail_over", State.SELECTING),
    (State.OPEN, Event.FORCED): ("fail_over", State.SELECTING),
    (State.OPEN, Event.EXPIRED): ("fail_over", State.SELECTING),
    (State.OPEN, Event.CLOSED): ("finish", State.CLOSING),
    (State.DOUBTING, Event.LISTED): ("doubt_again", State.DOUBTING),
    (State.DOUBTING, Event.UNLISTED): ("fail_over", State.SELECTING),
    (State.DOUBTING, Event.EXPIRED): ("doubt_on", State.DOUBTING),
    (State.DOUBTING, Event.FORCED): ("fail_over", State.SELECTING),
    (State.DOUBTING, Event.CLOSED): ("end", State.ENDED),
    (State.WAITING, Event.FORCED): (LET_BE, State.WAITING),
    (State.WAITING, Event.EXPIRED): ("select_again", State.SELECTING),
    (State.WAITING, Event.CLOSED): ("end", State.ENDED),
    (State.CLOSING, Event.FAILED): ("end", State.ENDED),
    (State.CLOSING, Event.PEER_ENDED): ("end", State.ENDED),
    (State.CLOSING, Event.RESTARTED): ("end", State.ENDED),
    (State.CLOSING, Event.FORCED): (LET_BE, State.CLOSING),
    (State.CLOSING, Event.EXPIRED): ("end", State.ENDED),
    (State.CLOSING, Event.CLOSED): (LET_BE, State.CLOSING),
    (State.ENDED, Event.SELECTED): (LET_BE, State.ENDED),
    (State.ENDED, Event.NOTHING_SELECTED): (LET_BE, State.ENDED),
    (State.ENDED, Event.LISTED): (LET_BE, State.ENDED),
    (State.ENDED, Event.UNLISTED): (LET_BE, State.ENDED),
    (State.ENDED, Event.FORCED): (LET_BE, State.ENDED),
    (State.ENDED, Event.CLOSED): (LET_BE, State.ENDED),
}
"""(state, event) -> (what to do, next state). ``fail_over`` goes on to CONNECTING where a business card names the next
element, and to ENDED where failover is forbidden or patience is over, as ``select_again`` does; ``pause`` ends where
patience is over, ``connect`` goes to WAITING where the element has failed just now. ``peer_ended`` selects again where
the session is to be reopened in any case, and ends it where in none; ``doubt_again`` and ``doubt_on`` end it the second
time and where nobody answers. UP, FAILED, PEER_ENDED and RESTARTED are those of the present channel alone: others are
dropped before the table. EXPIRED comes only where a time is set."""

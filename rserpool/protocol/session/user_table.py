"""The state table of a pool user's session (RFC 5352 3.8, 3.9, 6.5).

What the table does not show:

- FAIL_OVER, FAIL_OVER_AFTER_RESTART, TRY_ANOTHER and SWITCH go on in SELECTING: with FAILOVER_FORBIDDEN,
  OUT_OF_PATIENCE or NAMED, or with a selection by policy if none of these applies. REOPEN goes on with NAMED or a
  selection. PAUSE goes on with OUT_OF_PATIENCE if patience is over.
- UP, FAILED, PEER_ENDED, PEER_FINISHED, PEER_LEFT and RESTARTED concern the present channel. Events of former channels,
  and answers about former elements, are dropped before the table.
- NEW and ENDED have no timer. In OPEN, EXPIRED means that the element has been silent for too long.
"""

import enum

from rserpool.protocol.table import Transition


class UserSessionState(enum.Enum):
    """The states of a pool user's session."""

    NEW = enum.auto()
    """Not started."""
    SELECTING = enum.auto()
    """Waiting for the selection of an element by the pool's policy."""
    CONNECTING = enum.auto()
    """Opening a channel to an element."""
    OPEN = enum.auto()
    """An element serves."""
    WAITING = enum.auto()
    """No element is available; pausing before the next selection."""
    CONFIRMING = enum.auto()
    """The element has closed the channel in an orderly way. The session asks the registrar whether the element is
    still in its pool."""
    DOUBTING = enum.auto()
    """The registrar lists the element, but may not know yet that it has left. Pausing before asking again."""
    CONFIRMING_AGAIN = enum.auto()
    """Asking the registrar for the second time."""
    CLOSING = enum.auto()
    """The application has closed the session; accepted messages are still sent."""
    ENDED = enum.auto()
    """Over."""


class UserSessionEvent(enum.Enum):
    """Events of a pool user's session."""

    START = enum.auto()
    """The application starts the session."""
    SELECTED = enum.auto()
    """An element was selected by policy."""
    EXCLUDED_SELECTED = enum.auto()
    """The selected element has failed since the selection began."""
    NOTHING_SELECTED = enum.auto()
    """No element could be selected."""
    NAMED = enum.auto()
    """The business card of the former element names the next element."""
    UP = enum.auto()
    """The channel is up."""
    FAILED = enum.auto()
    """The channel is lost or aborted, or never came up."""
    PEER_ENDED = enum.auto()
    """The element has closed the channel in an orderly way."""
    PEER_FINISHED = enum.auto()
    """The element has closed the channel in an orderly way, and the settings say that the session ends too."""
    PEER_LEFT = enum.auto()
    """The element has closed the channel in an orderly way, and the settings say that the session continues with
    another one."""
    RESTARTED = enum.auto()
    """The element has restarted and lost its state."""
    NONSENSE = enum.auto()
    """The element has sent too many malformed control messages."""
    LISTED = enum.auto()
    """The registrar says that the element is still in its pool, or does not know."""
    UNLISTED = enum.auto()
    """The registrar says that the element has left its pool."""
    FORCED = enum.auto()
    """The application wants another element."""
    EXPIRED = enum.auto()
    """The timer of the state has expired."""
    OUT_OF_PATIENCE = enum.auto()
    """No element has served for as long as the settings allow."""
    FAILOVER_FORBIDDEN = enum.auto()
    """The element that served has failed, and the settings forbid failover."""
    CLOSED = enum.auto()
    """The application closes the session."""


class UserSessionReaction(enum.Enum):
    """Reactions of a pool user's session. The methods of UserSession have the same names."""

    IGNORE = enum.auto()
    """Do nothing."""
    SELECT = enum.auto()
    """Select an element by policy, without those that have failed."""
    CONNECT = enum.auto()
    """Open a channel to the selected or named element."""
    PAUSE = enum.auto()
    """Forget which elements have failed, and pause; longer with each round."""
    ADOPT_ELEMENT = enum.auto()
    """Send the cookie, the business card and the waiting messages to the element; report the failover."""
    TRY_ANOTHER = enum.auto()
    """Leave an element that has never served, and go on to the next one."""
    FAIL_OVER = enum.auto()
    """Leave the element, and go on to the next one if failover is allowed."""
    FAIL_OVER_AFTER_RESTART = enum.auto()
    """Leave the element, and go on if failover is allowed. The same element may be selected again."""
    SWITCH = enum.auto()
    """Leave the element, and go on to the next one."""
    REOPEN = enum.auto()
    """Go on to the next element."""
    CONFIRM = enum.auto()
    """Ask the registrar whether the element is still in its pool."""
    DOUBT = enum.auto()
    """Pause before the registrar is asked again."""
    FINISH = enum.auto()
    """Let the accepted messages go out, then shut the channel down."""
    END = enum.auto()
    """Abort the channel if there is one; the session ends in an orderly way."""
    FAIL = enum.auto()
    """The session ends because its element has failed."""
    GIVE_UP = enum.auto()
    """The session ends because no element serves."""


_S, _E, _R = UserSessionState, UserSessionEvent, UserSessionReaction
TABLE: dict[tuple[UserSessionState, UserSessionEvent], Transition[UserSessionReaction, UserSessionState]] = {
    (_S.NEW, _E.START): Transition(_R.SELECT, _S.SELECTING),
    (_S.NEW, _E.CLOSED): Transition(_R.END, _S.ENDED),
    (_S.SELECTING, _E.SELECTED): Transition(_R.CONNECT, _S.CONNECTING),
    (_S.SELECTING, _E.EXCLUDED_SELECTED): Transition(_R.PAUSE, _S.WAITING),
    (_S.SELECTING, _E.NOTHING_SELECTED): Transition(_R.PAUSE, _S.WAITING),
    (_S.SELECTING, _E.NAMED): Transition(_R.CONNECT, _S.CONNECTING),
    (_S.SELECTING, _E.FORCED): Transition(_R.IGNORE, _S.SELECTING),
    (_S.SELECTING, _E.OUT_OF_PATIENCE): Transition(_R.GIVE_UP, _S.ENDED),
    (_S.SELECTING, _E.FAILOVER_FORBIDDEN): Transition(_R.FAIL, _S.ENDED),
    (_S.SELECTING, _E.CLOSED): Transition(_R.END, _S.ENDED),
    (_S.CONNECTING, _E.UP): Transition(_R.ADOPT_ELEMENT, _S.OPEN),
    (_S.CONNECTING, _E.FAILED): Transition(_R.TRY_ANOTHER, _S.SELECTING),
    (_S.CONNECTING, _E.PEER_ENDED): Transition(_R.TRY_ANOTHER, _S.SELECTING),
    (_S.CONNECTING, _E.FORCED): Transition(_R.TRY_ANOTHER, _S.SELECTING),
    (_S.CONNECTING, _E.EXPIRED): Transition(_R.TRY_ANOTHER, _S.SELECTING),
    (_S.CONNECTING, _E.CLOSED): Transition(_R.END, _S.ENDED),
    (_S.OPEN, _E.FAILED): Transition(_R.FAIL_OVER, _S.SELECTING),
    (_S.OPEN, _E.PEER_ENDED): Transition(_R.CONFIRM, _S.CONFIRMING),
    (_S.OPEN, _E.PEER_FINISHED): Transition(_R.END, _S.ENDED),
    (_S.OPEN, _E.PEER_LEFT): Transition(_R.REOPEN, _S.SELECTING),
    (_S.OPEN, _E.RESTARTED): Transition(_R.FAIL_OVER_AFTER_RESTART, _S.SELECTING),
    (_S.OPEN, _E.NONSENSE): Transition(_R.FAIL_OVER, _S.SELECTING),
    (_S.OPEN, _E.FORCED): Transition(_R.SWITCH, _S.SELECTING),
    (_S.OPEN, _E.EXPIRED): Transition(_R.FAIL_OVER, _S.SELECTING),
    (_S.OPEN, _E.CLOSED): Transition(_R.FINISH, _S.CLOSING),
    (_S.WAITING, _E.FORCED): Transition(_R.IGNORE, _S.WAITING),
    (_S.WAITING, _E.EXPIRED): Transition(_R.SELECT, _S.SELECTING),
    (_S.WAITING, _E.OUT_OF_PATIENCE): Transition(_R.GIVE_UP, _S.ENDED),
    (_S.WAITING, _E.CLOSED): Transition(_R.END, _S.ENDED),
    (_S.CONFIRMING, _E.LISTED): Transition(_R.DOUBT, _S.DOUBTING),
    (_S.CONFIRMING, _E.UNLISTED): Transition(_R.FAIL_OVER, _S.SELECTING),
    (_S.CONFIRMING, _E.EXPIRED): Transition(_R.END, _S.ENDED),
    (_S.CONFIRMING, _E.FORCED): Transition(_R.SWITCH, _S.SELECTING),
    (_S.CONFIRMING, _E.CLOSED): Transition(_R.END, _S.ENDED),
    (_S.DOUBTING, _E.EXPIRED): Transition(_R.CONFIRM, _S.CONFIRMING_AGAIN),
    (_S.DOUBTING, _E.FORCED): Transition(_R.SWITCH, _S.SELECTING),
    (_S.DOUBTING, _E.CLOSED): Transition(_R.END, _S.ENDED),
    (_S.CONFIRMING_AGAIN, _E.LISTED): Transition(_R.END, _S.ENDED),
    (_S.CONFIRMING_AGAIN, _E.UNLISTED): Transition(_R.FAIL_OVER, _S.SELECTING),
    (_S.CONFIRMING_AGAIN, _E.EXPIRED): Transition(_R.END, _S.ENDED),
    (_S.CONFIRMING_AGAIN, _E.FORCED): Transition(_R.SWITCH, _S.SELECTING),
    (_S.CONFIRMING_AGAIN, _E.CLOSED): Transition(_R.END, _S.ENDED),
    (_S.CLOSING, _E.FAILED): Transition(_R.END, _S.ENDED),
    (_S.CLOSING, _E.PEER_ENDED): Transition(_R.END, _S.ENDED),
    (_S.CLOSING, _E.RESTARTED): Transition(_R.END, _S.ENDED),
    (_S.CLOSING, _E.FORCED): Transition(_R.IGNORE, _S.CLOSING),
    (_S.CLOSING, _E.EXPIRED): Transition(_R.END, _S.ENDED),
    (_S.CLOSING, _E.CLOSED): Transition(_R.IGNORE, _S.CLOSING),
    (_S.ENDED, _E.SELECTED): Transition(_R.IGNORE, _S.ENDED),
    (_S.ENDED, _E.EXCLUDED_SELECTED): Transition(_R.IGNORE, _S.ENDED),
    (_S.ENDED, _E.NOTHING_SELECTED): Transition(_R.IGNORE, _S.ENDED),
    (_S.ENDED, _E.FORCED): Transition(_R.IGNORE, _S.ENDED),
    (_S.ENDED, _E.CLOSED): Transition(_R.IGNORE, _S.ENDED),
}

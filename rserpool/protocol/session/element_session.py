"""A session at its pool element (RFC 5352 3.8, 3.9), and its state table.

The owner carries out the actions, and takes the messages to send from ``outgoing``. Times are integer microseconds.
Received data does not pass through here.

What the table does not show: ``sent`` returns Shutdown when the last message has gone out in CLOSING.
"""

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rserpool.errors import LocalProtocolError, RemoteProtocolError
from rserpool.messages import AsapError, BusinessCard, Cookie, CookieEcho, decode
from rserpool.model.association_ends import Down
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.session.outbox import Outbox, Waiting, check_ppid
from rserpool.protocol.table import Transition, step
from rserpool.settings.session import MAX_COOKIE, MAX_MALFORMED, ServiceSettings


class ElementSessionState(enum.Enum):
    """The states of a session at its pool element."""

    OPEN = enum.auto()
    """Serving the user."""
    CLOSING = enum.auto()
    """The application has closed the session; accepted messages are still sent."""
    ENDED = enum.auto()
    """Over."""


class ElementSessionEvent(enum.Enum):
    """Events of a session at its pool element."""

    SHUT_DOWN = enum.auto()
    """The transport has ended in an orderly way."""
    LOST = enum.auto()
    """The transport is lost or aborted."""
    RESTARTED = enum.auto()
    """The user has lost its state; what it sends now belongs to another session."""
    LEFT = enum.auto()
    """The application leaves the session, or the user sends nonsense."""
    CLOSED = enum.auto()
    """The application closes the session."""
    EXPIRED = enum.auto()
    """The time for an orderly end is over."""


class ElementSessionReaction(enum.Enum):
    """Reactions of a session at its pool element. The methods of ElementSession have the same names."""

    IGNORE = enum.auto()
    """Do nothing."""
    END = enum.auto()
    """The session ends in an orderly way."""
    FAIL = enum.auto()
    """The session ends by a failure."""
    ABORT = enum.auto()
    """Abort the transport; the session ends by a failure."""
    FINISH = enum.auto()
    """Let the accepted messages go out, then shut the transport down."""


_S, _E, _R = ElementSessionState, ElementSessionEvent, ElementSessionReaction
TABLE: dict[
    tuple[ElementSessionState, ElementSessionEvent], Transition[ElementSessionReaction, ElementSessionState]
] = {
    (_S.OPEN, _E.SHUT_DOWN): Transition(_R.END, _S.ENDED),
    (_S.OPEN, _E.LOST): Transition(_R.FAIL, _S.ENDED),
    (_S.OPEN, _E.RESTARTED): Transition(_R.FAIL, _S.ENDED),
    (_S.OPEN, _E.LEFT): Transition(_R.ABORT, _S.ENDED),
    (_S.OPEN, _E.CLOSED): Transition(_R.FINISH, _S.CLOSING),
    (_S.CLOSING, _E.SHUT_DOWN): Transition(_R.END, _S.ENDED),
    (_S.CLOSING, _E.LOST): Transition(_R.FAIL, _S.ENDED),
    (_S.CLOSING, _E.RESTARTED): Transition(_R.FAIL, _S.ENDED),
    (_S.CLOSING, _E.LEFT): Transition(_R.ABORT, _S.ENDED),
    (_S.CLOSING, _E.CLOSED): Transition(_R.IGNORE, _S.CLOSING),
    (_S.CLOSING, _E.EXPIRED): Transition(_R.ABORT, _S.ENDED),
    (_S.ENDED, _E.SHUT_DOWN): Transition(_R.IGNORE, _S.ENDED),
    (_S.ENDED, _E.LOST): Transition(_R.IGNORE, _S.ENDED),
    (_S.ENDED, _E.RESTARTED): Transition(_R.IGNORE, _S.ENDED),
    (_S.ENDED, _E.LEFT): Transition(_R.IGNORE, _S.ENDED),
    (_S.ENDED, _E.CLOSED): Transition(_R.IGNORE, _S.ENDED),
}


@dataclass(frozen=True, slots=True)
class CookieEchoed:
    """The user has echoed a cookie. Pass it to the application before the data that it has not read yet."""

    cookie: bytes


@dataclass(frozen=True, slots=True)
class CardReceived:
    """The user is a pool element too, and has sent its business card."""

    card: BusinessCard


@dataclass(frozen=True, slots=True)
class ElementSessionEnded:
    """The session is over. ``failed`` is True if neither side ended it in an orderly way."""

    failed: bool


ElementSessionAction = Shutdown | Abort | CookieEchoed | CardReceived | ElementSessionEnded


class ElementSession:
    """One session of a pool element. It begins when the transport of number ``channel`` is up. Every event returns the
    actions to carry out, in order."""

    def __init__(self, channel: int, settings: ServiceSettings, *, control: bool) -> None:
        self.channel = channel
        self.state = ElementSessionState.OPEN
        self.control_channel = control
        self.counters: Counter[str] = Counter()
        self.deadline: int | None = None
        """The time at which advance() must be called."""
        self._settings = settings
        self._outbox = Outbox(settings.max_unsent)
        self._echo_pending = False
        self._malformed = 0
        self._reactions: dict[ElementSessionReaction, Callable[[int], list[ElementSessionAction]]] = {
            ElementSessionReaction.END: self._end,
            ElementSessionReaction.FAIL: self._fail,
            ElementSessionReaction.ABORT: self._abort,
            ElementSessionReaction.FINISH: self._finish,
        }

    # Events

    def control(self, data: bytes, now: int) -> list[ElementSessionAction]:
        """A message came over the control channel."""
        if self.state is ElementSessionState.ENDED:
            return []
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            return self._nonsense("malformed", now)
        if isinstance(message, CookieEcho):
            if self._echo_pending:
                self.counters["surplus echoes"] += 1
                return []
            self._echo_pending = True
            return [CookieEchoed(message.cookie)]
        if isinstance(message, BusinessCard):
            self.counters["cards"] += 1
            return [CardReceived(message)]
        if isinstance(message, AsapError):
            self.counters["errors"] += 1
            return []
        return self._nonsense("unexpected", now)

    def echo_taken(self) -> None:
        """The application has taken the cookie: another one may come."""
        self._echo_pending = False

    def down(self, reason: Down, now: int) -> list[ElementSessionAction]:
        """The transport is over."""
        in_order = reason is Down.SHUTDOWN
        return self._feed(ElementSessionEvent.SHUT_DOWN if in_order else ElementSessionEvent.LOST, now)

    def restarted(self, now: int) -> list[ElementSessionAction]:
        """The user has lost its state."""
        return self._feed(ElementSessionEvent.RESTARTED, now)

    def leave(self, now: int) -> list[ElementSessionAction]:
        """End at once."""
        return self._feed(ElementSessionEvent.LEFT, now)

    def close(self, now: int) -> list[ElementSessionAction]:
        """End in an orderly way: accepted messages are sent first."""
        return self._feed(ElementSessionEvent.CLOSED, now)

    def advance(self, now: int) -> list[ElementSessionAction]:
        """Time has passed."""
        if self.deadline is None or now < self.deadline:
            return []
        return self._feed(ElementSessionEvent.EXPIRED, now)

    # Sending

    def room(self, octets: int) -> bool:
        """True if send() accepts a message of that many octets now."""
        return self._outbox.room(octets)

    def send(self, data: bytes, ppid: int) -> None:
        """Accept a message. LocalProtocolError for a PPID that data cannot have, and after the end."""
        check_ppid(ppid)
        if self.state is not ElementSessionState.OPEN:
            raise LocalProtocolError("the session is closed")
        self._outbox.put(data, ppid)

    def send_cookie(self, cookie: bytes) -> None:
        """Store state at the user, as a cookie (RFC 5352 3.8). A new cookie replaces one that was not sent yet.

        LocalProtocolError without a control channel, for another size than 1 to MAX_COOKIE octets, and after the end.
        """
        if not self.control_channel:
            raise LocalProtocolError("this transport has no control channel, and so no cookies (RFC 5352 3.8)")
        if not 0 < len(cookie) <= MAX_COOKIE:
            raise LocalProtocolError(f"a cookie must have 1 to {MAX_COOKIE} octets, not {len(cookie)}")
        if self.state is not ElementSessionState.OPEN:
            raise LocalProtocolError("the session is closed")
        self._outbox.put_control(Cookie(cookie=cookie).encode())

    def send_card(self, card: BusinessCard) -> None:
        """Send the order of failover to the user (RFC 5352 3.9). No effect without a control channel."""
        if self.control_channel and self.state is ElementSessionState.OPEN:
            self._outbox.put_control(card.encode())

    def outgoing(self) -> Waiting | None:
        """The next message for the transport. Call sent() when the transport has taken it."""
        return self._outbox.first() if self.state is not ElementSessionState.ENDED else None

    def sent(self, now: int) -> list[ElementSessionAction]:
        """The transport took the outgoing message."""
        self._outbox.pop()
        return [Shutdown(self.channel)] if self.state is ElementSessionState.CLOSING and not self._outbox else []

    # The machine

    def _feed(self, event: ElementSessionEvent, now: int) -> list[ElementSessionAction]:
        reaction, self.state = step(TABLE, self.state, event)
        if reaction is ElementSessionReaction.IGNORE:
            return []
        self.deadline = None
        return self._reactions[reaction](now)

    def _end(self, now: int) -> list[ElementSessionAction]:
        self._outbox.clear()
        return [ElementSessionEnded(failed=False)]

    def _fail(self, now: int) -> list[ElementSessionAction]:
        self._outbox.clear()
        return [ElementSessionEnded(failed=True)]

    def _abort(self, now: int) -> list[ElementSessionAction]:
        return [Abort(self.channel), *self._fail(now)]

    def _finish(self, now: int) -> list[ElementSessionAction]:
        self.deadline = now + int(self._settings.close_timeout * MICROSECONDS)
        return [] if self._outbox else [Shutdown(self.channel)]

    def _nonsense(self, what: str, now: int) -> list[ElementSessionAction]:
        """Ignore a control message. Abort the session after MAX_MALFORMED of them."""
        self.counters[what] += 1
        self._malformed += 1
        if self._malformed <= MAX_MALFORMED:
            return []
        return self.leave(now)

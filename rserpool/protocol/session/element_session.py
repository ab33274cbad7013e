"""The pool element's side of a session (RFC 5352 3.8, 3.9).

Its surroundings carry out the actions and take the messages to send from ``outgoing``. The clock is in integer
microseconds. Data is no business of this side: only its order with the control messages is.
"""

import enum
from collections import Counter
from dataclasses import dataclass

from rserpool.errors import LocalProtocolError, RemoteProtocolError
from rserpool.messages import AsapError, BusinessCard, Cookie, CookieEcho, decode
from rserpool.model.association_ends import Down
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.session.outbox import Outbox, Waiting, check_ppid
from rserpool.settings.session import MAX_COOKIE, MAX_MALFORMED, ServiceSettings


class ElementSessionState(enum.Enum):
    """How far a session is."""

    OPEN = enum.auto()
    """The user is there."""
    CLOSING = enum.auto()
    """The application has closed it; what it had sent goes out."""
    ENDED = enum.auto()
    """It is over."""


class ElementSessionEvent(enum.Enum):
    """What may happen to a session."""

    DOWN = enum.auto()
    """The transport is over, however it ended."""
    RESTARTED = enum.auto()
    """The user lost its state: who is there now is in another session."""
    LEFT = enum.auto()
    """The application does not want it any more, or the user talks nonsense."""
    CLOSED = enum.auto()
    """The application has no more use for the session."""
    EXPIRED = enum.auto()
    """The time for an orderly end is over."""


LET_BE = "let_be"

TABLE: dict[tuple[ElementSessionState, ElementSessionEvent], tuple[str, ElementSessionState]] = {
    (ElementSessionState.OPEN, ElementSessionEvent.DOWN): ("end", ElementSessionState.ENDED),
    (ElementSessionState.OPEN, ElementSessionEvent.RESTARTED): ("end", ElementSessionState.ENDED),
    (ElementSessionState.OPEN, ElementSessionEvent.LEFT): ("abort", ElementSessionState.ENDED),
    (ElementSessionState.OPEN, ElementSessionEvent.CLOSED): ("finish", ElementSessionState.CLOSING),
    (ElementSessionState.CLOSING, ElementSessionEvent.DOWN): ("end", ElementSessionState.ENDED),
    (ElementSessionState.CLOSING, ElementSessionEvent.RESTARTED): ("end", ElementSessionState.ENDED),
    (ElementSessionState.CLOSING, ElementSessionEvent.LEFT): ("abort", ElementSessionState.ENDED),
    (ElementSessionState.CLOSING, ElementSessionEvent.CLOSED): (LET_BE, ElementSessionState.CLOSING),
    (ElementSessionState.CLOSING, ElementSessionEvent.EXPIRED): ("abort", ElementSessionState.ENDED),
    (ElementSessionState.ENDED, ElementSessionEvent.DOWN): (LET_BE, ElementSessionState.ENDED),
    (ElementSessionState.ENDED, ElementSessionEvent.RESTARTED): (LET_BE, ElementSessionState.ENDED),
    (ElementSessionState.ENDED, ElementSessionEvent.LEFT): (LET_BE, ElementSessionState.ENDED),
    (ElementSessionState.ENDED, ElementSessionEvent.CLOSED): (LET_BE, ElementSessionState.ENDED),
}
"""(state, event) -> (what to do, next state)."""


@dataclass(frozen=True, slots=True)
class CookieEchoed:
    """The user echoed a cookie: the application gets it before the data that it has not read yet."""

    cookie: bytes


@dataclass(frozen=True, slots=True)
class CardReceived:
    """The user is a pool element too, and this is its business card."""

    card: BusinessCard


@dataclass(frozen=True, slots=True)
class ElementSessionEnded:
    """The session is over. ``failed`` where neither side ended it in order."""

    failed: bool


ElementSessionAction = Shutdown | Abort | CookieEchoed | CardReceived | ElementSessionEnded


class ElementSession:
    """One session of a pool element, which begins with the transport of number ``channel`` up."""

    def __init__(self, channel: int, settings: ServiceSettings, *, control: bool) -> None:
        self.channel = channel
        self.state = ElementSessionState.OPEN
        self.control_channel = control
        self.counters: Counter[str] = Counter()
        self.deadline: int | None = None
        """When advance() has something to do."""
        self._settings = settings
        self._outbox = Outbox(settings.max_unsent)
        self._echo_pending = False
        self._malformed = 0
        self._failed = False
        self._actions: list[ElementSessionAction] = []

    def control(self, data: bytes, now: int) -> list[ElementSessionAction]:
        """A message came over the control channel."""
        if self.state is ElementSessionState.ENDED:
            return []
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            return self._made_no_sense("malformed", now)
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
        return self._made_no_sense("unexpected", now)

    def echo_taken(self) -> None:
        """The application has seen the cookie: another may come."""
        self._echo_pending = False

    def down(self, reason: Down, now: int) -> list[ElementSessionAction]:
        """The transport is over."""
        self._failed = reason is not Down.SHUTDOWN
        return self._input(ElementSessionEvent.DOWN, now)

    def restarted(self, now: int) -> list[ElementSessionAction]:
        """The user lost its state."""
        self._failed = True
        return self._input(ElementSessionEvent.RESTARTED, now)

    def leave(self, now: int) -> list[ElementSessionAction]:
        """End at once."""
        self._failed = True
        return self._input(ElementSessionEvent.LEFT, now)

    def close(self, now: int) -> list[ElementSessionAction]:
        """End in order: what was accepted goes out first."""
        return self._input(ElementSessionEvent.CLOSED, now)

    def advance(self, now: int) -> list[ElementSessionAction]:
        """Time has passed."""
        if self.deadline is None or now < self.deadline:
            return []
        self._failed = True
        return self._input(ElementSessionEvent.EXPIRED, now)

    def room(self, octets: int) -> bool:
        """Whether send() takes a message of that many octets now."""
        return self._outbox.room(octets)

    def send(self, data: bytes, ppid: int) -> None:
        """Accept a message. LocalProtocolError for a PPID that data cannot have, and after the end."""
        check_ppid(ppid)
        if self.state is not ElementSessionState.OPEN:
            raise LocalProtocolError("the session is closed")
        self._outbox.put(data, ppid)

    def send_cookie(self, cookie: bytes) -> None:
        """Leave state with the user (RFC 5352 3.8); the latest replaces one that still waits.

        LocalProtocolError without a control channel, for another size than 1 to MAX_COOKIE octets, and after the end.
        """
        if not self.control_channel:
            raise LocalProtocolError("this transport has no control channel, and so no cookies (RFC 5352 3.8)")
        if not 0 < len(cookie) <= MAX_COOKIE:
            raise LocalProtocolError(f"a cookie has 1 to {MAX_COOKIE} octets, not {len(cookie)}")
        if self.state is not ElementSessionState.OPEN:
            raise LocalProtocolError("the session is closed")
        self._outbox.put_control(Cookie(cookie=cookie).encode())

    def send_card(self, card: BusinessCard) -> None:
        """Tell the user the order of failover (RFC 5352 3.9). Nothing without a control channel."""
        if self.control_channel and self.state is ElementSessionState.OPEN:
            self._outbox.put_control(card.encode())

    def outgoing(self) -> Waiting | None:
        """What the transport is to be given next; sent() once it has taken it."""
        return self._outbox.first() if self.state is not ElementSessionState.ENDED else None

    def sent(self, now: int) -> list[ElementSessionAction]:
        """The transport took the outgoing message."""
        self._outbox.pop()
        return [Shutdown(self.channel)] if self.state is ElementSessionState.CLOSING and not self._outbox else []

    def _input(self, event: ElementSessionEvent, now: int) -> list[ElementSessionAction]:
        row = TABLE.get((self.state, event))
        if row is None:
            raise LocalProtocolError(f"a session that is {self.state.name} cannot be {event.name}")
        action, state = row
        if action != LET_BE:
            self.deadline = None
            self.state = state
            getattr(self, "_" + action)(now)
        taken, self._actions = self._actions, []
        return taken

    def _end(self, now: int) -> None:
        self._outbox.clear()
        self._actions.append(ElementSessionEnded(self._failed))

    def _abort(self, now: int) -> None:
        self._actions.append(Abort(self.channel))
        self._end(now)

    def _finish(self, now: int) -> None:
        self.deadline = now + int(self._settings.close_timeout * MICROSECONDS)
        if not self._outbox:
            self._actions.append(Shutdown(self.channel))

    def _made_no_sense(self, what: str, now: int) -> list[ElementSessionAction]:
        """A control message is ignored; a user that goes on sending such is aborted."""
        self.counters[what] += 1
        self._malformed += 1
        if self._malformed <= MAX_MALFORMED:
            return []
        return self.leave(now)

"""A pool user's session with one pool element after the other (RFC 5352 3.8, 3.9, 6.5).

Its surroundings carry out the actions, say what came of them, and take the messages to send from ``outgoing``. Each
transport to an element is a channel with a number of its own. The clock is in integer microseconds.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rserpool.errors import LocalProtocolError, RemoteProtocolError
from rserpool.messages import AsapError, BusinessCard, Cookie, CookieEcho, decode
from rserpool.messages.resolved import ResolvedElement, resolved
from rserpool.model.association_ends import Down
from rserpool.model.numbers import ASAP_PPID, MICROSECONDS
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.session.outbox import Outbox, Waiting, check_ppid
from rserpool.protocol.session.user_table import LET_BE, TABLE, UserSessionEvent, UserSessionState
from rserpool.settings.session import MAX_MALFORMED, Failover, SessionSettings


@dataclass(frozen=True, slots=True)
class Select:
    """Select an element of the pool by its policy, none of those: selected() or nothing_selected() says what came."""

    exclude: frozenset[int]


@dataclass(frozen=True, slots=True)
class Resolve:
    """Resolve this pool handle, so that it is known (RFC 5352 3.9, BC1)."""

    pool_handle: bytes


@dataclass(frozen=True, slots=True)
class Open:
    """Open a transport to an element under this number: up() or down() follows."""

    channel: int
    element: ResolvedElement


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the registrar that the element could not be reached (RFC 5352 3.5)."""

    element: ResolvedElement


@dataclass(frozen=True, slots=True)
class Confirm:
    """Ask the registrar whether the element is still in its pool: confirmed() says what came."""

    element: ResolvedElement


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverEvent:
    """The session went on with another element. What was sent before, and is not among the ``unsent``, may be lost."""

    number: int
    """1 for the session's first: what was sent when ``session.failovers`` was less was sent before."""
    old: ResolvedElement
    new: ResolvedElement
    had_cookie: bool
    """Whether the new element was given the state that the old one had left."""
    unsent: int
    """Messages that were accepted and not handed to the old element: the new one gets them."""
    duration: float
    """Seconds from the failure to the new element."""


@dataclass(frozen=True, slots=True)
class FailedOver:
    """Tell the application, after all data that came before."""

    event: FailoverEvent


@dataclass(frozen=True, slots=True)
class UserSessionEnded:
    """The session is over. ``reason`` is None where either side ended it in order; ``unsent`` are the messages that no
    transport took."""

    reason: str | None
    unsent: tuple[Waiting, ...]


UserSessionAction = Select | Resolve | Open | Report | Confirm | Shutdown | Abort | FailedOver | UserSessionEnded


class UserSession:
    """One session of a pool user.

    ``fraction`` draws from [0, 1). ``card`` yields the business card of the pool element that the user is too, or None.
    """

    def __init__(
        self,
        pool_handle: bytes,
        settings: SessionSettings,
        fraction: Callable[[], float],
        card: Callable[[], BusinessCard | None] = lambda: None,
    ) -> None:
        self.pool_handle = pool_handle
        self.settings = settings
        self.state = UserSessionState.NEW
        self.element: ResolvedElement | None = None
        """The element that serves, or is about to."""
        self.cookie: bytes | None = None
        """The latest cookie."""
        self.failovers = 0
        self.counters: Counter[str] = Counter()
        self.channel = 0
        """The number of the latest channel."""
        self.now = 0
        self._fraction = fraction
        self._card = card
        self._outbox = Outbox(settings.max_unsent)
        self._actions: list[UserSessionAction] = []
        self._failed: set[int] = set()
        self._order: tuple[ResolvedElement, ...] = ()
        self._resolved: set[bytes] = set()
        self._rounds = 0
        self._malformed = 0
        self._up_since = 0
        self._heard = False
        self._unanswered: int | None = None
        self._held = False
        self._timer: int | None = None
        self._patience: int | None = None
        self._left: tuple[ResolvedElement, int] | None = None
        self._event = UserSessionEvent.START
        self._was = UserSessionState.NEW
        self._gone = True
        self._report = False
        self._doubts = 0
        self._asking = False

    # What happens

    def start(self, now: int) -> list[UserSessionAction]:
        """Find an element."""
        return self._input(UserSessionEvent.START, now)

    def selected(self, element: ResolvedElement, now: int) -> list[UserSessionAction]:
        """What Select has found."""
        return self._input(UserSessionEvent.SELECTED, now, element)

    def nothing_selected(self, now: int) -> list[UserSessionAction]:
        """Select has found none: an empty or unknown pool, only excluded elements, no registrar."""
        return self._input(UserSessionEvent.NOTHING_SELECTED, now)

    def up(self, channel: int, now: int) -> list[UserSessionAction]:
        """A channel is up."""
        return self._input(UserSessionEvent.UP, now) if self._is_present(channel) else []

    def down(self, channel: int, reason: Down, now: int, *, tried: bool = True) -> list[UserSessionAction]:
        """A channel is over. Nothing is reported of an element to which not even a first packet went (``tried``)."""
        if not self._is_present(channel):
            return []
        self._gone, self._report = True, tried
        return self._input(UserSessionEvent.PEER_ENDED if reason is Down.SHUTDOWN else UserSessionEvent.FAILED, now)

    def confirmed(self, element: ResolvedElement, *, listed: bool, now: int) -> list[UserSessionAction]:
        """Whether an element that has ended in order is still in its pool; ``listed`` too where nobody knows."""
        if not (self.state is UserSessionState.DOUBTING and self._asking and element is self.element):
            return []
        self._report = False
        return self._input(UserSessionEvent.LISTED if listed else UserSessionEvent.UNLISTED, now)

    def restarted(self, channel: int, now: int) -> list[UserSessionAction]:
        """The element of a channel lost its state, and is there again."""
        self._report = False
        return self._input(UserSessionEvent.RESTARTED, now) if self._is_present(channel) else []

    def heard(self, now: int) -> None:
        """Data came over the present channel."""
        self.now = now
        self._heard = True
        self._unanswered = None

    def control(self, channel: int, data: bytes, now: int) -> list[UserSessionAction]:
        """A message came over the control channel."""
        if not self._is_present(channel) or self.state is UserSessionState.CONNECTING:
            return []
        self.heard(now)
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            return self._made_no_sense("malformed")
        if isinstance(message, Cookie):
            self.counters["cookies"] += 1
            self.cookie = message.cookie
        elif isinstance(message, BusinessCard):
            self.counters["cards"] += 1
            self._take_card(message)
        elif isinstance(message, AsapError):
            self.counters["errors"] += 1
        else:
            return self._made_no_sense("unexpected")
        return self._taken()

    def force(self, now: int, *, report: bool = False) -> list[UserSessionAction]:
        """Go on with another element; tell the registrar about this one only if asked to."""
        self._report = report
        return self._input(UserSessionEvent.FORCED, now)

    def close(self, now: int) -> list[UserSessionAction]:
        """End in order: what was accepted goes out first, if an element serves."""
        return self._input(UserSessionEvent.CLOSED, now)

    def hold(self, now: int) -> None:
        """The application does not read, so the element cannot be heard."""
        self.now, self._held = now, True

    def release(self, now: int) -> None:
        """The application reads again."""
        self.now, self._held = now, False
        if self._unanswered is not None:
            self._unanswered = now

    def advance(self, now: int) -> list[UserSessionAction]:
        """Time has passed."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return []
        self._report = True
        return self._input(UserSessionEvent.EXPIRED, now)

    @property
    def deadline(self) -> int | None:
        """When advance() has something to do."""
        if self.state is not UserSessionState.OPEN:
            return self._timer
        if self.settings.silence is None or self._unanswered is None or self._held:
            return None
        return self._unanswered + int(self.settings.silence * MICROSECONDS)

    # Sending

    def room(self, octets: int) -> bool:
        """Whether send() takes a message of that many octets now."""
        return self._outbox.room(octets)

    def send(self, data: bytes, ppid: int) -> None:
        """Accept a message. LocalProtocolError for a PPID that data cannot have, and after the end."""
        check_ppid(ppid)
        if self.state in (UserSessionState.CLOSING, UserSessionState.ENDED):
            raise LocalProtocolError("the session is closed")
        self._outbox.put(data, ppid)

    def outgoing(self) -> Waiting | None:
        """What the present channel is to be given next; sent() once it has taken it."""
        return self._outbox.first() if self.state in (UserSessionState.OPEN, UserSessionState.CLOSING) else None

    def sent(self, now: int) -> list[UserSessionAction]:
        """The channel took the outgoing message."""
        self.now = now
        entry = self._outbox.pop()
        if self._unanswered is None and (entry.ppid != ASAP_PPID or entry.data[0] == CookieEcho.TYPE):
            self._unanswered = now
        if self.state is UserSessionState.CLOSING and not self._outbox:
            self._actions.append(Shutdown(self.channel))
        return self._taken()

    def send_card(self, now: int) -> None:
        """Tell the element of a changed order of failover, if this user is a pool element too (RFC 5352 3.9)."""
        self.now = now
        if self.state is UserSessionState.OPEN and (card := self._own_card()) is not None:
            self._outbox.put_control(card)

    # Inside

    def _is_present(self, channel: int) -> bool:
        return channel == self.channel and self.state in (
            UserSessionState.CONNECTING,
            UserSessionState.OPEN,
            UserSessionState.CLOSING,
        )

    def _taken(self) -> list[UserSessionAction]:
        taken, self._actions = self._actions, []
        return taken

    def _input(self, event: UserSessionEvent, now: int, *details: ResolvedElement) -> list[UserSessionAction]:
        self.now = now
        row = TABLE.get((self.state, event))
        if row is None:
            raise LocalProtocolError(f"a session that is {self.state.name} cannot be {event.name}")
        action, state = row
        if action == LET_BE:
            return []
        self._event, self._was, self.state = event, self.state, state
        self._timer = None
        getattr(self, "_" + action)(*details)
        return self._taken()

    def _after(self, seconds: float) -> int:
        return self.now + int(seconds * MICROSECONDS)

    def _impatient(self) -> bool:
        return self._patience is not None and self.now >= self._patience

    def _select(self) -> None:
        if self._patience is None:
            self._patience = self._after(self.settings.patience)
        self._timer = self._patience
        self._actions.append(Select(frozenset(self._failed)))

    def _select_again(self) -> None:
        if self._impatient():
            self._give_up()
        else:
            self._select()

    def _connect(self, element: ResolvedElement) -> None:
        if element.identifier in self._failed:
            self.state = UserSessionState.WAITING
            self._pause()
            return
        self._open(element)

    def _open(self, element: ResolvedElement) -> None:
        self.channel += 1
        self._gone = False
        self.element = element
        self._timer = self._after(self.settings.connect_timeout)
        self._actions.append(Open(self.channel, element))

    def _pause(self) -> None:
        """All elements have failed, or none is there: a new round begins after a pause."""
        if self._impatient():
            self._give_up()
            return
        self._failed.clear()
        pause = min(self.settings.backoff_max, self.settings.backoff * 2**self._rounds) * (0.5 + self._fraction())
        self._rounds = min(self._rounds + 1, 32)
        assert self._patience is not None
        self._timer = min(self._after(pause), self._patience)

    def _opened(self) -> None:
        """An element serves: it gets the state of the one before it, and the data that none took."""
        element = self.element
        assert element is not None
        self._up_since = self.now
        self._heard = False
        self._unanswered = None
        self._malformed = 0
        self._order = ()
        echo = CookieEcho(cookie=self.cookie).encode() if self.cookie and element.control_channel else None
        card = self._own_card()
        self._outbox.restart(*(message for message in (echo, card) if message is not None))
        if self._left is not None:
            old, since = self._left
            self._left = None
            self.failovers += 1
            event = FailoverEvent(
                number=self.failovers,
                old=old,
                new=element,
                had_cookie=echo is not None,
                unsent=len(self._outbox.unsent()),
                duration=(self.now - since) / MICROSECONDS,
            )
            if self.settings.failover is Failover.EVENT:
                self._actions.append(FailedOver(event))

    def _own_card(self) -> bytes | None:
        if self.element is None or not self.element.control_channel:
            return None
        card = self._card()
        return None if card is None else card.encode()

    def _fail_over(self) -> None:
        """The element is left: the next is one of its business card, or selected by policy."""
        element = self.element
        assert element is not None
        self._leave()
        if self._report:
            self._actions.append(Report(element))
        if self._event is not UserSessionEvent.RESTARTED:
            self._failed.add(element.identifier)
        forbidden = self.settings.failover is Failover.ERROR and self._event is not UserSessionEvent.FORCED
        if forbidden and self._was in (UserSessionState.OPEN, UserSessionState.DOUBTING):
            self._over(f"pool element 0x{element.identifier:08x} failed")
        elif self._impatient():
            self._give_up()
        else:
            self._next()

    def _leave(self) -> None:
        """Have no channel any more, and know whether the element was a good one."""
        self._abandon()
        if self._was not in (UserSessionState.OPEN, UserSessionState.DOUBTING):
            return
        settled = self.now - self._up_since >= self.settings.settle * MICROSECONDS
        if settled:
            self._failed.clear()
            self._rounds = 0
        if settled or self._heard:
            self._patience = None
        if self._left is None and self.element is not None:
            self._left = self.element, self.now

    def _abandon(self) -> None:
        if not self._gone:
            self._gone = True
            self._actions.append(Abort(self.channel))

    def _next(self) -> None:
        for element in self._order:
            if element.identifier not in self._failed:
                if self._patience is None:
                    self._patience = self._after(self.settings.patience)
                self.state = UserSessionState.CONNECTING
                self._open(element)
                return
        self._select()

    def _peer_ended(self) -> None:
        element = self.element
        assert element is not None
        self._doubts = 0
        if self.settings.reopen is None:
            self._confirm()
        elif not self.settings.reopen or self.settings.failover is Failover.ERROR:
            self._over(None)
        else:
            self._leave()
            self._failed.add(element.identifier)
            self.state = UserSessionState.SELECTING
            self._next()

    def _confirm(self) -> None:
        assert self.element is not None
        self._doubts += 1
        self._asking = True
        self._timer = self._after(self.settings.confirm_timeout)
        self._actions.append(Confirm(self.element))

    def _doubt_on(self) -> None:
        if self._asking:
            self._over(None)
        else:
            self._confirm()

    def _doubt_again(self) -> None:
        """Its registrar may not know yet: asked twice, it is believed."""
        self._asking = False
        if self._doubts == 1:
            self._timer = self._after(self.settings.doubt)
        else:
            self._over(None)

    def _finish(self) -> None:
        self._timer = self._after(self.settings.close_timeout)
        if not self._outbox:
            self._actions.append(Shutdown(self.channel))

    def _end(self) -> None:
        self._abandon()
        self._over(None)

    def _give_up(self) -> None:
        self._over(f"no pool element of {self.pool_handle!r} served for {self.settings.patience:g} s")

    def _over(self, reason: str | None) -> None:
        self.state = UserSessionState.ENDED
        self._timer = None
        self._actions.append(UserSessionEnded(reason, self._outbox.unsent()))
        self._outbox.clear()

    def _take_card(self, card: BusinessCard) -> None:
        """The element's order of failover, if it is of this pool; a pool that is not known is resolved."""
        assert self.element is not None
        if card.pool_handle == self.pool_handle:
            mentioned = card.pool_elements[: self.settings.max_card]
            others = (one for one in mentioned if one.identifier != self.element.identifier)
            self._order = tuple(resolved(card.pool_handle, one) for one in others)
        elif card.pool_handle not in self._resolved and len(self._resolved) < self.settings.max_resolutions:
            self._resolved.add(card.pool_handle)
            self._actions.append(Resolve(card.pool_handle))

    def _made_no_sense(self, what: str) -> list[UserSessionAction]:
        """A control message is ignored; an element that goes on sending such is left."""
        self.counters[what] += 1
        self._malformed += 1
        if self._malformed <= MAX_MALFORMED or self.state is not UserSessionState.OPEN:
            return self._taken()
        self._report = False
        return self._input(UserSessionEvent.FAILED, self.now)

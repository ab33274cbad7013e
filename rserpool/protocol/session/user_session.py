"""A pool user's session, which is served by one pool element after the other (RFC 5352 3.8, 3.9, 6.5).

The owner carries out the actions, reports their results, and takes the messages to send from ``outgoing``. Each
transport to an element is a channel with a number of its own. Times are integer microseconds. user_table.py has the
states.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rserpool.errors import LocalProtocolError, RemoteProtocolError
from rserpool.messages import AsapError, BusinessCard, Cookie, CookieEcho, decode, message_type
from rserpool.messages.resolved import ResolvedElement, resolved
from rserpool.model.association_ends import Down
from rserpool.model.numbers import ASAP_PPID, MICROSECONDS
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.session.outbox import Outbox, Waiting, check_ppid
from rserpool.protocol.session.user_table import TABLE, UserSessionEvent, UserSessionReaction, UserSessionState
from rserpool.protocol.table import step
from rserpool.settings.session import MAX_MALFORMED, Failover, SessionSettings

WITH_CHANNEL = (UserSessionState.CONNECTING, UserSessionState.OPEN, UserSessionState.CLOSING)
CONFIRMING = (UserSessionState.CONFIRMING, UserSessionState.CONFIRMING_AGAIN)


@dataclass(frozen=True, slots=True)
class Select:
    """Select an element of the pool by its policy, not in ``exclude``. Reply with selected() or nothing_selected()."""

    exclude: frozenset[int]


@dataclass(frozen=True, slots=True)
class Resolve:
    """Resolve this pool handle into the cache (RFC 5352 3.9, BC1)."""

    pool_handle: bytes


@dataclass(frozen=True, slots=True)
class Open:
    """Open a transport to an element under this channel number. Reply with up() or down()."""

    channel: int
    element: ResolvedElement


@dataclass(frozen=True, slots=True)
class Report:
    """Report to the registrar that the element is unreachable (RFC 5352 3.5)."""

    element: ResolvedElement


@dataclass(frozen=True, slots=True)
class Confirm:
    """Ask the registrar whether the element is still in its pool. Reply with confirmed()."""

    element: ResolvedElement


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverEvent:
    """The session went on with another element. Messages sent to the old element may be lost."""

    number: int
    """The number of this failover, from 1. Messages that were sent while ``session.failovers`` was lower went to an
    earlier element."""
    old: ResolvedElement
    new: ResolvedElement
    had_cookie: bool
    """True if the new element got the state that the old one had left in a cookie."""
    unsent: int
    """Accepted messages that the old element's transport had not taken. The new element gets them."""
    duration: float
    """Seconds from the failure to the new element."""


@dataclass(frozen=True, slots=True)
class FailedOver:
    """Pass a failover to the application, after all data that came before."""

    event: FailoverEvent


@dataclass(frozen=True, slots=True)
class UserSessionEnded:
    """The session is over. ``reason`` is None if either side ended it in an orderly way. ``unsent`` holds the messages
    that no transport took."""

    reason: str | None
    unsent: tuple[Waiting, ...]


UserSessionAction = Select | Resolve | Open | Report | Confirm | Shutdown | Abort | FailedOver | UserSessionEnded


class UserSession:
    """One session of a pool user. Every event returns the actions to carry out, in order.

    ``fraction`` returns a random number of at least 0 and less than 1. ``card`` returns the business card of the user's
    own pool element, or None if it has none.
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
        """The element that serves or is being connected, or the last one."""
        self.cookie: bytes | None = None
        """The latest cookie."""
        self.failovers = 0
        self.counters: Counter[str] = Counter()
        self.channel = 0
        """The number of the latest channel."""
        self._fraction = fraction
        self._card = card
        self._outbox = Outbox(settings.max_unsent)
        self._failed: set[int] = set()
        """Elements that have failed in this round of selections."""
        self._order: tuple[ResolvedElement, ...] = ()
        """The order of failover on the element's business card."""
        self._next: ResolvedElement | None = None
        """The element to connect to."""
        self._resolved: set[bytes] = set()
        """The pools that business cards have named."""
        self._rounds = 0
        self._malformed = 0
        self._up_since = 0
        self._heard = False
        """True if the element has sent anything."""
        self._unanswered: int | None = None
        """Time of the first message sent since data last came from the element. The limit on the element's silence
        counts from it."""
        self._held = False
        """True while the application does not read, so that the element cannot be heard."""
        self._timer: int | None = None
        self._patience: int | None = None
        """Time at which the session ends if no element serves."""
        self._left: tuple[ResolvedElement, int] | None = None
        """The element that served last and the time of its failure, until another one serves."""
        self._channel_lives = False
        """True if the latest channel must be aborted before the next one is opened."""
        self._report = False
        """True if an element that fails by the present event is reported as unreachable."""
        self._reactions = self._reaction_methods()

    def _reaction_methods(self) -> dict[UserSessionReaction, Callable[[int], list[UserSessionAction]]]:
        return {
            UserSessionReaction.SELECT: self._select,
            UserSessionReaction.CONNECT: self._connect,
            UserSessionReaction.PAUSE: self._pause,
            UserSessionReaction.ADOPT_ELEMENT: self._adopt_element,
            UserSessionReaction.TRY_ANOTHER: self._try_another,
            UserSessionReaction.FAIL_OVER: self._fail_over,
            UserSessionReaction.FAIL_OVER_AFTER_RESTART: self._fail_over_after_restart,
            UserSessionReaction.SWITCH: self._switch,
            UserSessionReaction.REOPEN: self._reopen,
            UserSessionReaction.CONFIRM: self._confirm,
            UserSessionReaction.DOUBT: self._doubt,
            UserSessionReaction.FINISH: self._finish,
            UserSessionReaction.END: self._end,
            UserSessionReaction.FAIL: self._fail,
            UserSessionReaction.GIVE_UP: self._give_up,
        }

    # Events

    def start(self, now: int) -> list[UserSessionAction]:
        """Find an element."""
        return self._feed(UserSessionEvent.START, now)

    def selected(self, element: ResolvedElement, now: int) -> list[UserSessionAction]:
        """The result of Select."""
        self._next = element
        excluded = element.identifier in self._failed
        return self._feed(UserSessionEvent.EXCLUDED_SELECTED if excluded else UserSessionEvent.SELECTED, now)

    def nothing_selected(self, now: int) -> list[UserSessionAction]:
        """Select found no element: the pool is empty or unknown, every element is excluded, or no registrar answers."""
        return self._feed(UserSessionEvent.NOTHING_SELECTED, now)

    def up(self, channel: int, now: int) -> list[UserSessionAction]:
        """A channel is up."""
        return self._feed(UserSessionEvent.UP, now) if self._is_present(channel) else []

    def down(self, channel: int, reason: Down, now: int, *, tried: bool = True) -> list[UserSessionAction]:
        """A channel is over. ``tried``: a packet was sent to the element; else it is not reported as unreachable."""
        if not self._is_present(channel):
            return []
        self._channel_lives, self._report = False, tried
        if reason is not Down.SHUTDOWN:
            return self._feed(UserSessionEvent.FAILED, now)
        return self._feed(self._orderly_end(), now)

    def _orderly_end(self) -> UserSessionEvent:
        """The event for an orderly end by the element. If the element served, the settings decide."""
        if self.state is not UserSessionState.OPEN or self.settings.reopen is None:
            return UserSessionEvent.PEER_ENDED
        if not self.settings.reopen or self.settings.failover is Failover.ERROR:
            return UserSessionEvent.PEER_FINISHED
        return UserSessionEvent.PEER_LEFT

    def confirmed(self, element: ResolvedElement, *, listed: bool, now: int) -> list[UserSessionAction]:
        """The result of Confirm. ``listed``: the element is in its pool, or the registrar does not know."""
        if self.state not in CONFIRMING or element is not self.element:
            return []
        self._report = False
        return self._feed(UserSessionEvent.LISTED if listed else UserSessionEvent.UNLISTED, now)

    def restarted(self, channel: int, now: int) -> list[UserSessionAction]:
        """The element of a channel has restarted and lost its state."""
        return self._feed(UserSessionEvent.RESTARTED, now) if self._is_present(channel) else []

    def heard(self) -> None:
        """Data came over the present channel."""
        self._heard = True
        self._unanswered = None

    def control(self, channel: int, data: bytes, now: int) -> list[UserSessionAction]:
        """A message came over the control channel."""
        if not self._is_present(channel) or self.state is UserSessionState.CONNECTING:
            return []
        self.heard()
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            return self._nonsense("malformed", now)
        if isinstance(message, Cookie):
            self.counters["cookies"] += 1
            self.cookie = message.cookie
        elif isinstance(message, BusinessCard):
            self.counters["cards"] += 1
            return self._take_card(message)
        elif isinstance(message, AsapError):
            self.counters["errors"] += 1
        else:
            return self._nonsense("unexpected", now)
        return []

    def force(self, now: int, *, report: bool = False) -> list[UserSessionAction]:
        """Go on with another element. ``report``: report the present one as unreachable."""
        self._report = report
        return self._feed(UserSessionEvent.FORCED, now)

    def close(self, now: int) -> list[UserSessionAction]:
        """End in an orderly way: if an element serves, accepted messages are sent first."""
        return self._feed(UserSessionEvent.CLOSED, now)

    def hold(self) -> None:
        """The application has stopped reading, so the element cannot be heard."""
        self._held = True

    def release(self, now: int) -> None:
        """The application reads again."""
        self._held = False
        if self._unanswered is not None:
            self._unanswered = now

    def advance(self, now: int) -> list[UserSessionAction]:
        """Time has passed."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return []
        self._report = True
        searching = self.state in (UserSessionState.SELECTING, UserSessionState.WAITING)
        if searching and self._out_of_patience(now):
            return self._feed(UserSessionEvent.OUT_OF_PATIENCE, now)
        return self._feed(UserSessionEvent.EXPIRED, now)

    @property
    def deadline(self) -> int | None:
        """The time at which advance() must be called."""
        if self.state is not UserSessionState.OPEN:
            return self._timer
        if self.settings.silence is None or self._unanswered is None or self._held:
            return None
        return self._unanswered + int(self.settings.silence * MICROSECONDS)

    # Sending

    def room(self, octets: int) -> bool:
        """True if send() accepts a message of that many octets now."""
        return self._outbox.room(octets)

    def send(self, data: bytes, ppid: int) -> None:
        """Accept a message. LocalProtocolError for a PPID that data cannot have, and after the end."""
        check_ppid(ppid)
        if self.state in (UserSessionState.CLOSING, UserSessionState.ENDED):
            raise LocalProtocolError("the session is closed")
        self._outbox.put(data, ppid)

    def outgoing(self) -> Waiting | None:
        """The next message for the present channel. Call sent() when the channel has taken it."""
        return self._outbox.first() if self.state in (UserSessionState.OPEN, UserSessionState.CLOSING) else None

    def sent(self, now: int) -> list[UserSessionAction]:
        """The channel took the outgoing message."""
        entry = self._outbox.pop()
        if self._unanswered is None and (entry.ppid != ASAP_PPID or message_type(entry.data) == CookieEcho.TYPE):
            self._unanswered = now
        if self.state is UserSessionState.CLOSING and not self._outbox:
            return [Shutdown(self.channel)]
        return []

    def send_card(self) -> None:
        """Send a changed order of failover to the element, if this user is a pool element too (RFC 5352 3.9)."""
        if self.state is UserSessionState.OPEN and (card := self._own_card()) is not None:
            self._outbox.put_control(card)

    # The machine

    def _is_present(self, channel: int) -> bool:
        return channel == self.channel and self.state in WITH_CHANNEL

    def _feed(self, event: UserSessionEvent, now: int) -> list[UserSessionAction]:
        reaction, self.state = step(TABLE, self.state, event)
        if reaction is UserSessionReaction.IGNORE:
            return []
        self._timer = None
        return self._reactions[reaction](now)

    # Reactions; user_table.py describes them.

    def _select(self, now: int) -> list[UserSessionAction]:
        self._start_patience(now)
        self._timer = self._patience
        return [Select(frozenset(self._failed))]

    def _connect(self, now: int) -> list[UserSessionAction]:
        element, self._next = self._next, None
        assert element is not None
        self.channel += 1
        self._channel_lives = True
        self.element = element
        self._timer = self._after(self.settings.connect_timeout, now)
        return [Open(self.channel, element)]

    def _pause(self, now: int) -> list[UserSessionAction]:
        if self._out_of_patience(now):
            return self._feed(UserSessionEvent.OUT_OF_PATIENCE, now)
        self._failed.clear()
        pause = min(self.settings.backoff_max, self.settings.backoff * 2**self._rounds) * (0.5 + self._fraction())
        self._rounds = min(self._rounds + 1, 32)
        assert self._patience is not None
        self._timer = min(self._after(pause, now), self._patience)
        return []

    def _adopt_element(self, now: int) -> list[UserSessionAction]:
        element = self.element
        assert element is not None
        self._up_since = now
        self._heard = False
        self._unanswered = None
        self._malformed = 0
        self._order = ()
        echo = CookieEcho(cookie=self.cookie).encode() if self.cookie and element.control_channel else None
        card = self._own_card()
        self._outbox.restart(*(message for message in (echo, card) if message is not None))
        if self._left is None:
            return []
        old, since = self._left
        self._left = None
        self.failovers += 1
        event = FailoverEvent(
            number=self.failovers,
            old=old,
            new=element,
            had_cookie=echo is not None,
            unsent=len(self._outbox.unsent()),
            duration=(now - since) / MICROSECONDS,
        )
        return [FailedOver(event)] if self.settings.failover is Failover.EVENT else []

    def _try_another(self, now: int) -> list[UserSessionAction]:
        return [*self._abort(), *self._exclude(), *self._go_on(now)]

    def _fail_over(self, now: int) -> list[UserSessionAction]:
        return [*self._leave(now), *self._exclude(), *self._go_on_if_allowed(now)]

    def _fail_over_after_restart(self, now: int) -> list[UserSessionAction]:
        return [*self._leave(now), *self._go_on_if_allowed(now)]

    def _switch(self, now: int) -> list[UserSessionAction]:
        return [*self._leave(now), *self._exclude(), *self._go_on(now)]

    def _reopen(self, now: int) -> list[UserSessionAction]:
        self._report = False
        return [*self._leave(now), *self._exclude(), *self._take_next(now)]

    def _confirm(self, now: int) -> list[UserSessionAction]:
        assert self.element is not None
        self._timer = self._after(self.settings.confirm_timeout, now)
        return [Confirm(self.element)]

    def _doubt(self, now: int) -> list[UserSessionAction]:
        self._timer = self._after(self.settings.doubt, now)
        return []

    def _finish(self, now: int) -> list[UserSessionAction]:
        self._timer = self._after(self.settings.close_timeout, now)
        return [] if self._outbox else [Shutdown(self.channel)]

    def _end(self, now: int) -> list[UserSessionAction]:
        return [*self._abort(), self._ended(None)]

    def _fail(self, now: int) -> list[UserSessionAction]:
        assert self.element is not None
        return [self._ended(f"pool element 0x{self.element.identifier:08x} failed")]

    def _give_up(self, now: int) -> list[UserSessionAction]:
        return [self._ended(f"no pool element of {self.pool_handle!r} served for {self.settings.patience:g} s")]

    # Parts of reactions

    def _after(self, seconds: float, now: int) -> int:
        return now + int(seconds * MICROSECONDS)

    def _start_patience(self, now: int) -> None:
        if self._patience is None:
            self._patience = self._after(self.settings.patience, now)

    def _out_of_patience(self, now: int) -> bool:
        return self._patience is not None and now >= self._patience

    def _own_card(self) -> bytes | None:
        if self.element is None or not self.element.control_channel:
            return None
        card = self._card()
        return None if card is None else card.encode()

    def _abort(self) -> list[UserSessionAction]:
        """Abort the channel if it lives."""
        if not self._channel_lives:
            return []
        self._channel_lives = False
        return [Abort(self.channel)]

    def _leave(self, now: int) -> list[UserSessionAction]:
        """Leave an element that has served. If it served well, all others get another chance."""
        settled = now - self._up_since >= self.settings.settle * MICROSECONDS
        if settled:
            self._failed.clear()
            self._rounds = 0
        if settled or self._heard:
            self._patience = None
        if self._left is None and self.element is not None:
            self._left = self.element, now
        return self._abort()

    def _exclude(self) -> list[UserSessionAction]:
        """Do not select the element again in this round. Report it if the present event says so."""
        assert self.element is not None
        self._failed.add(self.element.identifier)
        return [Report(self.element)] if self._report else []

    def _go_on_if_allowed(self, now: int) -> list[UserSessionAction]:
        if self.settings.failover is Failover.ERROR:
            return self._feed(UserSessionEvent.FAILOVER_FORBIDDEN, now)
        return self._go_on(now)

    def _go_on(self, now: int) -> list[UserSessionAction]:
        if self._out_of_patience(now):
            return self._feed(UserSessionEvent.OUT_OF_PATIENCE, now)
        return self._take_next(now)

    def _take_next(self, now: int) -> list[UserSessionAction]:
        """Go on with the next element of the business card, or with a selection by policy."""
        self._next = next((one for one in self._order if one.identifier not in self._failed), None)
        if self._next is None:
            return self._select(now)
        self._start_patience(now)
        return self._feed(UserSessionEvent.NAMED, now)

    def _ended(self, reason: str | None) -> UserSessionEnded:
        unsent = self._outbox.unsent()
        self._outbox.clear()
        return UserSessionEnded(reason, unsent)

    def _take_card(self, card: BusinessCard) -> list[UserSessionAction]:
        """Keep the order of failover that the element prefers, if it is of this pool. Resolve other pools."""
        assert self.element is not None
        if card.pool_handle == self.pool_handle:
            mentioned = card.pool_elements[: self.settings.max_card]
            others = (one for one in mentioned if one.identifier != self.element.identifier)
            self._order = tuple(resolved(card.pool_handle, one) for one in others)
        elif card.pool_handle not in self._resolved and len(self._resolved) < self.settings.max_resolutions:
            self._resolved.add(card.pool_handle)
            return [Resolve(card.pool_handle)]
        return []

    def _nonsense(self, what: str, now: int) -> list[UserSessionAction]:
        """Ignore a control message. Leave the element after MAX_MALFORMED of them."""
        self.counters[what] += 1
        self._malformed += 1
        if self._malformed <= MAX_MALFORMED or self.state is not UserSessionState.OPEN:
            return []
        self._report = False
        return self._feed(UserSessionEvent.NONSENSE, now)

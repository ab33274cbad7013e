"""Learns the handlespace from a mentor when the registrar starts (RFC 5353 3.2).

The first peer with an association becomes the mentor. Later ones are candidates in case the mentor fails. The table
does not show that NEXT_MENTOR feeds EXHAUSTED at once if there is no candidate.
"""

import enum
from collections import deque

from rserpool._fast.base.wheel import Entry
from rserpool.messages import HandleTableRequest, HandleTableResponse, ListRequest, ListResponse
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.actions import Level
from rserpool.protocol.registrar.enrp.connector import Connector
from rserpool.protocol.registrar.enrp.context import TO_ALL, EnrpContext
from rserpool.protocol.registrar.enrp.peers import EnrpLink
from rserpool.protocol.table import Transition, step

REFUSALS = 3
"""The number of requests that one mentor may refuse before the next candidate is asked."""
PAUSE = (2.0, 5.0)
"""Shortest and longest wait after a refusal, in seconds. The time is random, because two registrars that start at the
same time refuse each other."""


class Phase(enum.Enum):
    """How far the start has come."""

    WAITING = enum.auto()
    """No mentor has been met."""
    LIST = enum.auto()
    """The mentor was asked for its list of peers."""
    TABLE = enum.auto()
    """The mentor was asked for its handle table."""
    PAUSE = enum.auto()
    """The mentor refused. It is asked again after a pause."""
    OVER = enum.auto()
    """The registrar serves."""


class Event(enum.Enum):
    """The events of the start."""

    ALONE = enum.auto()
    """There is no peer to wait for."""
    MET = enum.auto()
    """A first candidate was met."""
    LISTED = enum.auto()
    """The mentor sent its list."""
    PART_LOADED = enum.auto()
    """The mentor sent a part of its handle table, and there is more."""
    LOADED = enum.auto()
    """The mentor sent the last part of its handle table."""
    REFUSED = enum.auto()
    """The mentor refused a request."""
    UNSUITABLE = enum.auto()
    """The mentor refused too often or for too long, or its handle table has too many parts."""
    LOST = enum.auto()
    """The mentor's association ended."""
    TIME_OUT = enum.auto()
    """The timer of the phase expired."""
    EXHAUSTED = enum.auto()
    """No candidate is left."""


class Reaction(enum.Enum):
    """The registrar's reactions to an event of the start."""

    NEXT_MENTOR = enum.auto()
    """Ask the next candidate for its list."""
    ASK_FOR_LIST = enum.auto()
    """Ask the mentor for its list again."""
    ASK_FOR_TABLE = enum.auto()
    """Ask the mentor for its handle table, or for the next part."""
    PAUSE = enum.auto()
    """Wait before the mentor is asked again."""
    FINISH = enum.auto()
    """Begin to serve."""


_P, _E, _R = Phase, Event, Reaction
START: dict[tuple[Phase, Event], Transition[Reaction, Phase]] = {
    (_P.WAITING, _E.ALONE): Transition(_R.FINISH, _P.OVER),
    (_P.WAITING, _E.TIME_OUT): Transition(_R.FINISH, _P.OVER),
    (_P.WAITING, _E.MET): Transition(_R.NEXT_MENTOR, _P.LIST),
    (_P.LIST, _E.LISTED): Transition(_R.ASK_FOR_TABLE, _P.TABLE),
    (_P.LIST, _E.REFUSED): Transition(_R.PAUSE, _P.PAUSE),
    (_P.LIST, _E.UNSUITABLE): Transition(_R.NEXT_MENTOR, _P.LIST),
    (_P.LIST, _E.LOST): Transition(_R.NEXT_MENTOR, _P.LIST),
    (_P.LIST, _E.TIME_OUT): Transition(_R.NEXT_MENTOR, _P.LIST),
    (_P.LIST, _E.EXHAUSTED): Transition(_R.FINISH, _P.OVER),
    (_P.TABLE, _E.PART_LOADED): Transition(_R.ASK_FOR_TABLE, _P.TABLE),
    (_P.TABLE, _E.LOADED): Transition(_R.FINISH, _P.OVER),
    (_P.TABLE, _E.REFUSED): Transition(_R.PAUSE, _P.PAUSE),
    (_P.TABLE, _E.UNSUITABLE): Transition(_R.NEXT_MENTOR, _P.LIST),
    (_P.TABLE, _E.LOST): Transition(_R.NEXT_MENTOR, _P.LIST),
    (_P.TABLE, _E.TIME_OUT): Transition(_R.NEXT_MENTOR, _P.LIST),
    (_P.PAUSE, _E.TIME_OUT): Transition(_R.ASK_FOR_LIST, _P.LIST),
    (_P.PAUSE, _E.LOST): Transition(_R.NEXT_MENTOR, _P.LIST),
    # The mentor answers the list request that a heartbeat sends to every peer.
    (_P.PAUSE, _E.LISTED): Transition(_R.ASK_FOR_TABLE, _P.TABLE),
    (_P.PAUSE, _E.REFUSED): Transition(_R.PAUSE, _P.PAUSE),
    (_P.PAUSE, _E.UNSUITABLE): Transition(_R.NEXT_MENTOR, _P.LIST),
    # A timer that expired together with the event that ended the start.
    (_P.OVER, _E.TIME_OUT): Transition(_R.FINISH, _P.OVER),
}
"""The start of a registrar. A pair that is missing cannot happen."""


class Startup:
    """The start: the mentor, and the candidates in case the mentor fails."""

    def __init__(self, context: EnrpContext, connector: Connector) -> None:
        self._context = context
        self._connector = connector
        self.phase = Phase.WAITING
        self._mentor: EnrpLink | None = None
        self._candidates: deque[EnrpLink] = deque()
        self._known: set[int] = set()
        """Numbers of the associations whose peers are, or were, candidates."""
        self._began = 0
        self._refusals = 0
        self._parts = 0
        self._timer: Entry | None = None
        self.reactions = {
            Reaction.NEXT_MENTOR: self._ask_next_mentor,
            Reaction.ASK_FOR_LIST: self._ask_for_list,
            Reaction.ASK_FOR_TABLE: self._ask_for_table,
            Reaction.PAUSE: self._pause,
            Reaction.FINISH: self._finish,
        }

    @property
    def over(self) -> bool:
        """True once the registrar serves."""
        return self.phase is Phase.OVER

    def begin(self, now: int) -> None:
        """Wait for a mentor, or finish at once if there is no peer to wait for (RFC 5353 3.2.2.1)."""
        settings = self._context.settings
        self._began = now
        if self._context.static_peers or settings.profile.multicast_presence:
            self._set_timer(settings.mentor_discovery_timeout, now)
        else:
            self._feed(Event.ALONE, now)

    def _feed(self, event: Event, now: int) -> None:
        reaction, self.phase = step(START, self.phase, event)
        self.reactions[reaction](now)

    # Events

    def met(self, link: EnrpLink, now: int) -> None:
        """A peer can be asked over this association."""
        if self.over or link.number in self._known:
            return
        self._known.add(link.number)
        self._candidates.append(link)
        if self.phase is Phase.WAITING:
            self._feed(Event.MET, now)

    def lost(self, link: EnrpLink, now: int) -> None:
        """An association ended."""
        if link in self._candidates:
            self._candidates.remove(link)
        if link is self._mentor:
            self._feed(Event.LOST, now)

    def expects_list(self, link: EnrpLink) -> bool:
        """True if this peer's list continues the start."""
        return link is self._mentor and self.phase in (Phase.LIST, Phase.PAUSE)

    def on_list(self, message: ListResponse, now: int) -> None:
        """The mentor has answered the list request."""
        if message.reject:
            self._feed(self._refusal(now), now)
            return
        self._connector.connect_to_unknown(message.servers, now)
        self._parts = 0
        self._feed(Event.LISTED, now)

    def expects_table(self, link: EnrpLink) -> bool:
        """True if this peer was asked for its whole handle table."""
        return link is self._mentor and self.phase is Phase.TABLE

    def on_table(self, message: HandleTableResponse, now: int) -> None:
        """The mentor has answered the table request; its elements are stored already."""
        self._parts += 1
        if message.reject:
            self._feed(self._refusal(now), now)
        elif not message.more:
            self._feed(Event.LOADED, now)
        elif self._parts < self._context.settings.limits.table_responses:
            self._feed(Event.PART_LOADED, now)
        else:
            text = f"the mentor's handle table has more than {self._parts} parts: trying another mentor"
            self._context.note(Level.WARNING, "mentor", text)
            self._feed(Event.UNSUITABLE, now)

    def _refusal(self, now: int) -> Event:
        """Classify a refusal. The mentor may be starting itself, or busy: it is asked again a few times."""
        self._refusals += 1
        late = now - self._began >= self._context.settings.mentor_discovery_timeout * MICROSECONDS
        given_up = self._refusals >= REFUSALS or (late and not self._candidates)
        return Event.UNSUITABLE if given_up else Event.REFUSED

    # Reactions

    def _ask_next_mentor(self, now: int) -> None:
        self._mentor, self._refusals = None, 0
        if self._candidates:
            self._mentor = self._candidates.popleft()
            self._ask_for_list(now)
        else:
            text = "no mentor is available; starting without the handlespace of a mentor"
            self._context.note(Level.INFO, "mentor", text)
            self._feed(Event.EXHAUSTED, now)

    def _ask_for_list(self, now: int) -> None:
        self._ask(ListRequest(sender_identifier=self._context.identifier, receiver_identifier=self._receiver()), now)

    def _ask_for_table(self, now: int) -> None:
        request = HandleTableRequest(sender_identifier=self._context.identifier, receiver_identifier=self._receiver())
        self._ask(request, now)

    def _receiver(self) -> int:
        assert self._mentor is not None
        return self._mentor.peer.identifier if self._mentor.peer is not None else TO_ALL

    def _ask(self, request: ListRequest | HandleTableRequest, now: int) -> None:
        assert self._mentor is not None
        self._context.send(self._mentor, request)
        self._set_timer(self._context.settings.max_time_no_response, now)

    def _pause(self, now: int) -> None:
        least, most = PAUSE
        self._set_timer(least + (most - least) * self._context.randomness.random(), now)

    def _finish(self, now: int) -> None:
        self._context.disarm(self._timer)
        self._timer = None
        self._mentor = None
        self._candidates.clear()
        self._context.started = True

    def _set_timer(self, seconds: float, now: int) -> None:
        self._context.disarm(self._timer)
        self._timer = self._context.arm(seconds, self._expire, now)

    def _expire(self, now: int) -> None:
        self._feed(Event.TIME_OUT, now)

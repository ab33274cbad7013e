"""How a starting registrar learns the handlespace from a mentor (RFC 5353 3.2)."""

import enum
from collections import deque
from typing import TYPE_CHECKING

from rserpool._fast.base.wheel import Entry
from rserpool.messages import HandleTableRequest, HandleTableResponse, ListRequest, ListResponse
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.actions import Level
from rserpool.protocol.registrar.enrp.peers import EnrpLink

if TYPE_CHECKING:
    from rserpool.protocol.registrar.enrp.dispatch import EnrpRegistrar

MENTORED = 3
"""Requests that one mentor may turn down before the next is tried."""
PAUSE = (2.0, 5.0)
"""Seconds to wait after a refusal: drawn between the two, as two registrars that start at once refuse each other."""


class Phase(enum.Enum):
    """How far a start has come."""

    WAITING = enum.auto()
    """No mentor has been met."""
    LIST = enum.auto()
    """The mentor is asked for its peers."""
    TABLE = enum.auto()
    """The mentor is asked for the handlespace."""
    OVER = enum.auto()
    """The registrar is one among its peers."""


class Startup:
    """The first peer that is met is the mentor; those met meanwhile are its back-ups."""

    def __init__(self, enrp: "EnrpRegistrar") -> None:
        self._enrp = enrp
        self.phase = Phase.WAITING
        self._mentor: EnrpLink | None = None
        self._backups: deque[EnrpLink] = deque()
        self._known: set[int] = set()
        self._began = 0
        self._refusals = 0
        self._responses = 0
        self._timer: Entry | None = None

    @property
    def over(self) -> bool:
        """Whether the handlespace is there to be asked for."""
        return self.phase is Phase.OVER

    def begin(self) -> None:
        """Wait for a mentor, or be alone at once where there is nobody to wait for (RFC 5353 3.2.2.1)."""
        enrp = self._enrp
        self._began = enrp.now
        if enrp.static_peers or enrp.settings.profile.multicast_presence:
            self._timer = enrp.arm(enrp.settings.mentor_discovery_timeout, self._end)
        else:
            self.phase = Phase.OVER

    def met(self, link: EnrpLink) -> None:
        """A peer can be asked."""
        if self.over or link.number in self._known:
            return
        self._known.add(link.number)
        self._backups.append(link)
        if self._mentor is None:
            self._next()

    def lost(self, link: EnrpLink) -> None:
        """A peer cannot be asked any more."""
        if link in self._backups:
            self._backups.remove(link)
        if link is self._mentor:
            self._next()

    def is_mentor(self, link: EnrpLink) -> bool:
        """Whether this peer is being asked for the whole handlespace."""
        return link is self._mentor and self.phase is Phase.TABLE

    def _next(self) -> None:
        """Ask the next peer for its list, or be alone."""
        enrp = self._enrp
        enrp.disarm(self._timer)
        self._mentor, self._refusals = None, 0
        if not self._backups:
            enrp.note(Level.INFO, "mentor", "no mentor is left to learn the handlespace from")
            self._end()
            return
        self._mentor = self._backups.popleft()
        self._ask_for_list()

    def _ask_for_list(self) -> None:
        self.phase = Phase.LIST
        self._ask(ListRequest(sender_identifier=self._enrp.identifier, receiver_identifier=self._receiver()))

    def _ask_for_table(self) -> None:
        self.phase = Phase.TABLE
        self._ask(HandleTableRequest(sender_identifier=self._enrp.identifier, receiver_identifier=self._receiver()))

    def _receiver(self) -> int:
        assert self._mentor is not None
        return self._mentor.peer.identifier if self._mentor.peer is not None else 0

    def _ask(self, request: ListRequest | HandleTableRequest) -> None:
        enrp = self._enrp
        assert self._mentor is not None
        enrp.disarm(self._timer)
        enrp.send(self._mentor, request)
        self._timer = enrp.arm(enrp.settings.max_time_no_response, self._next)

    def wants_list(self, link: EnrpLink) -> bool:
        """Whether this peer is being asked for its list."""
        return link is self._mentor and self.phase is Phase.LIST

    def listed(self, message: ListResponse) -> None:
        """The mentor's answer to the list request."""
        if message.reject:
            self._refused()
        else:
            self._enrp.meet(message.servers)
            self._responses = 0
            self._ask_for_table()

    def loaded(self, message: HandleTableResponse) -> None:
        """A part of the mentor's handle table has been taken in, or was refused."""
        self._responses += 1
        if message.reject:
            self._refused()
        elif not message.more:
            self._end()
        elif self._responses >= self._enrp.settings.limits.table_responses:
            self._enrp.note(Level.WARNING, "mentor", "the mentor's handle table has no end: dropped")
            self._next()
        else:
            self._ask_for_table()

    def _refused(self) -> None:
        """The mentor is starting itself, or busy: ask again later, or ask the next."""
        enrp = self._enrp
        self._refusals += 1
        over = enrp.now - self._began >= enrp.settings.mentor_discovery_timeout * MICROSECONDS
        if self._refusals >= MENTORED or (over and not self._backups):
            self._next()
            return
        enrp.disarm(self._timer)
        least, most = PAUSE
        self._timer = enrp.arm(least + (most - least) * enrp.randomness.random(), self._ask_for_list)

    def _end(self) -> None:
        self._enrp.disarm(self._timer)
        self._timer = None
        self._mentor = None
        self._backups.clear()
        self.phase = Phase.OVER

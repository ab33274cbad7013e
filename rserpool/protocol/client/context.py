"""The state that the parts of one node share, and its outgoing actions.

The parts queue their actions here, in the order of their causes, instead of returning them. One event may pass through
the node, its elements, the user and the hunt, and each of them acts before and after it calls the next. Node returns
the queue.
"""

import itertools
from collections import Counter

from rserpool._fast.base.wheel import Wheel
from rserpool.messages import AsapMessage
from rserpool.protocol.actions import Abort, Level, Note, Send, Shutdown
from rserpool.protocol.client.actions import Action, Dial, Publish
from rserpool.protocol.client.candidate_list import Candidate, Candidates
from rserpool.protocol.client.events import ClientEvent, Home
from rserpool.protocol.client.link import Link, Stage, new_link
from rserpool.protocol.client.requests import Requests
from rserpool.protocol.randomness import Randomness
from rserpool.settings.client import ClientSettings


class NodeContext:
    """The state and the services that all parts of a node share. Times are integer microseconds."""

    def __init__(self, settings: ClientSettings, randomness: Randomness, candidates: Candidates, now: int) -> None:
        self.settings = settings
        self.randomness = randomness
        self.candidates = candidates
        self.wheel = Wheel(now)
        self.counters: Counter[str] = Counter()
        self.requests = Requests()
        self.links: dict[int, Link] = {}
        """Associations by number, from dialling or acceptance to their end."""
        self.home: Link | None = None
        """The association with the home registrar. Only Homes sets it."""
        self.home_identifier = 0
        """The home registrar's server identifier; 0 while unknown. Only Homes sets it."""
        self._numbers = itertools.count(1)
        self._actions: list[Action] = []

    @property
    def home_record(self) -> Home | None:
        """The home registrar as the application sees it."""
        if self.home is None or self.home.peer is None:
            return None
        return Home(identifier=self.home_identifier, addresses=self.home.peer.addresses, port=self.home.peer.port)

    # Actions

    def emit(self, action: Action) -> None:
        """Queue an action."""
        self._actions.append(action)

    def drain(self) -> list[Action]:
        """Return the queued actions, and empty the queue."""
        actions, self._actions = self._actions, []
        return actions

    def publish(self, event: ClientEvent) -> None:
        """Queue an event for the application."""
        self.emit(Publish(event))

    def note(self, level: Level, subject: str, text: str) -> None:
        """Queue a line for the log."""
        self.emit(Note(level, subject, text))

    def send(self, link: Link, message: AsapMessage) -> None:
        """Queue a message."""
        self.emit(Send(link.number, message.encode()))

    # Associations

    def next_number(self) -> int:
        """Return an association number that was never used before."""
        return next(self._numbers)

    def dial(self, candidate: Candidate, now: int) -> None:
        """Open an association to a candidate."""
        number = self.next_number()
        self.links[number] = new_link(number, now, candidate)
        where = candidate.where
        self.emit(Dial(number, where.addresses, where.port, where.sctp))

    def leave(self, link: Link, *, abort: bool) -> None:
        """Give an association up. It counts against the limits until its end is reported."""
        if link.stage is Stage.LEAVING:
            return
        link.stage = Stage.LEAVING
        self.emit(Abort(link.number) if abort else Shutdown(link.number))

"""The counter service of a simulated pool element, with the session protocol over simulated associations."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from rserpool.messages import BusinessCard
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.session.element_session import (
    CookieEchoed,
    ElementSession,
    ElementSessionAction,
    ElementSessionEnded,
    ElementSessionState,
)
from rserpool.settings.session import ServiceSettings
from tests.sim.frames import COOKIE, PPID, QUESTION, REPLY, frame, unframe
from tests.sim.ledger import DOWNS, Ledger, Violation
from tests.sim.network import End, Endpoint, Side
from tests.sim.process import Process

AT_ONCE = 0.7
"""The share of questions that are answered without delay."""
SLOWEST = 0.3
"""The longest delay of an answer, in seconds."""


@dataclass(slots=True, eq=False)
class Talk:
    """One session."""

    side: Side
    machine: ElementSession
    number: int = 1
    """Of the next reply."""
    session: int = 0
    stamp: int = 0
    """Of the latest question."""
    waiting: deque[int] = field(default_factory=deque)
    busy: bool = False


class Service:
    """The service of one pool element, while its process runs."""

    def __init__(self, process: Process, port: int, ledger: Ledger, card: Callable[[], BusinessCard | None]) -> None:
        self._process = process
        self._port = port
        self._ledger = ledger
        self._card = card
        self._settings = ServiceSettings()
        self._numbers = 0
        self.endpoint: Endpoint | None = None
        self.talks: dict[Side, Talk] = {}

    def open(self) -> None:
        """Start to listen."""
        process = self._process
        self.endpoint = process.network.listen(process.host, self._port, "data", process)

    def close(self, *, silently: bool, orderly: bool = False) -> None:
        """Close the service with all sessions."""
        if self.endpoint is not None:
            self._process.network.close(self.endpoint, silently=silently, orderly=orderly)
            self.endpoint = None
        self.talks.clear()

    # Events

    def up(self, side: Side) -> None:
        """A user has connected."""
        self._numbers += 1
        talk = self.talks[side] = Talk(side, ElementSession(self._numbers, self._settings, control=True))
        card = self._card()
        if card is not None:
            talk.machine.send_card(card)
        self._pump(talk)

    def message(self, side: Side, message: bytes) -> None:
        talk = self.talks.get(side)
        if talk is None:
            return
        control, data = unframe(message)
        if control:
            self._perform(talk, talk.machine.control(data, self._process.now()))
        else:
            self._asked(talk, *QUESTION.unpack(data))
        self._pump(talk)

    def down(self, side: Side) -> None:
        talk = self.talks.get(side)
        if talk is None:
            return
        now = self._process.now()
        assert side.end is not None
        if side.end is End.RESTARTED:
            self._perform(talk, talk.machine.restarted(now))
        else:
            self._perform(talk, talk.machine.down(DOWNS[side.end], now))

    def writable(self, side: Side) -> None:
        talk = self.talks.get(side)
        if talk is not None:
            self._pump(talk)

    @property
    def deadlines(self) -> list[int]:
        return [talk.machine.deadline for talk in self.talks.values() if talk.machine.deadline is not None]

    def advance(self, now: int) -> None:
        for talk in tuple(self.talks.values()):
            self._perform(talk, talk.machine.advance(now))

    # The application

    def end_one(self) -> None:
        """End a session in order for no reason."""
        for talk in self.talks.values():
            self._perform(talk, talk.machine.close(self._process.now()))
            self._pump(talk)
            return

    def _asked(self, talk: Talk, session: int, stamp: int) -> None:
        """Check a question: it must come in order, once, and find a counter that continues where the user expects
        it."""
        if stamp <= talk.stamp:
            raise Violation(f"session {session} asks with stamp {stamp} after {talk.stamp}, in one association")
        if not talk.stamp:
            self._begun(talk, session)
        talk.session, talk.stamp = session, stamp
        talk.waiting.append(stamp)
        self._work(talk)

    def _begun(self, talk: Talk, session: int) -> None:
        user = talk.side.other
        assert user is not None
        known, number = self._ledger.resumes[user]
        if (session, talk.number) != (known, number):
            raise Violation(
                f"session {session} goes on at reply {talk.number}, whereas its user has a cookie for {number}"
            )

    def _work(self, talk: Talk) -> None:
        if talk.busy or not talk.waiting:
            return
        process = self._process
        if process.randomness.random() < AT_ONCE:
            self._reply(talk)
        else:
            talk.busy = True
            process.later(process.randomness.uniform(0, SLOWEST), partial(self._reply, talk))

    def _reply(self, talk: Talk) -> None:
        talk.busy = False
        if talk.machine.state is not ElementSessionState.OPEN:
            return
        talk.machine.send(REPLY.pack(talk.number, talk.waiting.popleft()), PPID)
        talk.number += 1
        talk.machine.send_cookie(COOKIE.pack(talk.session, talk.number))
        self._pump(talk)
        self._work(talk)

    def _perform(self, talk: Talk, actions: list[ElementSessionAction]) -> None:
        network = self._process.network
        for action in actions:
            match action:
                case CookieEchoed(cookie):
                    self._resume(talk, cookie)
                case Shutdown():
                    network.shut_down(talk.side)
                case Abort():
                    network.abort(talk.side)
                case ElementSessionEnded():
                    del self.talks[talk.side]

    def _resume(self, talk: Talk, cookie: bytes) -> None:
        talk.session, number = COOKIE.unpack(cookie)
        if talk.stamp:
            raise Violation(f"session {talk.session} echoes a cookie after data")
        talk.number = number
        talk.machine.echo_taken()
        self._ledger.resumed += 1
        self._begun(talk, talk.session)

    def _pump(self, talk: Talk) -> None:
        network, machine = self._process.network, talk.machine
        while (entry := machine.outgoing()) is not None and network.offer(talk.side, frame(entry.ppid, entry.data)):
            self._perform(talk, machine.sent(self._process.now()))

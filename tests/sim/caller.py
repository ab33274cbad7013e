"""A simulated application of a pool user: it keeps a session open over simulated associations and asks the counter
service."""

import math
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from rserpool.errors import Cause
from rserpool.messages import Cookie, CookieEcho, decode
from rserpool.messages.resolved import ResolvedElement
from rserpool.model.association_ends import Down
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.client.events import Resolution
from rserpool.protocol.session.user_session import (
    Confirm,
    FailedOver,
    FailoverEvent,
    Open,
    Report,
    Resolve,
    Select,
    UserSession,
    UserSessionAction,
    UserSessionEnded,
)
from rserpool.protocol.session.user_table import UserSessionState
from rserpool.settings.session import Failover, SessionSettings
from tests.sim.clock import SECOND
from tests.sim.frames import COOKIE, PPID, QUESTION, REPLY, frame, unframe
from tests.sim.ledger import DOWNS, Ledger, Violation
from tests.sim.network import LONG_PATIENCE, Endpoint, Side

if TYPE_CHECKING:
    from tests.sim.client import Client

WINDOW = 6
"""The most questions that wait for a reply at one time."""
ASKING = (0.2, 2.5)
"""Seconds between two questions: minimum and maximum."""
SLACK = 1.5
"""Seconds by which a check may be late."""
ANEW = 1.0
"""Seconds between the end of a session and the next session."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One channel of a session: the element that was tried, and the result."""

    element: ResolvedElement
    opened: int
    tried: bool = False
    side: Side | None = None
    up: int | None = None
    gone: Down | None = None
    left: bool = False
    """Whether the session gave it up before it was over."""
    reported: bool = False
    heard: int = 0
    unanswered: int | None = None
    """Since when it has said nothing to what it was sent."""
    number: int = 0
    """Of the next reply."""
    stamps: deque[int] = field(default_factory=deque)
    """Of the questions that it has taken, and not answered."""


class Caller:
    """The application of one pool user."""

    def __init__(self, client: "Client", port: int, pool: bytes, settings: SessionSettings, ledger: Ledger) -> None:
        self.client = client
        self.pool = pool
        self.settings = settings
        self.machine: UserSession | None = None
        self.attempts: dict[int, Attempt] = {}
        self.questions: dict[int, int] = {}
        """Stamp of each question that waits for its reply, and when it was asked first, in the simulation's time."""
        self._port = port
        self._ledger = ledger
        self.endpoint: Endpoint | None = None
        self._session = 0
        self._stamp = 0
        self._unsent: deque[int] = deque()
        self._latest = 0
        self._served = 0
        self._failovers = 0
        self._closed = False
        self._lost_at = self._ended_at = 0

    @property
    def name(self) -> str:
        return f"session {self._session} of {self.client.name}"

    @property
    def serving(self) -> Side | None:
        """The number of the serving association, or None."""
        machine = self.machine
        return self.latest.side if machine is not None and machine.state is UserSessionState.OPEN else None

    @property
    def latest(self) -> Attempt:
        """The most recent attempt."""
        return self.attempts[max(self.attempts)]

    # Life

    def begin(self) -> None:
        """Open a session, the first or the next one."""
        client = self.client
        if self.endpoint is None:
            self.endpoint = client.network.listen(client.host, self._port, "data", client)
        self.attempts, self.questions, self._unsent = {}, {}, deque()
        self._session = self._ledger.session()
        self._latest = self._failovers = 0
        self._closed = False
        self._served = client.now()
        self.machine = UserSession(self.pool, self.settings, client.randomness.random)
        self._perform(self.machine.start(client.now()))
        self._ask(self.machine)

    def reset(self, *, silently: bool, orderly: bool) -> None:
        """Forget everything, because the process has ended."""
        self.machine = None
        if self.endpoint is not None:
            self.client.network.close(self.endpoint, silently=silently, orderly=orderly)
            self.endpoint = None

    def force(self) -> None:
        """Fail over to another element for no reason."""
        if self.machine is not None:
            self._perform(self.machine.force(self.client.now()))

    def finish(self) -> None:
        """Close the session in order. A new one follows."""
        if self.machine is not None and not self._closed:
            self._closed = True
            self._perform(self.machine.close(self.client.now()))
            self._pump()

    def check(self) -> None:
        """Raise Violation if the session waits longer than its settings allow."""
        machine, settings, now = self.machine, self.settings, self.client.now()
        if machine is None:
            return
        since: int | None = max(self._served, self._lost_at)
        most = settings.patience
        if machine.state is UserSessionState.CONNECTING:
            since, most = self.latest.opened, settings.connect_timeout
        elif machine.state is UserSessionState.OPEN:
            since, most = self.latest.unanswered, settings.silence or math.inf
        elif machine.state is UserSessionState.CLOSING:
            most = math.inf
        elif machine.state is UserSessionState.ENDED:
            since, most, now = self._ended_at, ANEW, self.client.network.clock.now
        if since is not None and now > since + (most + SLACK) * SECOND:
            raise Violation(f"{self.name} is {machine.state.name} for more than {most:.1f} s")

    # The application

    def _ask(self, machine: UserSession) -> None:
        if machine is not self.machine or machine.state is UserSessionState.ENDED:
            return
        if not self._closed and len(self.questions) < WINDOW:
            self._put(self.client.network.clock.now)
            self._pump()
        self.client.later(self.client.randomness.uniform(*ASKING), partial(self._ask, machine))

    def _put(self, asked: int) -> None:
        assert self.machine is not None
        self._stamp += 1
        self.questions[self._stamp] = asked
        self._unsent.append(self._stamp)
        self.machine.send(QUESTION.pack(self._session, self._stamp), PPID)

    def _ask_again(self) -> None:
        """Ask the new element everything that was sent and not answered."""
        unsent = set(self._unsent)
        for stamp in [stamp for stamp in self.questions if stamp not in unsent]:
            self._put(self.questions.pop(stamp))

    def _answered(self, data: bytes) -> None:
        """Check that replies count up by one per association and answer the questions in order."""
        attempt = self.latest
        number, stamp = REPLY.unpack(data)
        if number != attempt.number:
            raise Violation(f"{self.name} got reply {number} instead of {attempt.number}")
        if not attempt.stamps or attempt.stamps.popleft() != stamp:
            raise Violation(f"{self.name} got a reply to question {stamp}, which was not next")
        attempt.number += 1
        self._ledger.served += 1
        del self.questions[stamp]

    def _remember(self, data: bytes) -> None:
        """Keep a cookie if it belongs to this session and is newer than the last one."""
        message = decode(data, "asap")
        if not isinstance(message, Cookie):
            return
        session, number = COOKIE.unpack(message.cookie)
        if session != self._session or number <= self._latest:
            raise Violation(f"{self.name} got a cookie for {number} of session {session} after one for {self._latest}")
        self._latest = number

    # Actions of the protocol

    def _perform(self, actions: list[UserSessionAction]) -> None:
        for action in actions:
            match action:
                case Select(exclude):
                    self._select(exclude)
                case Open(channel, element):
                    self._open(channel, element)
                case Resolve(pool_handle):
                    self.client.resolve(pool_handle, lambda answer: None)
                case Confirm(element):
                    assert self.machine is not None
                    self.client.resolve(self.pool, partial(self._confirmed, self.machine, element))
                case Report(element):
                    self._report(element)
                case Abort(channel):
                    self._leave(self.attempts[channel])
                case Shutdown(channel):
                    side = self.attempts[channel].side
                    assert side is not None
                    self.client.network.shut_down(side)
                case FailedOver(event):
                    self._failed_over(event)
                case UserSessionEnded():
                    self._ended(action)
        self.client.rearm()

    def _select(self, exclude: frozenset[int]) -> None:
        machine, client = self.machine, self.client
        assert machine is not None
        assert client.node is not None
        user = client.node.user
        chosen = user.select(self.pool, exclude) if user.fresh(self.pool, client.now()) else None
        if chosen is not None:
            self._perform(machine.selected(chosen, client.now()))
        else:
            client.resolve(self.pool, partial(self._resolved, machine, exclude))

    def _resolved(self, machine: UserSession, exclude: frozenset[int], answer: Resolution | None) -> None:
        if machine is not self.machine or machine.state is not UserSessionState.SELECTING:
            return
        assert self.client.node is not None
        chosen = None
        if answer is not None and answer.failure is None:
            chosen = self.client.node.user.select(self.pool, exclude)
        now = self.client.now()
        self._perform(machine.nothing_selected(now) if chosen is None else machine.selected(chosen, now))

    def _confirmed(self, machine: UserSession, element: ResolvedElement, answer: Resolution | None) -> None:
        if machine is not self.machine:
            return
        listed = True
        if answer is not None and answer.failure is None:
            listed = element.identifier in {one.identifier for one in answer.elements}
        elif answer is not None and answer.causes:
            listed = answer.causes[0].code != Cause.UNKNOWN_POOL_HANDLE
        self._perform(machine.confirmed(element, listed=listed, now=self.client.now()))

    def _open(self, channel: int, element: ResolvedElement) -> None:
        client = self.client
        attempt = self.attempts[channel] = Attempt(element, client.now())
        address = element.addresses[0]
        assert isinstance(address, IPv4Address)
        assert self.endpoint is not None
        attempt.tried = client.network.connect(self.endpoint, address, element.port, LONG_PATIENCE)
        if not attempt.tried:
            client.later(0, partial(self._over, attempt, Down.CANT_START))

    def _report(self, element: ResolvedElement) -> None:
        """Check that each failure is reported once, and that only tried and failed elements are reported."""
        client, attempt = self.client, self.latest
        silence = self.settings.silence
        now = client.now()
        late = attempt.up is None and now >= attempt.opened + round(self.settings.connect_timeout * SECOND)
        mute = attempt.up is not None and silence is not None and now >= attempt.heard + round(silence * SECOND)
        failed = attempt.gone not in (None, Down.SHUTDOWN) or late or mute
        if attempt.element is not element or attempt.reported or not attempt.tried or not failed:
            raise Violation(f"{self.name} reports element {element.identifier:08x} without reason")
        attempt.reported = True
        self._ledger.reports += 1
        client.report(self.pool, element.identifier)

    def _leave(self, attempt: Attempt) -> None:
        """Abort a channel that is up or coming up. No event follows."""
        attempt.left = True
        self._lost_at = self.client.now() if attempt.up is not None else self._lost_at
        network = self.client.network
        if attempt.side is not None:
            network.abort(attempt.side)
        else:
            assert self.endpoint is not None
            address = attempt.element.addresses[0]
            assert isinstance(address, IPv4Address)
            network.give_up(self.endpoint, address, attempt.element.port)

    def _failed_over(self, event: FailoverEvent) -> None:
        told = event.had_cookie, event.unsent, event.number
        mine = self._latest > 0, len(self._unsent), self._failovers + 1
        if told != mine:
            raise Violation(f"{self.name} failed over with (cookie, unsent, number) {told}, which was {mine}")

    def _ended(self, action: UserSessionEnded) -> None:
        """Check the end of a session: either side closed it, or no element was found in time."""
        client = self.client
        client.note(f"{self.name} has ended: {action.reason or 'in order'}")
        machine, self._ended_at = self.machine, client.network.clock.now
        client.later(ANEW, lambda: self.begin() if self.machine is machine else None)
        if [QUESTION.unpack(entry.data)[1] for entry in action.unsent] != list(self._unsent):
            raise Violation(f"{self.name} gives back other messages than those that were not sent")
        if action.reason is None:
            if not self._closed and self.latest.gone is not Down.SHUTDOWN:
                raise Violation(f"{self.name} ends as if in order, although neither side closed it")
        elif self.settings.failover is Failover.ERROR and self.attempts and self.latest.up is not None:
            assert self.latest.left or self.latest.gone is not None
        elif client.now() < self._served + round(self.settings.patience * SECOND):
            raise Violation(f"{self.name} has lost its patience early: {action.reason}")

    # Network events

    def up(self, side: Side) -> None:
        machine, attempt = self.machine, self._dialled(side.there.host.address, side.there.port)
        if machine is None or attempt is None:
            self.client.network.abort(side)
            return
        attempt.side, attempt.up = side, self.client.now()
        attempt.heard = self.client.now()
        attempt.number = self._latest or 1
        self._ledger.resumes[side] = self._session, attempt.number
        self._perform(machine.up(machine.channel, self.client.now()))
        if machine.failovers > self._failovers:
            self._failovers += 1
            self._ledger.failovers += 1
        self._ask_again()
        self._pump()

    def _dialled(self, address: IPv4Address, port: int) -> Attempt | None:
        if self.machine is None or self.machine.state is not UserSessionState.CONNECTING:
            return None
        attempt = self.latest
        return attempt if (attempt.element.addresses[0], attempt.element.port) == (address, port) else None

    def message(self, side: Side, message: bytes) -> None:
        machine = self.machine
        if (
            machine is None
            or machine.state not in (UserSessionState.OPEN, UserSessionState.CLOSING)
            or self.latest.side is not side
        ):
            return
        control, data = unframe(message)
        now = self.client.now()
        self._served = self.latest.heard = now
        self.latest.unanswered = None
        if control:
            self._remember(data)
            self._perform(machine.control(machine.channel, data, now))
        else:
            machine.heard()
            self._answered(data)
        self._pump()

    def down(self, side: Side) -> None:
        if self.attempts and self.latest.side is side:
            assert side.end is not None or self.latest.left
            if side.end is not None:
                self._over(self.latest, DOWNS[side.end])

    def unreachable(self, address: IPv4Address, port: int) -> None:
        attempt = self._dialled(address, port)
        if attempt is not None:
            self._over(attempt, Down.CANT_START)

    def _over(self, attempt: Attempt, how: Down) -> None:
        machine = self.machine
        if machine is not None and self.attempts and self.latest is attempt and not attempt.left:
            attempt.gone = how
            self._lost_at = self.client.now() if attempt.up is not None else self._lost_at
            self._perform(machine.down(machine.channel, how, self.client.now(), tried=attempt.tried))

    def writable(self, side: Side) -> None:
        if self.attempts and self.latest.side is side:
            self._pump()

    @property
    def deadline(self) -> int | None:
        return self.machine.deadline if self.machine is not None else None

    def advance(self, now: int) -> None:
        if self.machine is not None:
            self._perform(self.machine.advance(now))
            self._pump()

    def _pump(self) -> None:
        machine = self.machine
        while machine is not None and (entry := machine.outgoing()) is not None:
            side = self.latest.side
            assert side is not None
            if not self.client.network.offer(side, frame(entry.ppid, entry.data)):
                break
            if entry.ppid == PPID:
                self.latest.stamps.append(self._unsent.popleft())
                self.latest.unanswered = self.latest.unanswered or self.client.now()
            else:
                self._echoed(entry.data)
            self._perform(machine.sent(self.client.now()))
        self.client.rearm()

    def _echoed(self, data: bytes) -> None:
        """Check that a new element gets the latest cookie."""
        message = decode(data, "asap")
        if isinstance(message, CookieEcho):
            session, number = COOKIE.unpack(message.cookie)
            if (session, number) != (self._session, self._latest):
                raise Violation(f"{self.name} echoes a cookie for {number}, its latest is for {self._latest}")

"""A simulated process: it has a clock of its own that can leap forward, and it can be stopped and continued."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address
from random import Random

from tests.sim.clock import SECOND
from tests.sim.history import History
from tests.sim.network import Endpoint, Host, Network, Side

INBOX = 50_000
"""The most events that wait for a stopped process."""


@dataclass(slots=True, eq=False)
class Process:
    """The common part of registrars and of nodes of elements and users. Subclasses define _up and the methods after it.
    A process owns endpoints; their events wait while it is stopped."""

    network: Network
    host: Host
    randomness: Random
    history: History
    started: int = 0
    """When it was started last, in the simulation's time."""
    disturbed: int = 0
    """When its clock or its process was disturbed last."""
    leapt: int | None = None
    """When its clock leapt last: the lives that it counted then end early."""
    offset: int = 0
    still: bool = False
    _inbox: deque[Callable[[], None]] = field(default_factory=deque)
    _life: int = 0
    _timer: int = -1
    _due: int | None = None

    @property
    def name(self) -> str:
        return self.host.name

    def now(self) -> int:
        """Its own clock, in microseconds."""
        return self.network.clock.now + self.offset

    def note(self, text: str) -> None:
        self.history.text(self.network.clock.now, self.name, text)

    # Life

    def _begun(self) -> None:
        self.host.silent = False
        self.network.links_changed()
        self.leapt = None
        self.started = self.disturbed = self.network.clock.now
        self._life += 1
        self._due = None

    def _over(self, *, silently: bool) -> None:
        self.still = False
        self.host.silent = silently
        self.network.links_changed()
        self._inbox.clear()
        self._life += 1
        self._due = None
        self.offset = 0

    def stand_still(self) -> None:
        """Stop the process. Its system continues to accept what arrives."""
        if self.running and not self.still:
            self.note("stands still")
            self.still = True

    def go_on(self) -> None:
        """Continue the process. Its timers or its messages come first, at random."""
        if not self.still:
            return
        self.note(f"goes on, with {len(self._inbox)} events waiting")
        self.still = False
        self.disturbed = self.network.clock.now
        if self.randomness.random() < 0.5:
            self._advance()
        inbox, self._inbox = self._inbox, deque()
        for event in inbox:
            if self.running:
                event()
        self._advance()

    def leap(self, seconds: float) -> None:
        """Let its clock leap forward."""
        if self.running:
            self.note(f"its clock leaps by {seconds:.0f} s")
            self.offset += round(seconds * SECOND)
            self.leapt = self.disturbed = self.network.clock.now
            self._due = None
            self._schedule()

    # Events

    def up(self, side: Side) -> None:
        self._happens(partial(self._up, side))

    def message(self, side: Side, data: bytes) -> None:
        if self.still:
            self._happens(partial(self._message, side, data))
        else:
            self._message(side, data)

    def down(self, side: Side) -> None:
        self._happens(partial(self._down, side))

    def writable(self, side: Side) -> None:
        self._happens(partial(self._writable, side))

    def unreachable(self, endpoint: Endpoint, address: IPv4Address, port: int) -> None:
        self._happens(partial(self._unreachable, endpoint, address, port))

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call a function of the program after a while, unless the process has ended by then."""
        self.network.clock.after(seconds, self._if_alive, self._life, call)

    def _if_alive(self, life: int, call: Callable[[], None]) -> None:
        if life == self._life:
            self._happens(call)

    def _happens(self, event: Callable[[], None]) -> None:
        if not self.still:
            event()
            return
        if len(self._inbox) >= INBOX:
            raise OverflowError(f"{self.name}: more than {INBOX} events wait for a process that stands still")
        self._inbox.append(event)

    # Time

    def _schedule(self) -> None:
        """Schedule one event for the next deadline, like the loop timer of the real process."""
        due = self._next() if self.running else None
        if due is None or (self._due is not None and self._due <= due):
            return
        self._due = due
        self._timer += 1
        self.network.clock.at(due - self.offset, self._expired, self._timer)

    def _expired(self, timer: int) -> None:
        if timer == self._timer and not self.still and self.running:
            self._advance()

    def _advance(self) -> None:
        self._due = None
        if self.running:
            self._expire()

    # For subclasses

    @property
    def running(self) -> bool:
        """True while there is a process, even a stopped one."""
        raise NotImplementedError

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Its endpoints, while it runs."""
        raise NotImplementedError

    def _next(self) -> int | None:
        """The time of its next deadline by its own clock."""
        raise NotImplementedError

    def _expire(self) -> None:
        """Handle deadlines that have passed."""
        raise NotImplementedError

    def _up(self, side: Side) -> None:
        raise NotImplementedError

    def _message(self, side: Side, data: bytes) -> None:
        raise NotImplementedError

    def _down(self, side: Side) -> None:
        raise NotImplementedError

    def _writable(self, side: Side) -> None:
        raise NotImplementedError

    def _unreachable(self, endpoint: Endpoint, address: IPv4Address, port: int) -> None:
        raise NotImplementedError

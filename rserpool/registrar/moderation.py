"""Fewer wake-ups under much traffic, as network cards moderate their interrupts.

A server that has time to sleep is woken for nearly every message, which costs more than to serve it. So where messages
are dense (load_meter.pyx) the loop rests after a turn in which some were served, until so much time has passed since
it began to serve them; what comes meanwhile is served in the next turn, together. A client that waits for each answer
would pay for that: so an association whose messages come less than NEAR rests apart is in haste, and where more than a
few messages come in haste nobody rests.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from rserpool._fast.lane.lane import Lane
from rserpool._fast.lane.load_meter import LoadMeter
from rserpool.settings.server import ServerOptions

NEAR: Final = 100
"""Rests: who comes less often loses less than a hundredth of its time."""
MICROSECONDS: Final = 1_000_000


class Moderation:
    """Of one loop, which nobody else needs: a rest blocks it. ``interval`` in seconds, to which Linux adds 50 us of
    slack. ``clock`` and ``sleep`` stand in for the time module's."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.rests = 0
        """So far."""
        self._loop = loop
        self._interval = interval
        self._clock = clock
        self._sleep = sleep
        self._woken = clock()
        self._load_meter = LoadMeter(round(NEAR * interval * MICROSECONDS), self._dense)

    def attend(self, lane: Lane) -> None:
        """A new association's messages count."""
        self._load_meter.start_round()
        lane.load_meter = self._load_meter

    def _dense(self) -> None:
        """Rest once the loop has turned: this turn's answers go out first."""
        self._loop.call_soon(self._rest)

    def _rest(self) -> None:
        now = self._clock()
        left = self._woken + self._interval - now
        if left > 0:
            self.rests += 1
            self._sleep(left)
            now = self._clock()
        self._woken = now
        self._load_meter.notified = False


def moderation_of(options: ServerOptions) -> Moderation | None:
    """What the options ask for, for the running loop."""
    return Moderation(asyncio.get_running_loop(), options.moderation) if options.moderation else None

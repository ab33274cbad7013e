"""Reduces wake-ups under high load, as network cards moderate their interrupts.

A server that has time to sleep is woken for nearly every message, and a wake-up costs more than serving the message. So
while load is dense (_fast/lane/load_meter.pyx), the loop rests after a turn that has served messages, until a fixed
time after the previous rest. The messages that arrive during the rest are served together in the next turn.

Rests would slow down closed-loop clients, which wait for each answer. Messages of one association that are less than
NEAR rests apart count as closed-loop, and the loop does not rest while more than a few messages are closed-loop.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from rserpool._fast.lane.lane import Lane
from rserpool._fast.lane.load_meter import LoadMeter
from rserpool.settings.server import ServerOptions

NEAR: Final = 100
"""Messages further apart than this many rests count as open-loop; a rest costs such a client under 1 %."""
MICROSECONDS: Final = 1_000_000


class Moderation:
    """Moderates one loop, which must not run anything else: a rest blocks it. ``interval`` is in seconds; Linux adds
    50 us of slack. ``clock`` and ``sleep`` replace those of the time module."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.rests = 0
        """The number of rests so far."""
        self._loop = loop
        self._interval = interval
        self._clock = clock
        self._sleep = sleep
        self._woken = clock()
        self._load_meter = LoadMeter(round(NEAR * interval * MICROSECONDS), self._dense)

    def add_lane(self, lane: Lane) -> None:
        """Count the messages of a new association's lane from now on."""
        self._load_meter.start_round()
        lane.load_meter = self._load_meter

    def _dense(self) -> None:
        """Rest after this turn of the loop, because its answers must go out first."""
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
    """The moderation of the running loop, if the options ask for it."""
    return Moderation(asyncio.get_running_loop(), options.moderation) if options.moderation else None

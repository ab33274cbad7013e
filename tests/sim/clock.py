"""Virtual time: one heap of events. The same events come in the same order every time."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

SECOND = 1_000_000
MAX_EVENTS = 500_000
"""The most events that may wait at one time. More means an endless loop of events."""
AT_ONCE = 100_000
"""The most events that may happen without time passing. More means an endless loop."""


class Clock:
    """Calls due functions in order of time, and of insertion among equal times."""

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()

    def at(self, when: int, call: Callable[..., None], *arguments: Any) -> None:
        """Call a function once at a time in microseconds, or at once if that time has passed."""
        if len(self._heap) >= MAX_EVENTS:
            raise OverflowError(f"more than {MAX_EVENTS} events wait")
        heapq.heappush(self._heap, (max(when, self.now), next(self._order), call, arguments))

    def after(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call a function once after some seconds."""
        self.at(self.now + round(seconds * SECOND), call, *arguments)

    def run(self, until: int) -> int:
        """Run all events up to and including a time. Returns the number of events."""
        done = at_once = 0
        heap = self._heap
        while heap and heap[0][0] <= until:
            when, _, call, arguments = heapq.heappop(heap)
            at_once = at_once + 1 if when == self.now else 0
            if at_once > AT_ONCE:
                raise OverflowError(f"more than {AT_ONCE} events happen at once, the next of them {call}")
            self.now = when
            call(*arguments)
            done += 1
        self.now = until
        return done

"""Virtual time: one heap of events; the same events come in the same order every time."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

SECOND = 1_000_000
MAX_EVENTS = 500_000
"""Events that may wait at a time: more is a loop that feeds itself."""


class Clock:
    """Calls what is due, in order of time and then of asking."""

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()

    def at(self, when: int, call: Callable[..., None], *arguments: Any) -> None:
        """Call once at a time in microseconds, at once if it has passed."""
        if len(self._heap) >= MAX_EVENTS:
            raise OverflowError(f"more than {MAX_EVENTS} events wait")
        heapq.heappush(self._heap, (max(when, self.now), next(self._order), call, arguments))

    def after(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call once, so many seconds from now."""
        self.at(self.now + round(seconds * SECOND), call, *arguments)

    def run(self, until: int) -> int:
        """Let everything happen up to and including that time; how many events that were."""
        done = 0
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, call, arguments = heapq.heappop(heap)
            call(*arguments)
            done += 1
        self.now = until
        return done

"""Virtual time: one heap of events; the same events come in the same order every time."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

SECOND = 1_000_000
MAX_EVENTS = 500_000
"""Events that may wait at a time: more is a loop that feeds itself."""
AT_ONCE = 100_000
"""Events that may happen without time passing: more is a loop too."""


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

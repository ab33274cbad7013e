"""Coalesces updates: the re-registrations of a pool element cause at most one update per window."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rserpool._fast.base.wheel import Wheel
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.ownership import ElementName

CLOSED_AT_ONCE = 100
"""The number of windows that one timer closes. This takes less than 2 ms with a few peers."""
LATENESS = 5_000
"""Microseconds by which a window may close late, so that one timer closes many."""


@dataclass(slots=True, eq=False)
class Window:
    """The time after an update on an element, in which its re-registrations wait."""

    name: ElementName
    end: int
    pending: bool = False
    """True if the element has re-registered since the update."""


class Coalescing:
    """The open windows, in the order of their ends. Only names are kept: the update at the end of a window shows the
    element as it is then."""

    def __init__(self, wheel: Wheel, window: float, update: Callable[[ElementName], list[Action]]) -> None:
        """``window`` is in microseconds, 0 for none; ``update`` makes the update on an element."""
        self._wheel = wheel
        self._length = round(window)
        self._update = update
        self._open: dict[ElementName, Window] = {}
        self._order: deque[Window] = deque()
        self._armed = False

    def __len__(self) -> int:
        """The number of open windows, including forgotten ones that were not dropped yet."""
        return len(self._order)

    def waits(self, name: ElementName, now: int) -> bool:
        """An element of ours has re-registered. True if its update waits for the end of an open window; otherwise a
        window opens."""
        if not self._length:
            return False
        while self._order and self._idle(self._order[0], now):
            self._drop(self._order.popleft())
        window = self._open.get(name)
        if window is None:
            self._begin(name, now)
            return False
        if not window.pending:
            window.pending = True
            self._arm(window.end + LATENESS)
        return True

    def forget(self, name: ElementName) -> None:
        """The element was removed or has another home: drop its pending update, and send its next one at once."""
        window = self._open.pop(name, None)
        if window is not None:
            window.pending = False

    def _begin(self, name: ElementName, now: int) -> None:
        window = self._open[name] = Window(name, now + self._length)
        self._order.append(window)

    def _idle(self, window: Window, now: int) -> bool:
        """True if the window has ended, or was forgotten, without a pending update."""
        return not window.pending and (window.end <= now or self._open.get(window.name) is not window)

    def _drop(self, window: Window) -> None:
        if self._open.get(window.name) is window:
            del self._open[window.name]

    def _arm(self, when: int) -> None:
        """Arm the one timer for all windows."""
        if not self._armed:
            self._armed = True
            self._wheel.insert(when, self._close_ended)

    def _close_ended(self, now: int) -> list[Action]:
        """Close windows that have ended. A pending update is returned, and opens the next window."""
        self._armed = False
        actions: list[Action] = []
        for _ in range(CLOSED_AT_ONCE):
            if not self._order or (self._order[0].end > now and not self._idle(self._order[0], now)):
                break
            window = self._order.popleft()
            self._drop(window)
            if window.pending:
                self._begin(window.name, now)
                actions += self._update(window.name)
        if self._order:
            self._arm(max(now + 1, self._order[0].end + LATENESS))
        return actions

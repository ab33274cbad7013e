"""Re-registrations that peers need not hear of one by one: of each element at most one update per window is told."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rserpool._fast.base.wheel import Wheel
from rserpool.protocol.registrar.actions import Action

Name = tuple[bytes, int]
"""Pool handle and PE identifier."""
TOLD_AT_ONCE = 100
"""Elements whose windows are looked at in one go: less than 2 ms, with some peers."""
GATHERED = 5_000
"""Microseconds by which the end of a window may come late, so that one timer ends many."""


@dataclass(slots=True, eq=False)
class Window:
    """An update has been told, or is due at the end of this."""

    name: Name
    end: int
    again: bool = False
    """Whether the element has re-registered since."""


class Coalescing:
    """The windows that are open, in the order of their ends. Nothing but names is kept: at the end of a window peers
    are told of the element as it is then."""

    def __init__(self, wheel: Wheel, window: float, tell: Callable[[Name], list[Action]]) -> None:
        """``window`` in microseconds; 0 for none."""
        self._wheel = wheel
        self._length = round(window)
        self._tell = tell
        self._open: dict[Name, Window] = {}
        self._order: deque[Window] = deque()
        self._armed = False

    def __len__(self) -> int:
        """Windows and remains of windows that are kept."""
        return len(self._order)

    def waits(self, name: Name, now: int) -> bool:
        """An element of ours has re-registered: whether the update waits for the end of a window. If not, one opens."""
        if not self._length:
            return False
        while self._order and self._over(self._order[0], now):
            self._drop(self._order.popleft())
        window = self._open.get(name)
        if window is None:
            self._begin(name, now)
            return False
        if not window.again:
            window.again = True
            self._arm(window.end + GATHERED)
        return True

    def forget(self, name: Name) -> None:
        """The element has gone, or has another home: nothing is pending, and its next update is told at once."""
        window = self._open.pop(name, None)
        if window is not None:
            window.again = False

    def _begin(self, name: Name, now: int) -> None:
        window = self._open[name] = Window(name, now + self._length)
        self._order.append(window)

    def _over(self, window: Window, now: int) -> bool:
        """Whether nothing is due at the end of this window, or it was forgotten."""
        return not window.again and (window.end <= now or self._open.get(window.name) is not window)

    def _drop(self, window: Window) -> None:
        if self._open.get(window.name) is window:
            del self._open[window.name]

    def _arm(self, when: int) -> None:
        """One timer for all windows."""
        if not self._armed:
            self._armed = True
            self._wheel.insert(when, self._due)

    def _due(self, now: int) -> list[Action]:
        """Windows have ended: those in which something came again are told of, and begin anew."""
        self._armed = False
        actions: list[Action] = []
        for _ in range(TOLD_AT_ONCE):
            if not self._order or (self._order[0].end > now and not self._over(self._order[0], now)):
                break
            window = self._order.popleft()
            self._drop(window)
            if window.again:
                self._begin(window.name, now)
                actions += self._tell(window.name)
        if self._order:
            self._arm(max(now + 1, self._order[0].end + GATHERED))
        return actions

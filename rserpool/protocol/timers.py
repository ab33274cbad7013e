"""Timers that can be called off up to the moment at which they are acted upon."""

from collections.abc import Callable

from rserpool._fast.base.wheel import Entry, Wheel


class Alarm:
    """One timer. Of several that a wheel finds due at once, what the first does may call off the others: a wheel's own
    entries can no longer be cancelled then."""

    __slots__ = ("_act", "_entry")

    def __init__(self, wheel: Wheel, deadline: int, act: Callable[[int], None]) -> None:
        """``act`` is called with the time in microseconds, at the deadline or later."""
        self._act: Callable[[int], None] | None = act
        self._entry: Entry = wheel.insert(deadline, self)

    @property
    def deadline(self) -> int:
        """Microseconds."""
        return self._entry.deadline

    @property
    def armed(self) -> bool:
        """Whether it is still to come."""
        return self._act is not None

    def cancel(self, wheel: Wheel) -> None:
        """Call it off, if it is still to come."""
        self._act = None
        wheel.cancel(self._entry)

    def go_off(self, now: int) -> None:
        """It is due."""
        act, self._act = self._act, None
        if act is not None:
            act(now)

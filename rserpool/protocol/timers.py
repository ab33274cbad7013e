"""The timer of the protocol's state machines."""

from collections.abc import Callable
from typing import Generic, TypeVar

from rserpool._fast.base.wheel import Entry, Wheel

Result = TypeVar("Result", covariant=True)


class Timer(Generic[Result]):
    """A one-shot timer on a wheel. It can be cancelled until it fires, even by another timer that expires in the same
    Wheel.expire; a bare wheel entry cannot."""

    __slots__ = ("_act", "_entry", "_wheel")

    def __init__(self, wheel: Wheel, deadline: int, act: Callable[[int], Result]) -> None:
        """Call ``act`` with the time at ``deadline`` or later. Both times are microseconds."""
        self._act: Callable[[int], Result] | None = act
        self._wheel = wheel
        self._entry: Entry = wheel.insert(deadline, self)

    @property
    def deadline(self) -> int:
        """The time at which it fires, in microseconds."""
        return self._entry.deadline

    @property
    def armed(self) -> bool:
        """True until it fires or is cancelled."""
        return self._act is not None

    def cancel(self) -> None:
        """Prevent it from firing. Has no effect once it has fired."""
        self._act = None
        self._wheel.cancel(self._entry)

    def fire(self, now: int) -> Result | None:
        """Run the action and return its result; None if the timer was cancelled. For the owner of the wheel."""
        act, self._act = self._act, None
        return None if act is None else act(now)

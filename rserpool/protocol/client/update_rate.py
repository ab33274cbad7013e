"""Limits how often the pool elements of a node register again because their values change."""

from collections.abc import Callable

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.base.wheel import Wheel
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.timers import Timer

Turn = Callable[[int], None]
"""Called with the time when a waiting element may register."""


class UpdateRate:
    """Grants at most ``rate`` turns per second, in the order of the requests."""

    def __init__(self, wheel: Wheel, rate: float, now: int) -> None:
        self._wheel = wheel
        self._rate = rate
        self._bucket = Bucket(rate, max(1.0, rate), now)
        self._waiting: dict[Turn, None] = {}
        self._timer: Timer[None] | None = None

    def take(self, turn: Turn, now: int) -> bool:
        """Take a turn at once (True), or queue for one: then ``turn`` is called later, once."""
        if not self._waiting and self._bucket.take(now):
            return True
        self._waiting[turn] = None
        self._arm(now)
        return False

    def withdraw(self, turn: Turn) -> None:
        """Leave the queue."""
        self._waiting.pop(turn, None)

    def stop(self) -> None:
        """Empty the queue."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, now: int) -> None:
        if self._waiting and (self._timer is None or not self._timer.armed):
            self._timer = Timer(self._wheel, now + round(MICROSECONDS / self._rate), self._expired)

    def _expired(self, now: int) -> None:
        while self._waiting and self._bucket.take(now):
            turn = next(iter(self._waiting))
            del self._waiting[turn]
            turn(now)
        self._arm(now)

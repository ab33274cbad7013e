"""The clock of a protocol object, and the one loop timer that wakes it."""

import asyncio
from collections.abc import Callable

from rserpool.model.numbers import MICROSECONDS


class WheelTimer:
    """Calls ``expired`` when the earliest timer of a timer wheel expires."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0

    def now(self) -> int:
        """Return the loop's time in microseconds."""
        return round(self._loop.time() * MICROSECONDS)

    def schedule(self, due: int | None) -> None:
        """Wake up at ``due`` (microseconds), or at an earlier time that was asked for before. None changes nothing."""
        if due is None or (self._handle is not None and self._due <= due):
            return
        self.cancel()
        self._due = due
        self._handle = self._loop.call_at(due / MICROSECONDS, self._wake)

    def cancel(self) -> None:
        """Do not wake up until schedule() is called again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _wake(self) -> None:
        self._handle = None
        self._expired()

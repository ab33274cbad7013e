"""Turns the signals that stop a program into events."""

import asyncio
import os
import signal
import time


class StopRequest:
    """Waits for SIGTERM or SIGINT. Create it inside the running loop."""

    def __init__(self, *, kill_after: float | None = None) -> None:
        """Another signal that comes more than ``kill_after`` seconds after the first one kills the process at once."""
        self.requested = asyncio.Event()
        """Set by the first signal."""
        self.repeated = asyncio.Event()
        """Set by the second signal: the user does not want to wait for an orderly end."""
        self._kill_after = kill_after
        self._first = 0.0
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._on_signal)

    def _on_signal(self) -> None:
        now = time.monotonic()
        if not self.requested.is_set():
            self._first = now
            self.requested.set()
            return
        self.repeated.set()
        if self._kill_after is not None and now - self._first >= self._kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    async def within(self, seconds: float | None) -> bool:
        """Wait for a signal, at most ``seconds`` (None: without limit). True if one arrived."""
        try:
            async with asyncio.timeout(seconds):
                await self.requested.wait()
        except TimeoutError:
            return False
        return True

"""Deregistration when the process is asked to end (SIGTERM)."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Callable

Leave = Callable[[], Awaitable[None]]


class SigtermHandler:
    """While anybody is in it, SIGTERM lets all of them leave and then ends the process as SIGTERM does; unless the
    program handles that signal itself, or the loop is not the main thread's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._members: dict[Leave, None] = {}
        self._installed = False
        self._task: asyncio.Task[None] | None = None

    def join(self, leave: Leave) -> None:
        """Be asked to leave at SIGTERM."""
        self._members[leave] = None
        free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        if not self._installed and free and threading.current_thread() is threading.main_thread():
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                self._loop.add_signal_handler(signal.SIGTERM, self._asked)
                self._installed = True

    def part(self, leave: Leave) -> None:
        """It has left, or does so by itself."""
        self._members.pop(leave, None)
        if not self._members and self._task is None:
            self._uninstall()

    def _uninstall(self) -> None:
        if self._installed:
            self._installed = False
            self._loop.remove_signal_handler(signal.SIGTERM)

    def _asked(self) -> None:
        if self._task is None:
            self._task = self._loop.create_task(self._leave())

    async def _leave(self) -> None:
        await asyncio.gather(*(leave() for leave in tuple(self._members)), return_exceptions=True)
        self._uninstall()
        os.kill(os.getpid(), signal.SIGTERM)


_handlers: dict[int, SigtermHandler] = {}


def sigterm_handler() -> SigtermHandler:
    """That of the running loop."""
    loop = asyncio.get_running_loop()
    for number, known in tuple(_handlers.items()):
        if known._loop.is_closed():
            del _handlers[number]
    return _handlers.setdefault(id(loop), SigtermHandler(loop))

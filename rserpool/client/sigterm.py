"""Deregisters pool elements when the process gets SIGTERM."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Callable

Leave = Callable[[], Awaitable[None]]


class SigtermHandler:
    """On SIGTERM, runs the registered ``leave`` functions, and then ends the process as SIGTERM does.

    It is installed while at least one function is registered, but not if the program handles SIGTERM itself, or if the
    loop does not run in the main thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._members: dict[Leave, None] = {}
        self._installed = False
        self._task: asyncio.Task[None] | None = None

    def add(self, leave: Leave) -> None:
        """Run ``leave`` on SIGTERM."""
        self._members[leave] = None
        free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        if not self._installed and free and threading.current_thread() is threading.main_thread():
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                self._loop.add_signal_handler(signal.SIGTERM, self._on_signal)
                self._installed = True

    def remove(self, leave: Leave) -> None:
        """Do not run ``leave`` on SIGTERM any more; nothing if it is not registered."""
        self._members.pop(leave, None)
        if not self._members and self._task is None:
            self._uninstall()

    def _uninstall(self) -> None:
        if self._installed:
            self._installed = False
            self._loop.remove_signal_handler(signal.SIGTERM)

    def _on_signal(self) -> None:
        if self._task is None:
            self._task = self._loop.create_task(self._leave_all())

    async def _leave_all(self) -> None:
        await asyncio.gather(*(leave() for leave in tuple(self._members)), return_exceptions=True)
        self._uninstall()
        os.kill(os.getpid(), signal.SIGTERM)


_handlers: dict[int, SigtermHandler] = {}


def sigterm_handler() -> SigtermHandler:
    """The handler of the running loop."""
    loop = asyncio.get_running_loop()
    for number, known in tuple(_handlers.items()):
        if known._loop.is_closed():
            del _handlers[number]
    return _handlers.setdefault(id(loop), SigtermHandler(loop))

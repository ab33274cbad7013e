"""A listening TCP socket whose connections the loop takes many at a time."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

BACKLOG: Final = 1024
"""Connections that wait to be accepted."""
AT_ONCE: Final = 32
"""Connections accepted each turn of the loop. uvloop's own servers accept one: where a turn takes 20 ms, as under five
times the load in docs/performance.md, that is 50 a second, and thousands may come at once from a failed registrar."""
PAUSE: Final = 1.0
"""Seconds until it is tried again where descriptors or memory are missing."""


class Acceptor:
    """Of a bound socket, which listens from now on until close(). OSError if it cannot. What is accepted becomes a
    transport of a new protocol of ``factory``."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._factory = factory
        self._arriving: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        sock.listen(BACKLOG)
        self._watch()

    def _watch(self) -> None:
        self._timer = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._loop.remove_reader(self._sock)
                self._timer = self._loop.call_later(PAUSE, self._watch)
                context = {"message": f"no connection is accepted for {PAUSE:g} s", "exception": error}
                self._loop.call_exception_handler(context)
                return
            sock.setblocking(False)
            task: asyncio.Task[object] = self._loop.create_task(self._loop.connect_accepted_socket(self._factory, sock))
            self._arriving.add(task)
            task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[object]) -> None:
        self._arriving.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "a connection that was accepted is lost", "exception": error}
            self._loop.call_exception_handler(context)

    def close(self) -> None:
        """Those that were accepted stay. Again it does nothing."""
        if self._sock.fileno() < 0:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

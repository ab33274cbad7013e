"""A listening TCP socket from which the loop accepts many connections a turn."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

BACKLOG: Final = 1024
"""Connections that may wait to be accepted."""
AT_ONCE: Final = 32
"""Connections accepted per turn of the loop. uvloop's own servers accept one. If a turn takes 20 ms, as at five times
the load in docs/performance.md, that is 50 connections a second, but thousands may arrive at once when another
registrar has failed."""
PAUSE: Final = 1.0
"""Seconds without accepting after the system has run out of descriptors or memory."""


class Acceptor:
    """Listens on a bound socket until close(), and gives each connection a new protocol of ``factory``.

    With ``tls`` each connection starts with a TLS handshake, and the protocol sees plaintext. OSError.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        factory: Callable[[], asyncio.BaseProtocol],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._factory = factory
        self._tls = tls
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
                context = {"message": f"accepting no connections for {PAUSE:g} s", "exception": error}
                self._loop.call_exception_handler(context)
                return
            sock.setblocking(False)
            accepted = self._loop.connect_accepted_socket(self._factory, sock, ssl=self._tls)
            task: asyncio.Task[object] = self._loop.create_task(accepted)
            self._arriving.add(task)
            task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[object]) -> None:
        self._arriving.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "lost a connection while accepting it", "exception": error}
            self._loop.call_exception_handler(context)

    def close(self) -> None:
        """Stop listening; accepted connections stay. A second call does nothing."""
        if self._sock.fileno() < 0:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

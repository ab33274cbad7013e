"""What the endpoints of both SCTP stacks have in common: errors of the handler, and the end."""

import asyncio
import contextlib
from functools import partial

from rserpool._fast.io.associations import Associations
from rserpool.protocol.peer import Peer
from rserpool.transport.closing import CLOSE_WAIT, ClosingHandler
from rserpool.transport.interface import MAX_USER_MESSAGE, Handler

SIP = 1.0
"""Seconds between two looks at paused associations whose window may be closed. 30 probes of it take at least 1.5 s."""


PATIENCE = 30.0
"""Seconds that a peer with a closed window may hold up an orderly end. Then it is treated as one that is silent."""
LOOK = 1.0


class SctpEndpoint(Associations):
    """A subclass also derives from its stack's Socket, and owes ``release``."""

    def __init__(self, handler: Handler, max_message: int) -> None:
        self.handler = handler
        self.max_message = min(max_message, MAX_USER_MESSAGE)
        self._loop = asyncio.get_running_loop()
        self.clock = self._loop.time
        self._port = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed: asyncio.Future[None] | None = None
        self._sipping: asyncio.TimerHandle | None = None
        self._leaving: dict[int, float] = {}
        self._looking: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        return self._port

    def peer_record(self, assoc: int, port: int) -> Peer:
        return Peer(addresses=self.peer_addresses(assoc), port=port, sctp=True, round_trip=partial(self.rtt, assoc))

    def occupied(self) -> None:
        self._empty.clear()

    def vacant(self) -> None:
        self._empty.set()

    def soon(self, assoc: int) -> None:
        self._loop.call_soon(self.catch_up, assoc)

    def parting(self) -> None:
        if self._sipping is None:
            self._sipping = self._loop.call_later(SIP, self._sip)

    def _sip(self) -> None:
        self._sipping = None
        if self.sip():
            self.parting()

    def wait_to_leave(self, assoc: int) -> None:
        self._leaving[assoc] = self._loop.time() + PATIENCE
        if self._looking is None:
            self._looking = self._loop.call_later(LOOK, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        for assoc in [assoc for assoc, until in self._leaving.items() if until <= now]:
            del self._leaving[assoc]
            self.leave(assoc)
        self._looking = self._loop.call_later(LOOK, self._look) if self._leaving else None

    def failed(self, error: Exception) -> None:
        context = {"message": f"handler of SCTP port {self._port} failed", "exception": error}
        self._loop.call_exception_handler(context)

    async def close(self) -> None:
        """See Endpoint.close."""
        if self._closed is None:
            self._closed = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closed)

    async def _close(self) -> None:
        self.handler = ClosingHandler()
        for assoc in self.identifiers():
            self.resume(assoc)
            self.shutdown(assoc)
        if self.any_up():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), CLOSE_WAIT)
        if self._sipping is not None:
            self._sipping.cancel()
        if self._looking is not None:
            self._looking.cancel()
        self.release()

    def release(self) -> None:
        """Abort what is left, and give the stack's socket back."""
        raise NotImplementedError

"""The common part of the endpoints of both SCTP stacks: their timers, the handler's errors, and closing."""

import asyncio
import contextlib
from functools import partial

from rserpool._fast.io.associations import Associations
from rserpool.protocol.peer import Peer
from rserpool.transport.closing import CLOSE_WAIT, ClosingHandler
from rserpool.transport.interface import MAX_USER_MESSAGE, Handler

PROBE_INTERVAL = 1.0
"""Seconds between two calls of probe_windows(). libusrsctp gives up a peer after 30 probes: at least 1.5 s."""
SHUTDOWN_WAIT = 30.0
"""Seconds that a peer with a closed window may delay a shutdown. Then it is treated as a silent peer."""
SHUTDOWN_CHECK = 1.0
"""Seconds between two checks for delayed shutdowns that have reached SHUTDOWN_WAIT."""


class SctpEndpoint(Associations):
    """An SCTP endpoint (interface.Endpoint). A subclass also derives from its stack's Socket.

    The subclass must meet the obligations of Associations and Socket that this class leaves, and implement release().
    """

    def __init__(self, handler: Handler, max_message: int) -> None:
        self.handler = handler
        self.max_message = min(max_message, MAX_USER_MESSAGE)
        self._loop = asyncio.get_running_loop()
        self.clock = self._loop.time
        self._port = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed: asyncio.Future[None] | None = None
        self._prober: asyncio.TimerHandle | None = None
        self._shutdown_deadlines: dict[int, float] = {}
        self._shutdown_timer: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        return self._port

    def peer_record(self, assoc: int, port: int) -> Peer:
        return Peer(addresses=self.peer_addresses(assoc), port=port, sctp=True, round_trip=partial(self.rtt, assoc))

    def first_added(self) -> None:
        self._empty.clear()

    def last_removed(self) -> None:
        self._empty.set()

    def schedule_delivery(self, assoc: int) -> None:
        self._loop.call_soon(self.deliver_held, assoc)

    def start_probing(self) -> None:
        if self._prober is None:
            self._prober = self._loop.call_later(PROBE_INTERVAL, self._probe)

    def _probe(self) -> None:
        self._prober = None
        if self.probe_windows():
            self.start_probing()

    def start_shutdown_timer(self, assoc: int) -> None:
        self._shutdown_deadlines[assoc] = self._loop.time() + SHUTDOWN_WAIT
        if self._shutdown_timer is None:
            self._shutdown_timer = self._loop.call_later(SHUTDOWN_CHECK, self._check_shutdowns)

    def _check_shutdowns(self) -> None:
        now = self._loop.time()
        for assoc in [assoc for assoc, deadline in self._shutdown_deadlines.items() if deadline <= now]:
            del self._shutdown_deadlines[assoc]
            self.finish_shutdown(assoc)
        self._shutdown_timer = None
        if self._shutdown_deadlines:
            self._shutdown_timer = self._loop.call_later(SHUTDOWN_CHECK, self._check_shutdowns)

    def handler_failed(self, error: Exception) -> None:
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
        for timer in (self._prober, self._shutdown_timer):
            if timer is not None:
                timer.cancel()
        self.release()

    def release(self) -> None:
        """Abort the remaining associations, and close the stack's socket."""
        raise NotImplementedError

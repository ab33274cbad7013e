"""The event loop of the blocking API: one background thread for each process, started when it is first needed.

A forked child does not inherit the thread and starts its own. Objects of the parent raise WrongProcess in the child.
"""

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final, Protocol, TypeVar

from rserpool.errors import LocalProtocolError

T = TypeVar("T")

LOOP_FACTORY: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with contextlib.suppress(ImportError):
    # Imported with this module, so that no fork can happen during the import.
    import uvloop

    LOOP_FACTORY = uvloop.new_event_loop

EXIT_PATIENCE: Final = 10.0
"""Seconds that the exit of the interpreter waits for elements to deregister and associations to close."""
SLICE: Final = 0.5
"""Seconds of one wait. Waits are split because a signal that arrives just before a wait does not interrupt it."""
GRACE: Final = 5.0
"""Seconds that an operation may take to clean up after its time-out."""


class Closable(Protocol):
    """An object of the event loop that is closed when the interpreter exits."""

    async def aclose(self) -> None:
        """Close the object."""


class WrongProcess(LocalProtocolError):
    """The object belongs to the parent process; make a new one in this process."""


class Background:
    """An event loop that runs in a daemon thread from construction on. Every method may be called from any other
    thread."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._open: dict[Closable, None] = {}
        self._ended = False
        self._loop: asyncio.AbstractEventLoop | None = None
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), name="rserpool", daemon=True)
        self._thread.start()
        ready.wait()

    def _serve(self, ready: threading.Event) -> None:
        try:
            with asyncio.Runner(loop_factory=LOOP_FACTORY) as runner:
                self._loop = runner.get_loop()
                self._loop.call_soon(ready.set)
                self._loop.run_forever()
        finally:
            self._ended = True
            ready.set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop. Raises WrongProcess in a forked child, LocalProtocolError after the loop has ended."""
        if self._process != os.getpid():
            raise WrongProcess(f"this object belongs to process {self._process}; make a new one after the fork")
        if self._ended or self._loop is None:
            raise LocalProtocolError("the interpreter is exiting; the event loop of rserpool.blocking has ended")
        if threading.get_ident() == self._thread.ident:
            raise LocalProtocolError("the thread of the event loop cannot use rserpool.blocking: use rserpool.client")
        return self._loop

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run ``work`` in the loop and return its result. Raises TimeoutError after ``timeout`` seconds. After a
        time-out or an interrupt of the waiting thread, ``work`` is cancelled and has GRACE seconds to clean up."""
        try:
            loop = self.loop
        except BaseException:
            work.close()
            raise
        done: concurrent.futures.Future[T] = concurrent.futures.Future()
        context = contextvars.copy_context()
        running: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = loop.create_task(work, context=context)
            running.append(task)
            task.add_done_callback(lambda task: settle(done, task))

        def cancel() -> None:
            for task in running:
                task.cancel()

        try:
            loop.call_soon_threadsafe(begin)
            return outcome(done, timeout)
        except BaseException as error:
            if done.done():
                raise
            loop.call_soon_threadsafe(cancel)
            concurrent.futures.wait([done], GRACE)
            if isinstance(error, TimeoutError) and done.done() and done.exception() is None:
                return done.result()
            raise

    def call(self, function: Callable[[], T]) -> T:
        """Call ``function`` in the loop and return its result."""

        async def work() -> T:
            return function()

        return self.run(work())

    def iterate(self, items: AsyncIterator[T], timeout: float | None = None) -> Iterator[T]:
        """Iterate over ``items``, waiting at most ``timeout`` seconds for each (then TimeoutError ends the iteration).
        ``items`` is closed at the end."""

        async def following() -> T:
            return await anext(items)

        try:
            while True:
                try:
                    item = self.run(following(), timeout)
                except StopAsyncIteration:
                    return
                yield item
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                with contextlib.suppress(LocalProtocolError):
                    self.run(close())

    def opened(self, thing: Closable) -> None:
        """Close ``thing`` at the exit of the interpreter, unless closed() is called before."""
        self._open[thing] = None

    def closed(self, thing: Closable) -> None:
        """Do not close ``thing`` at the exit of the interpreter."""
        self._open.pop(thing, None)

    def end(self) -> None:
        """Close all open objects, the latest first, and end the thread."""
        if self._ended or self._process != os.getpid() or self._loop is None:
            return
        with contextlib.suppress(TimeoutError, concurrent.futures.CancelledError):
            self.run(self._close_all(), EXIT_PATIENCE)
        self._ended = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GRACE)

    async def _close_all(self) -> None:
        left = [asyncio.ensure_future(thing.aclose()) for thing in reversed(tuple(self._open))]
        await asyncio.gather(*left, return_exceptions=True)


def outcome(done: "concurrent.futures.Future[T]", timeout: float | None) -> T:
    """Wait for the result. Raises TimeoutError after ``timeout`` seconds."""
    ends = None if timeout is None else time.monotonic() + timeout
    while True:
        left = SLICE if ends is None else min(SLICE, ends - time.monotonic())
        if concurrent.futures.wait([done], max(left, 0)).done:
            return done.result()
        if ends is not None and time.monotonic() >= ends:
            raise TimeoutError(f"the operation was not done within {timeout:g} s")


def settle(done: "concurrent.futures.Future[T]", task: "asyncio.Task[T]") -> None:
    """Copy the outcome of a task to the future that another thread waits for."""
    if task.cancelled():
        done.set_exception(concurrent.futures.CancelledError())
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())


_lock = threading.Lock()
_current: Background | None = None
_inherited: list[Background] = []
"""Loops of parent processes. They must not be garbage-collected, because that would close the parent's sockets."""


def background() -> Background:
    """The background loop of this process; started on the first call."""
    global _current
    with _lock:
        if _current is None:
            _current = Background()
        return _current


def _after_fork() -> None:
    global _lock, _current
    _lock = threading.Lock()
    if _current is not None:
        _inherited.append(_current)
        _current = None


def _at_exit() -> None:
    if _current is not None:
        _current.end()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)

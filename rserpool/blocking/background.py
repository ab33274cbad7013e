"""The event loop behind the blocking face: one thread for the whole process, started when it is first needed.

A forked child has no such thread: it starts one of its own, and what belongs to the parent's says so when it is used.
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
    # Here, so that no fork can fall into the import.
    import uvloop

    LOOP_FACTORY = uvloop.new_event_loop

EXIT_PATIENCE: Final = 10.0
"""Seconds that the end of the interpreter waits for elements to be deregistered and associations to be closed."""
SLICE: Final = 0.5
"""Seconds of one wait: a signal that comes just before a thread begins to wait does not wake it."""
GRACE: Final = 5.0
"""Seconds for which an operation whose time is over may go on to clean up."""


class Closable(Protocol):
    """What is open in the loop, and closed when the interpreter ends."""

    async def aclose(self) -> None:
        """Close it."""


class WrongProcess(LocalProtocolError):
    """The object belongs to the process that this one was forked from."""


class Background:
    """A loop in a daemon thread, from its construction on. Every method may be called from any other thread."""

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
        """The loop. Raises WrongProcess, or LocalProtocolError once it has ended."""
        if self._process != os.getpid():
            raise WrongProcess(f"this object is of process {self._process}, of which this one is a fork: make another")
        if self._ended or self._loop is None:
            raise LocalProtocolError("the event loop has ended, as the interpreter is about to")
        if threading.get_ident() == self._thread.ident:
            raise LocalProtocolError("the blocking face cannot be used from the thread of its own event loop")
        return self._loop

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """The result of ``work``, which runs in the loop. TimeoutError after so many seconds; then, and where the
        waiting thread is interrupted, ``work`` is cancelled, and waited for while it cleans up."""
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
        """The result of a function that runs in the loop."""

        async def work() -> T:
            return function()

        return self.run(work())

    def iterate(self, items: AsyncIterator[T], timeout: float | None = None) -> Iterator[T]:
        """The items, each awaited for at most ``timeout`` seconds (TimeoutError, which ends it); the iterator is closed
        at the end."""

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
        """It is open until closed() is told."""
        self._open[thing] = None

    def closed(self, thing: Closable) -> None:
        """It needs no closing any more."""
        self._open.pop(thing, None)

    def end(self) -> None:
        """Close everything, last first, and end the thread."""
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
    """The result within ``timeout`` seconds (TimeoutError)."""
    ends = None if timeout is None else time.monotonic() + timeout
    while True:
        left = SLICE if ends is None else min(SLICE, ends - time.monotonic())
        if concurrent.futures.wait([done], max(left, 0)).done:
            return done.result()
        if ends is not None and time.monotonic() >= ends:
            raise TimeoutError(f"not done within {timeout:g} s")


def settle(done: "concurrent.futures.Future[T]", task: "asyncio.Task[T]") -> None:
    """Hand the outcome of a task over."""
    if task.cancelled():
        done.set_exception(concurrent.futures.CancelledError())
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())


_lock = threading.Lock()
_current: Background | None = None
_left_behind: list[Background] = []
"""Of parents of this process: their loops must not be collected, which would close what the parent uses."""


def background() -> Background:
    """The process's own, started if there is none."""
    global _current
    with _lock:
        if _current is None:
            _current = Background()
        return _current


def _after_fork() -> None:
    global _lock, _current
    _lock = threading.Lock()
    if _current is not None:
        _left_behind.append(_current)
        _current = None


def _at_exit() -> None:
    if _current is not None:
        _current.end()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)

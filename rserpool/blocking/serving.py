"""A whole pool element in one call, for programs with threads: one thread for each session."""

import concurrent.futures
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rserpool.blocking.pools import PoolElement
from rserpool.blocking.sessions import ServiceSession
from rserpool.client import SessionClosed

log = logging.getLogger("rserpool.session")

THREADS = 32
"""Sessions that are served at the same time, unless the caller says otherwise."""


def serve(
    what: str | bytes | PoolElement,
    handler: Callable[[ServiceSession], object],
    *,
    threads: int = THREADS,
    **options: Any,
) -> None:
    """Serve a pool, each session by a call of ``handler`` in one of so many threads, until the element is closed, the
    waiting thread is interrupted, or, in the main thread, SIGTERM comes.

    ``what`` is the pool handle, and ``options`` are PoolElement's; or an element that is not open yet. A session is
    closed when its handler returns, and aborted where that raises, which is logged.
    """
    element = what if isinstance(what, PoolElement) else PoolElement(what, **options)
    pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="rserpool-session")
    with _ended_by_sigterm(), pool, element:
        for session in element.sessions():
            pool.submit(_run, handler, session)


def _run(handler: Callable[[ServiceSession], object], session: ServiceSession) -> None:
    """One session."""
    try:
        with session:
            handler(session)
    except SessionClosed:
        return
    except Exception:
        log.exception("the handler of the session with %s port %d failed", session.peer_addresses, session.peer_port)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the main thread as the end of the program does, unless the program handles it itself."""
    free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

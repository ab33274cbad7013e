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
"""The default number of sessions served at the same time."""


def serve(
    what: str | bytes | PoolElement,
    handler: Callable[[ServiceSession], object],
    *,
    threads: int = THREADS,
    **options: Any,
) -> None:
    """Serve a pool: call ``handler`` for each session, in one of ``threads`` threads, until the element is closed, the
    calling thread is interrupted, or SIGTERM arrives (in the main thread).

    ``what`` is a pool handle, with ``options`` for PoolElement, or a PoolElement that is not open yet. A session is
    closed when its handler returns. If the handler raises, the session is aborted and the exception logged. Raises the
    errors of opening a PoolElement.
    """
    element = what if isinstance(what, PoolElement) else PoolElement(what, **options)
    pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="rserpool-session")
    with _ended_by_sigterm(), pool, element:
        for session in element.sessions():
            pool.submit(_run, handler, session)


def _run(handler: Callable[[ServiceSession], object], session: ServiceSession) -> None:
    """Serve one session."""
    try:
        with session:
            handler(session)
    except SessionClosed:
        return
    except Exception:
        log.exception("the handler failed for the session with %s port %d", session.peer_addresses, session.peer_port)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the main thread as sys.exit() does, unless the program handles SIGTERM itself."""
    free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

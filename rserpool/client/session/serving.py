"""A whole pool element in one call: one task for each session.

async def echo(session):
    async for item in session:
        if isinstance(item, Data):
            await session.send(item, item.ppid)

await serve("EchoPool", echo, registrars=["10.0.0.1"])
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from rserpool.client.errors import SessionClosed
from rserpool.client.pool_element import PoolElement
from rserpool.client.session.service import ServiceSession

log = logging.getLogger("rserpool.session")

Handler = Callable[[ServiceSession], Awaitable[None]]


async def serve(what: str | bytes | PoolElement, handler: Handler, **options: Any) -> None:
    """Serve a pool until the task is cancelled or SIGTERM ends the process.

    ``what`` is a pool handle, with ``options`` for PoolElement, or a PoolElement that is not entered yet. ``handler``
    is awaited once for each session, in a task of its own. When it returns, the session is closed; when it raises, the
    session is aborted and the exception logged. Raises the errors of entering a PoolElement.
    """
    element = what if isinstance(what, PoolElement) else PoolElement(what, **options)
    tasks: set[asyncio.Task[None]] = set()
    async with element:
        try:
            async for session in element.sessions():
                task = asyncio.create_task(_run(handler, session))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _run(handler: Handler, session: ServiceSession) -> None:
    try:
        await handler(session)
        await session.close()
    except SessionClosed:
        return
    except Exception:
        log.exception("the handler failed for the session with %s port %d", session.peer_addresses, session.peer_port)
    finally:
        if not session.closed:
            session.abort()

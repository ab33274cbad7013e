"""Selects elements of one pool, and waits for them while the pool has none."""

import asyncio
import contextlib
import logging
from collections.abc import Collection

from rserpool.client import NoElement, PoolUser, ResolvedElement, UnknownPool
from rserpool.errors import RSerPoolError

log = logging.getLogger("rserpool.proxy")


class WatchedPool:
    """Selects elements of one pool, and watches it for changes (user_proxy.Chooser): an asynchronous context
    manager."""

    def __init__(self, user: PoolUser, handle: str) -> None:
        self._user = user
        self._handle = handle
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._logged = ""

    async def __aenter__(self) -> "WatchedPool":
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _watch(self) -> None:
        async with contextlib.aclosing(self._user.watch(self._handle)) as changes:
            async for elements in changes:
                log.info("pool %s has %d elements", self._handle, len(elements))
                self._changed.set()
                self._changed.clear()

    async def choose(self, exclude: Collection[int], patience: float) -> ResolvedElement | None:
        """Select an element by the pool's policy; see user_proxy.Chooser."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while True:
            try:
                element = await self._user.select(
                    self._handle, exclude=exclude, timeout=max(deadline - loop.time(), 0.001)
                )
            except (NoElement, UnknownPool):
                try:
                    async with asyncio.timeout_at(deadline):
                        await self._changed.wait()
                except TimeoutError:
                    return None
                continue
            except RSerPoolError as error:
                self._log_once(str(error))
                return None
            if element.protocol != "tcp":
                self._log_once(f"pool {self._handle} serves {element.protocol}, not TCP; this proxy cannot use it")
                return None
            self._logged = ""
            return element

    def _log_once(self, why: str) -> None:
        """Log why no element can be used, once for each reason."""
        if why != self._logged:
            self._logged = why
            log.error("%s", why)

    async def report(self, element: ResolvedElement) -> None:
        """Report an unreachable element to the registrar."""
        await self._user.report_unreachable(element)

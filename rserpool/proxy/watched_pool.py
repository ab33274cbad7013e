"""Selects elements of one pool, and waits for them while the pool has none."""

import asyncio
import contextlib
import logging
from collections.abc import Collection

from rserpool.client import NoElement, PoolUser, ResolvedElement, UnknownPool
from rserpool.errors import RSerPoolError

log = logging.getLogger("rserpool.proxy")


class WatchedPool:
    """The elements of a pool, kept up to date by watching it (user.Chooser): an asynchronous context manager."""

    def __init__(self, user: PoolUser, handle: str) -> None:
        self._user = user
        self._handle = handle
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unusable = ""

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
        """See user.Chooser."""
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
                self._say(str(error))
                return None
            if element.protocol != "tcp":
                self._say(f"pool {self._handle} is served over {element.protocol}, not over TCP")
                return None
            self._unusable = ""
            return element

    def _say(self, why: str) -> None:
        """Log why there is no element, once as long as it is the same."""
        if why != self._unusable:
            self._unusable = why
            log.error("%s", why)

    async def report(self, element: ResolvedElement) -> None:
        """See user.Chooser."""
        await self._user.report_unreachable(element)

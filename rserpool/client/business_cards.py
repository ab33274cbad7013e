"""Makes the business card of a pool element: itself and its successors for a failover (RFC 5352 3.9)."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from typing import Any

from rserpool.client.pool_user import PoolUser
from rserpool.errors import RSerPoolError
from rserpool.messages import BusinessCard, PoolElement
from rserpool.messages.resolved import ResolvedElement

MAX_SUCCESSORS = 8
"""The largest number of other elements on a card. When the element fails, its users spread over them."""


MAX_LEARNED = 64
"""The largest number of pools that the cards of users can make an element resolve: forged cards must not keep its
registrar busy."""


class BusinessCards:
    """Makes the business cards of one element, and resolves the pools named on its users' cards.

    ``own`` returns the element's current parameter. With ``successors`` the pool is watched, and each card lists other
    elements in a random order, so that the users of a failed element spread over the pool.
    """

    def __init__(self, handle: bytes, own: Callable[[], PoolElement], user: PoolUser, *, successors: bool) -> None:
        self._handle = handle
        self._own = own
        self._user = user
        self._successors = successors
        self._others: tuple[ResolvedElement, ...] = ()
        self._known = {handle}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start to watch the pool, if successors are wanted."""
        if self._successors:
            self._spawn(self._watch())

    def learn(self, card: BusinessCard) -> None:
        """Resolve the pool of a user that is a pool element too, if its handle is new (RFC 5352 3.9, BC1)."""
        if card.pool_handle not in self._known and len(self._known) <= MAX_LEARNED:
            self._known.add(card.pool_handle)
            self._spawn(self._resolve(card.pool_handle))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self) -> None:
        async for elements in self._user.watch(self._handle):
            self._others = elements

    async def _resolve(self, handle: bytes) -> None:
        with contextlib.suppress(RSerPoolError):
            await self._user.resolve(handle)

    async def stop(self) -> None:
        """Cancel the watch and all resolutions."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def make(self) -> BusinessCard:
        """A business card: the element, then successors in a random order."""
        own = self._own()
        others = [one for one in self._others if one.identifier != own.identifier]
        chosen = random.sample(others, min(MAX_SUCCESSORS, len(others)))
        successors = (
            PoolElement(
                identifier=one.identifier,
                home_identifier=one.home_identifier,
                registration_life=own.registration_life,
                user_transport=one.user_transport,
                policy=one.policy,
            )
            for one in chosen
        )
        return BusinessCard(pool_handle=self._handle, pool_elements=(own, *successors))

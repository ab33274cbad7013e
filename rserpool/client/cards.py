"""The business card of a pool element: its pool, itself, and who is to be asked when it fails (RFC 5352 3.9)."""

import asyncio
import random
from collections.abc import Callable

from rserpool.client.pool_user import PoolUser
from rserpool.messages import BusinessCard, PoolElement
from rserpool.resolved import ResolvedElement

MAX_SUCCESSORS = 8
"""Elements on a card besides the one whose card it is: they share the users of one that fails."""


class Cards:
    """Makes the cards of one element. ``own`` yields it as it is now. With ``user``, the pool is watched, and the other
    elements stand on each card, in an order drawn for it: the users of an element that fails spread over the pool."""

    def __init__(self, handle: bytes, own: Callable[[], PoolElement], user: PoolUser | None) -> None:
        self._handle = handle
        self._own = own
        self._user = user
        self._others: tuple[ResolvedElement, ...] = ()
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch the pool, if it is to be watched."""
        if self._user is not None:
            self._watching = asyncio.get_running_loop().create_task(self._watch(self._user))

    async def _watch(self, user: PoolUser) -> None:
        async for elements in user.watch(self._handle):
            self._others = elements

    async def stop(self) -> None:
        """Watch no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def draw(self) -> BusinessCard:
        """A card."""
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

"""Pushes handle resolution updates to the subscribers of a pool (the S and A bits of RFC 5352 2.2.5 and 2.2.6)."""

from functools import partial
from typing import Final

from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.actions import Send
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.asap.answers import unknown_pool
from rserpool.protocol.registrar.association import Association
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.settings.profile import ALL_ITEMS


class Subscriptions:
    """The subscribers of each pool. Changes are collected for the update delay, then the whole pool is pushed once."""

    def __init__(self, context: RegistrarContext) -> None:
        self._context = context
        self._limit = context.settings.limits.subscriptions
        self._delay = round(context.settings.update_delay * MICROSECONDS)
        self.watchers: Final[dict[bytes, set[int]]] = {}
        """Association numbers by pool handle. The merger of handle tables holds this mapping."""
        self._pending: set[bytes] = set()

    def __len__(self) -> int:
        return sum(map(len, self.watchers.values()))

    def add(self, handle: bytes, association: Association) -> bool:
        """Subscribe an association to a pool. False if it has as many subscriptions as it may."""
        if handle not in association.subscriptions and len(association.subscriptions) >= self._limit:
            return False
        association.subscriptions.add(handle)
        self.watchers.setdefault(handle, set()).add(association.number)
        return True

    def discard(self, handle: bytes, association: Association) -> None:
        """End the association's subscription to a pool, if there is one."""
        association.subscriptions.discard(handle)
        watchers = self.watchers.get(handle)
        if watchers is not None:
            watchers.discard(association.number)
            if not watchers:
                del self.watchers[handle]

    def forget(self, association: Association) -> None:
        """End all subscriptions of an association that ended."""
        for handle in tuple(association.subscriptions):
            self.discard(handle, association)

    def changed(self, handle: bytes, now: int) -> None:
        """Push a pool that changed after the update delay, unless a push is pending already."""
        if handle in self.watchers and handle not in self._pending:
            self._pending.add(handle)
            self._context.wheel.insert(now + self._delay, partial(self._push, handle))

    def _push(self, handle: bytes, now: int) -> list[Action]:
        """Send one update to each subscriber. A pool that is gone ends its subscriptions."""
        self._pending.discard(handle)
        numbers = sorted(self.watchers.get(handle, ()))
        if not numbers:
            return []
        update = self._context.handlespace.resolution(handle, ALL_ITEMS, accept_subscription=True, advance=False)
        if update is None:
            update = unknown_pool(handle)
            for number in numbers:
                self.discard(handle, self._context.associations[number])
        return [Send(number, update) for number in numbers]

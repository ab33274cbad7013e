"""Pushed handle resolution updates: who watches which pool (the S and A bits of RFC 5352 2.2.5 and 2.2.6)."""

from collections.abc import Callable

from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool.errors import Cause
from rserpool.messages import ErrorCause, HandleResolutionResponse
from rserpool.protocol.actions import Send
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.association import Association
from rserpool.settings.profile import ALL_ITEMS


class Subscriptions:
    """The watchers of each pool. Changes are gathered for a while and then pushed once, with the whole pool."""

    def __init__(self, handlespace: Handlespace, limit: int, arm: Callable[[bytes], None]) -> None:
        self._handlespace = handlespace
        self._limit = limit
        self._arm = arm
        self.watchers: dict[bytes, set[int]] = {}
        """Never replaced: who merges tables looks at it."""
        self._pending: set[bytes] = set()

    def __len__(self) -> int:
        return sum(map(len, self.watchers.values()))

    def add(self, handle: bytes, association: Association) -> bool:
        """Watch a pool for an association; False where it watches as many as it may."""
        if handle not in association.subscriptions and len(association.subscriptions) >= self._limit:
            return False
        association.subscriptions.add(handle)
        self.watchers.setdefault(handle, set()).add(association.number)
        return True

    def discard(self, handle: bytes, association: Association) -> None:
        """Stop watching a pool, if it was watched."""
        association.subscriptions.discard(handle)
        watchers = self.watchers.get(handle)
        if watchers is not None:
            watchers.discard(association.number)
            if not watchers:
                del self.watchers[handle]

    def forget(self, association: Association) -> None:
        """The association is gone."""
        for handle in tuple(association.subscriptions):
            self.discard(handle, association)

    def changed(self, handle: bytes) -> None:
        """A pool has changed: gather, unless a push is under way already."""
        if handle in self.watchers and handle not in self._pending:
            self._pending.add(handle)
            self._arm(handle)

    def changed_among(self, names: list[tuple[bytes, int]]) -> None:
        """The pools of these elements have changed."""
        for handle in dict.fromkeys(handle for handle, _ in names) if self.watchers else ():
            self.changed(handle)

    def push(self, handle: bytes, associations: dict[int, Association]) -> list[Action]:
        """The gathering time is over: one update to each watcher. A pool that is gone ends its subscriptions."""
        self._pending.discard(handle)
        watchers = sorted(self.watchers.get(handle, ()))
        if not watchers:
            return []
        update = self._handlespace.resolution(handle, ALL_ITEMS, accept_subscription=True, advance=False)
        if update is None:
            update = unknown_pool(handle)
            for number in watchers:
                self.discard(handle, associations[number])
        return [Send(number, update) for number in watchers]


def unknown_pool(handle: bytes) -> bytes:
    """The negative answer to the resolution of a pool that does not exist (RFC 5352 3.3)."""
    return HandleResolutionResponse(
        pool_handle=handle, operation_error=(ErrorCause(code=Cause.UNKNOWN_POOL_HANDLE),)
    ).encode()

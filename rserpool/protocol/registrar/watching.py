"""Lets programs in this process watch what changes in a registrar: pools, elements, peers, takeovers.

Without a watch this costs nothing. With a watch every association keeps its fast lane. A takeover causes no events for
the elements that change their home: one TakeoverFinished announces all of them.
"""

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool.errors import LocalProtocolError
from rserpool.protocol.registrar.ownership import ElementName

QUEUE = 10_000
"""The number of events that a watch keeps for its owner by default."""


class Reason(enum.Enum):
    """Why a pool element was removed."""

    DEREGISTERED = "deregistered"
    EXPIRED = "registration expired"
    SILENT = "no answer to a keep-alive"
    REPORTED = "reported unreachable too often"
    ASSOCIATION_LOST = "association lost"
    UNREACHABLE = "unreachable after a takeover"
    REMOVED_BY_HOME = "removed by its home registrar"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAdded:
    """A pool got its first element."""

    handle: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRemoved:
    """A pool lost its last element."""

    handle: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementAdded:
    """An element registered, here or at a peer registrar."""

    handle: bytes
    identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementUpdated:
    """An element re-registered, acknowledged its new home, or changed its home."""

    handle: bytes
    identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementRemoved:
    """An element was removed."""

    handle: bytes
    identifier: int
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerChanged:
    """A peer registrar was added, or changed its state."""

    identifier: int
    state: str
    """The state of peers.State, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRemoved:
    """A peer registrar was removed from the list of peers."""

    identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeoverStarted:
    """This registrar has begun to take a dead peer over."""

    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeoverFinished:
    """All elements of a dead registrar have changed their home."""

    target: int
    winner: int
    """The server identifier of their new home registrar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsMissed:
    """The queue was full, and its events were dropped. Read the snapshot again."""


Event = (
    PoolAdded
    | PoolRemoved
    | ElementAdded
    | ElementUpdated
    | ElementRemoved
    | PeerChanged
    | PeerRemoved
    | TakeoverStarted
    | TakeoverFinished
    | EventsMissed
)


class Watch:
    """A queue of events for one owner. A full queue is replaced by one EventsMissed."""

    def __init__(self, close: Callable[["Watch"], None], limit: int, ready: Callable[[], None] | None) -> None:
        self._close = close
        self._limit = limit
        self._ready = ready
        self._events: deque[Event] = deque()

    def __len__(self) -> int:
        """The number of events in the queue."""
        return len(self._events)

    def put(self, event: Event) -> None:
        """Append an event."""
        was_empty = not self._events
        if len(self._events) >= self._limit:
            self._events.clear()
            self._events.append(EventsMissed())
        self._events.append(event)
        if was_empty and self._ready is not None:
            self._ready()

    def take(self, limit: int = QUEUE) -> list[Event]:
        """Remove and return the oldest events, at most ``limit``."""
        return [self._events.popleft() for _ in range(min(limit, len(self._events)))]

    def close(self) -> None:
        """Stop watching. Closing twice does nothing."""
        self._close(self)
        self._events.clear()

    def restart(self, close: Callable[["Watch"], None]) -> None:
        """Watch another handlespace from now on. Earlier events no longer describe it, so one EventsMissed replaces
        them."""
        self._close = close
        self._events.clear()
        self.put(EventsMissed())


class Watching:
    """The open watches of one registrar. Call the methods that take changes only while ``active``."""

    def __init__(self, handlespace: Handlespace) -> None:
        self._handlespace = handlespace
        self._watches: list[Watch] = []
        self.active = False
        """True if there is a watch. Check it before building an event."""

    def open(self, *, limit: int = QUEUE, ready: Callable[[], None] | None = None) -> Watch:
        """Begin to watch. The watch keeps ``limit`` events; ``ready`` is called when the first event arrives in the
        empty queue, in the middle of an event of the registrar: it must not call the registrar."""
        if limit < 2:
            raise LocalProtocolError("a watch keeps at least 2 events")
        watch = Watch(self._drop, limit, ready)
        self._add(watch)
        return watch

    def continue_from(self, former: "Watching") -> None:
        """Take over the watches of a former registrar."""
        for watch in tuple(former._watches):
            former._drop(watch)
            self._add(watch)
            watch.restart(self._drop)

    def _add(self, watch: Watch) -> None:
        self._watches.append(watch)
        if not self.active:
            self.active = True
            self._handlespace.added = {}
            self._handlespace.record_renewals = True

    def _drop(self, watch: Watch) -> None:
        if watch in self._watches:
            self._watches.remove(watch)
            if not self._watches:
                self.active = False
                self._handlespace.added = None

    def publish(self, event: Event) -> None:
        """Append an event to every watch."""
        for watch in self._watches:
            watch.put(event)

    def peer_changed(self, identifier: int, state: str) -> None:
        """A peer registrar was added, or changed its state."""
        self.publish(PeerChanged(identifier=identifier, state=state.lower()))

    def stored(self, name: ElementName, *, added: bool) -> None:
        """An element was stored: added, or changed."""
        handle, identifier = name
        if not added:
            self.publish(ElementUpdated(handle=handle, identifier=identifier))
            return
        pool = self._handlespace.pool(handle)
        if pool is not None and pool.size == 1:
            self.publish(PoolAdded(handle=handle))
        self.publish(ElementAdded(handle=handle, identifier=identifier))

    def renewed(self, name: ElementName) -> None:
        """The fast lane has stored an element."""
        first = self._handlespace.added.pop(name, None) if self._handlespace.added is not None else None
        if self._handlespace.find(*name) is None:
            return
        if first is None:
            self.publish(ElementUpdated(handle=name[0], identifier=name[1]))
            return
        if first:
            self.publish(PoolAdded(handle=name[0]))
        self.publish(ElementAdded(handle=name[0], identifier=name[1]))

    def removed(self, name: ElementName, reason: Reason) -> None:
        """An element was removed."""
        handle, identifier = name
        if self._handlespace.added is not None:
            self._handlespace.added.pop(name, None)
        self.publish(ElementRemoved(handle=handle, identifier=identifier, reason=reason))
        if self._handlespace.pool(handle) is None:
            self.publish(PoolRemoved(handle=handle))

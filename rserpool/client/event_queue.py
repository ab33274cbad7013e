"""Events on their way to an application that may be slow."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

T = TypeVar("T")

EVENTS_KEPT = 256
"""Events that wait for the application: beyond, the oldest go, and it is told how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsDropped:
    """So many events came before this that were not fetched in time."""

    count: int


class EventQueue(Generic[T]):
    """An asynchronous iterator over what was put since it was made, until it is closed."""

    def __init__(self, kept: int = EVENTS_KEPT) -> None:
        self._kept = kept
        self._events: deque[T] = deque()
        self._dropped = 0
        self._closed = False
        self._ready = asyncio.Event()

    def put(self, event: T) -> None:
        """Add one; the oldest makes room where there is none."""
        if self._closed:
            return
        if len(self._events) >= self._kept:
            self._events.popleft()
            self._dropped += 1
        self._events.append(event)
        self._ready.set()

    def close(self) -> None:
        """No more come; what is there can still be fetched."""
        self._closed = True
        self._ready.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T | EventsDropped:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return EventsDropped(count=dropped)
        return self._events.popleft()

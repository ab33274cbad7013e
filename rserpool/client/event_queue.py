"""A bounded queue of events for an application that may read slowly."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

T = TypeVar("T")

EVENTS_KEPT = 256
"""The largest number of events kept for an application that does not read them. Then the oldest are dropped and
counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsDropped:
    """``count`` older events were dropped because the application did not read them in time."""

    count: int


class EventQueue(Generic[T]):
    """An asynchronous iterator over the events put into it, with EventsDropped where some were lost, until close()."""

    def __init__(self, kept: int = EVENTS_KEPT) -> None:
        self._kept = kept
        self._events: deque[T] = deque()
        self._dropped = 0
        self._closed = False
        self._ready = asyncio.Event()

    def put(self, event: T) -> None:
        """Add an event; a full queue drops its oldest one."""
        if self._closed:
            return
        if len(self._events) >= self._kept:
            self._events.popleft()
            self._dropped += 1
        self._events.append(event)
        self._ready.set()

    def close(self) -> None:
        """Accept no more events; the waiting ones can still be read."""
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

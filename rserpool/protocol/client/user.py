"""A pool user: pool handles in, pool elements out (RFC 5352 3.3, 3.5, 6.3, 6.4, 6.9.1).

At most one request per pool is on its way: whoever asks for the same meanwhile gets the same answer, or the next one.
"""

import itertools
import typing
from collections import OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass, field

from rserpool._fast.base.bucket import Bucket
from rserpool.errors import Cause, LocalProtocolError
from rserpool.messages import (
    EndpointUnreachable,
    ErrorCause,
    HandleResolution,
    HandleResolutionResponse,
)
from rserpool.messages.resolved import ResolvedElement, resolved
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.client.cache import Cache, Entry
from rserpool.protocol.client.events import Failure, PoolChanged, Resolution
from rserpool.protocol.client.link import Link
from rserpool.protocol.timers import Timer
from rserpool.settings.profile import ALL_ITEMS

if typing.TYPE_CHECKING:
    from rserpool.protocol.client.node import Node

REPORTS_WAITING = 64
"""Reports that wait for a home registrar: older ones are worth nothing by the time there is one."""


@dataclass(slots=True, eq=False)
class Query:
    """One handle resolution, on its way or waiting for a home registrar."""

    user: "User"
    handle: bytes
    items: int
    tickets: dict[int, int] = field(default_factory=dict)
    """Who wants the answer, and how many elements each."""
    subscribing: bool = False
    """Whether it asks to be told of changes too."""
    repeats: int = 0
    began: int = 0
    """When it was first sent to the present home."""
    t1: Timer[None] | None = None
    following: "Query | None" = None
    """What is to be asked after it, because it wants more."""

    def due(self, now: int) -> None:
        """T1 (RFC 5352 3.7.2)."""
        self.t1 = None
        self.user.unanswered(self, now)

    def error(self, causes: tuple[ErrorCause, ...], now: int) -> None:
        """The home sent an ASAP_ERROR, and this request was the first that waited for an answer."""
        self.user.refused(self, causes, now)


@dataclass(slots=True, eq=False)
class Watch:
    """A pool whose changes the application wants to know."""

    user: "User"
    handle: bytes
    interval: int
    """Microseconds between two looks where the registrar does not tell of changes by itself."""
    subscribed: bool = False
    known: object = None
    """What was told last."""
    timer: Timer[None] | None = None

    def due(self, now: int) -> None:
        """Time for another look."""
        self.timer = None
        self.user.look(self, now)


class User:
    """The pool user of a node. The node's actions are to be drained after each call."""

    def __init__(self, node: "Node") -> None:
        settings = node.settings
        self._node = node
        self._cache = Cache(settings.pools_cached, node.randomness, node.rule_failed)
        self._queries: OrderedDict[bytes, Query] = OrderedDict()
        self._waiting: dict[int, Query] = {}
        self._watches: dict[bytes, Watch] = {}
        self._tickets = itertools.count(1)
        self._rate = Bucket(settings.report_rate, max(1.0, settings.report_rate), 0)
        self._reports: deque[EndpointUnreachable] = deque(maxlen=REPORTS_WAITING)
        self._t1 = round(settings.request_timeout * MICROSECONDS)

    # What the application asks for

    def resolve(self, handle: bytes, now: int, items: int = ALL_ITEMS, fresh_within: float | None = None) -> int:
        """A ticket: a Resolution event with that number follows, at once where the cache holds an answer that is not
        older than ``fresh_within`` seconds (stale_cache, unless given)."""
        ticket = next(self._tickets)
        within = self._node.settings.stale_cache if fresh_within is None else fresh_within
        entry = self._cache.fresh(handle, items, now - round(within * MICROSECONDS)) if within > 0 else None
        if entry is not None:
            self._tell(ticket, handle, entry.elements[:items], entry)
        elif len(self._waiting) >= self._node.settings.requests:
            self._fail(ticket, handle, Failure.OVERLOAD)
        else:
            query = self._waiting[ticket] = self._query(handle, items, now)
            query.tickets[ticket] = items
        return ticket

    def cancel(self, ticket: int) -> None:
        """The answer is not wanted any more: no event comes."""
        query = self._waiting.pop(ticket, None)
        if query is not None:
            del query.tickets[ticket]
            if not query.tickets and query.following is None and query.handle not in self._watches:
                self._settle(query)

    def fresh(self, handle: bytes, now: int) -> bool:
        """Whether the pool may be used from the cache, without asking (C4)."""
        stale = round(self._node.settings.stale_cache * MICROSECONDS)
        return stale > 0 and self._cache.fresh(handle, ALL_ITEMS, now - stale) is not None

    def select(self, handle: bytes, exclude: Collection[int] = ()) -> ResolvedElement | None:
        """One element of a pool for a session, by the pool's policy, out of what was resolved last; it counts as used.
        None where nothing is left but what is excluded."""
        return self._cache.select(handle, exclude)

    def report(self, handle: bytes, identifier: int, now: int) -> bool:
        """An element that was handed out could not be reached: it leaves the cache, and the home registrar is told,
        once for each time that it was handed out (RFC 5352 3.5). Whether it is told."""
        self._cache.drop(handle, identifier)
        if not self._cache.use_over(handle, identifier):
            return False
        if not self._rate.take(now):
            self._node.counters["reports not sent"] += 1
            return False
        self._reports.append(EndpointUnreachable(pool_handle=handle, pe_identifier=identifier))
        if self._node.home is None:
            self._node.hunt(now)
        self._send_reports()
        return True

    def watch(self, handle: bytes, now: int, interval: float) -> None:
        """Tell of the pool as it is, and then of every change, by PoolChanged events. A registrar that does not tell of
        changes by itself (RFC 5352 2.2.5) is asked every ``interval`` seconds: more than 0, or LocalProtocolError."""
        if not interval > 0:
            raise LocalProtocolError("the interval between two looks at a pool is more than 0 seconds")
        known = self._watches.get(handle)
        if known is None:
            known = self._watches[handle] = Watch(self, handle, round(interval * MICROSECONDS))
        known.interval = round(interval * MICROSECONDS)
        known.known = None
        self.look(known, now)

    def unwatch(self, handle: bytes, now: int) -> None:
        """Tell of it no more."""
        gone = self._watches.pop(handle, None)
        if gone is None:
            return
        self._cancel(gone)
        if gone.subscribed:
            self._query(handle, ALL_ITEMS, now)

    def populate(self, handle: bytes, now: int) -> int | None:
        """Resolve a pool into the cache (RFC 5352 6.3): the ticket; None where the settings have no cache."""
        return self.resolve(handle, now, fresh_within=0) if self._node.settings.stale_cache > 0 else None

    def purge(self, handle: bytes) -> None:
        """Drop a pool from the cache (RFC 5352 6.4)."""
        self._cache.purge(handle)

    @property
    def wanting(self) -> bool:
        """Whether it needs a registrar."""
        return bool(self._queries or self._watches or self._reports)

    def stop(self) -> None:
        """Whoever waits is told that nothing comes any more."""
        for watch in self._watches.values():
            self._cancel(watch)
        self._watches.clear()
        for query in tuple(self._queries.values()):
            self._settle(query)
        for ticket, query in tuple(self._waiting.items()):
            self._fail(ticket, query.handle, Failure.STOPPED)

    # The registrar's side of it

    def home_found(self, now: int) -> None:
        """There is a home, or another one: all that waits is asked there, all that is watched is subscribed to."""
        self._send_reports()
        for watch in self._watches.values():
            watch.subscribed = False
            self._cancel(watch)
        for query in tuple(self._queries.values()):
            self._ask(query, now, again=False)
        for watch in tuple(self._watches.values()):
            self._query(watch.handle, ALL_ITEMS, now)

    def home_lost(self) -> None:
        """No home: what was asked is asked again at the next one, subscriptions are to be renewed there."""
        for query in self._queries.values():
            self._stop_t1(query)
        for watch in self._watches.values():
            watch.subscribed = False
            self._cancel(watch)

    def ask_also(self, link: Link) -> None:
        """Another registrar has come up beside a home that does not answer."""
        for query in self._queries.values():
            if query.repeats:
                self._send(query, link)

    def asked(self, handle: bytes, number: int) -> bool:
        """Whether an answer about this pool may come over that association."""
        query = self._queries.get(handle)
        return query is not None and number in self._node.asked(query)

    def answered(self, message: HandleResolutionResponse, now: int) -> None:
        """A HANDLE_RESOLUTION_RESPONSE of the home, asked for or not. An error makes it negative (RFC 5352 2.2.6)."""
        handle = message.pool_handle
        query = self._queries.get(handle)
        watch = self._watches.get(handle)
        if query is None and (watch is None or not watch.subscribed):
            self._node.counters["answers ignored"] += 1
            return
        if message.operation_error:
            self._negative(query, watch, message, now)
            return
        elements = tuple(resolved(handle, element) for element in message.pool_elements)
        entry = Entry(elements, message.policy, now, query.items if query is not None else ALL_ITEMS)
        self._cache.store(handle, entry)
        if query is not None:
            self._settle(query)
            for ticket, items in query.tickets.items():
                if self._waiting.pop(ticket, None) is not None:
                    self._tell(ticket, handle, elements[:items], entry)
            self._follow(query, now)
            if message.accept_subscription and query.subscribing and watch is None:
                self._query(handle, ALL_ITEMS, now)
        if watch is not None:
            watch.subscribed = message.accept_subscription or (watch.subscribed and query is None)
            self._changed(watch, elements, entry, now)

    def _negative(self, query: Query | None, watch: Watch | None, message: HandleResolutionResponse, now: int) -> None:
        """The pool is unknown, or the registrar will not tell."""
        self._cache.purge(message.pool_handle)
        if query is not None:
            self._finish(query, Failure.REFUSED, message.operation_error)
            self._follow(query, now)
        if watch is not None:
            watch.subscribed = False
            if message.operation_error[0].code == Cause.UNKNOWN_POOL_HANDLE:
                self._changed(watch, (), None, now)
            else:
                self._look_later(watch, now)

    def refused(self, query: Query, causes: tuple[ErrorCause, ...], now: int) -> None:
        """An ASAP_ERROR instead of an answer."""
        self._finish(query, Failure.REFUSED, causes)
        self._follow(query, now)
        watch = self._watches.get(query.handle)
        if watch is not None:
            self._look_later(watch, now)

    def unanswered(self, query: Query, now: int) -> None:
        """T1: ask again, and look for another registrar beside; after MAX-REQUEST-RETRANSMIT repeats, give up."""
        home = self._node.home
        if query.repeats >= self._node.settings.max_request_retransmits:
            self._finish(query, Failure.UNANSWERED)
            self._follow(query, now)
            watch = self._watches.get(query.handle)
            if watch is not None:
                self._look_later(watch, now)
            if home is not None and home.heard <= query.began:
                self._node.mistrust(home, "did not answer", now)
            return
        query.repeats += 1
        if home is not None:
            self._ask(query, now)
            for link in self._node.rivals():
                self._send(query, link)
        self._node.hunt(now)

    # Watches

    def look(self, watch: Watch, now: int) -> None:
        """Ask for a watched pool, and to be told of its changes."""
        self._cancel(watch)
        self._query(watch.handle, ALL_ITEMS, now)

    def _look_later(self, watch: Watch, now: int) -> None:
        self._cancel(watch)
        watch.timer = Timer(self._node.wheel, now + watch.interval, watch.due)

    def _changed(self, watch: Watch, elements: tuple[ResolvedElement, ...], entry: Entry | None, now: int) -> None:
        if watch.subscribed:
            self._cancel(watch)
        else:
            self._look_later(watch, now)
        policy = entry.policy if entry is not None else None
        known = (frozenset(elements), policy, len(elements))
        if known != watch.known:
            watch.known = known
            self._cache.used(watch.handle, elements)
            self._node.happened(PoolChanged(pool_handle=watch.handle, elements=elements, policy=policy))

    def _cancel(self, watch: Watch) -> None:
        if watch.timer is not None:
            watch.timer.cancel()
            watch.timer = None

    # Queries

    def _query(self, handle: bytes, items: int, now: int) -> Query:
        """The request that answers this too: the one that is on its way, if it asks for as much, or a new one."""
        watched = handle in self._watches
        query = self._queries.get(handle)
        if query is None:
            query = self._queries[handle] = Query(self, handle, items)
            self._ask(query, now)
        elif query.items < items or (watched and self._node.asked(query) and not query.subscribing):
            if query.following is None:
                query.following = Query(self, handle, items)
            query = query.following
            query.items = max(query.items, items)
        return query

    def _follow(self, query: Query, now: int) -> None:
        if query.following is not None:
            self._queries[query.handle] = query.following
            self._ask(query.following, now)

    def _ask(self, query: Query, now: int, *, again: bool = True) -> None:
        """Ask the home; not ``again`` if it was asked while it was a rival."""
        home = self._node.home
        self._stop_t1(query)
        if home is None:
            self._node.hunt(now)
            return
        query.t1 = Timer(self._node.wheel, now + self._t1, query.due)
        if home.number not in self._node.asked(query):
            query.began = now
        elif not again:
            return
        self._send(query, home)

    def _send(self, query: Query, link: Link) -> None:
        query.subscribing = query.handle in self._watches
        request = HandleResolution(pool_handle=query.handle, subscribe=query.subscribing, items=query.items)
        self._node.ask(query, link, request)

    def _settle(self, query: Query) -> None:
        """It waits no longer."""
        self._stop_t1(query)
        self._node.settled(query)
        if self._queries.get(query.handle) is query:
            del self._queries[query.handle]

    def _finish(self, query: Query, failure: Failure, causes: tuple[ErrorCause, ...] = ()) -> None:
        self._settle(query)
        for ticket in query.tickets:
            self._fail(ticket, query.handle, failure, causes)

    def _stop_t1(self, query: Query) -> None:
        if query.t1 is not None:
            query.t1.cancel()
            query.t1 = None

    def _tell(self, ticket: int, handle: bytes, elements: tuple[ResolvedElement, ...], entry: Entry) -> None:
        self._cache.used(handle, elements)
        self._node.happened(Resolution(ticket=ticket, pool_handle=handle, elements=elements, policy=entry.policy))

    def _fail(self, ticket: int, handle: bytes, failure: Failure, causes: tuple[ErrorCause, ...] = ()) -> None:
        self._waiting.pop(ticket, None)
        self._node.happened(Resolution(ticket=ticket, pool_handle=handle, failure=failure, causes=causes))

    def _send_reports(self) -> None:
        while self._reports and self._node.home is not None:
            self._node.tell(self._reports.popleft())

"""A pool user: resolves pool handles, watches pools, reports unreachable elements (RFC 5352 3.3, 3.5, 6.3, 6.4, 6.9.1).

At most one request per pool is on its way. Further resolutions of the pool share the answer of this request or, if they
want more elements, the answer of the next request.
"""

import itertools
from collections import OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

from rserpool._fast.base.bucket import Bucket
from rserpool.errors import Cause, LocalProtocolError
from rserpool.messages import EndpointUnreachable, ErrorCause, HandleResolution, HandleResolutionResponse
from rserpool.messages.resolved import ResolvedElement, resolved
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.client.cache import Cache, CachedPool
from rserpool.protocol.client.context import NodeContext
from rserpool.protocol.client.events import Failure, PoolChanged, Resolution
from rserpool.protocol.client.homes import Homes
from rserpool.protocol.client.link import Link
from rserpool.protocol.policy_failures import COUNTER as POLICY_FAILURES
from rserpool.protocol.policy_failures import failure_note
from rserpool.protocol.timers import Timer
from rserpool.settings.profile import ALL_ITEMS

REPORTS_WAITING = 64
"""The largest number of reports of unreachable elements that wait for a home registrar. The oldest ones are dropped
first."""


@dataclass(slots=True, eq=False)
class Query:
    """One handle resolution that is on its way or waits for a home registrar."""

    handle: bytes
    items: int
    tickets: dict[int, int] = field(default_factory=dict)
    """The resolutions that share the answer, with the number of elements that each wants."""
    subscribing: bool = False
    """True if the request subscribes to the pool."""
    repeats: int = 0
    began: int = 0
    """Time at which it was first sent to the present home."""
    t1: Timer[None] | None = None
    following: "Query | None" = None
    """The request to send after this one, which wants more."""


@dataclass(slots=True, eq=False)
class Watch:
    """A pool whose changes the application wants."""

    handle: bytes
    interval: int
    """Microseconds between two queries if the registrar does not accept the subscription."""
    subscribed: bool = False
    published: object = None
    """The content of the latest PoolChanged."""
    timer: Timer[None] | None = None


class User:
    """The pool user of a node, and a Dependent of Homes. Drain the node's actions after each call."""

    def __init__(self, context: NodeContext, homes: Homes) -> None:
        settings = context.settings
        self._context = context
        self._homes = homes
        self._cache = Cache(settings.pools_cached, context.randomness, self._policy_failed)
        self._queries: OrderedDict[bytes, Query] = OrderedDict()
        self._waiting: dict[int, Query] = {}
        self._watches: dict[bytes, Watch] = {}
        self._tickets = itertools.count(1)
        self._rate = Bucket(settings.report_rate, max(1.0, settings.report_rate), 0)
        self._reports: deque[EndpointUnreachable] = deque(maxlen=REPORTS_WAITING)
        self._t1 = round(settings.request_timeout * MICROSECONDS)

    # Requests of the application

    def resolve(self, handle: bytes, now: int, items: int = ALL_ITEMS, fresh_within: float | None = None) -> int:
        """Start a handle resolution and return its ticket, which the Resolution event carries. The event comes at once
        if the cache has an answer that is at most ``fresh_within`` seconds old (default: stale_cache)."""
        ticket = next(self._tickets)
        within = self._context.settings.stale_cache if fresh_within is None else fresh_within
        pool = self._cache.fresh(handle, items, now - round(within * MICROSECONDS)) if within > 0 else None
        if pool is not None:
            self._succeed(ticket, handle, pool.elements[:items], pool)
        elif len(self._waiting) >= self._context.settings.requests:
            self._fail(ticket, handle, Failure.OVERLOAD)
        else:
            query = self._waiting[ticket] = self._query(handle, items, now)
            query.tickets[ticket] = items
        return ticket

    def cancel(self, ticket: int) -> None:
        """Cancel a resolution: no event comes."""
        query = self._waiting.pop(ticket, None)
        if query is not None:
            del query.tickets[ticket]
            if not query.tickets and query.following is None and query.handle not in self._watches:
                self._close(query)

    def fresh(self, handle: bytes, now: int) -> bool:
        """True if the cache has the pool, not older than stale_cache (C4)."""
        stale = round(self._context.settings.stale_cache * MICROSECONDS)
        return stale > 0 and self._cache.fresh(handle, ALL_ITEMS, now - stale) is not None

    def select(self, handle: bytes, exclude: Collection[int] = ()) -> ResolvedElement | None:
        """Select one element of a resolved pool by the pool's policy. It counts as used. None if every element is
        excluded, or the cache does not have the pool."""
        return self._cache.select(handle, exclude)

    def report(self, handle: bytes, identifier: int, now: int) -> bool:
        """Report an unreachable element to the home registrar, once for each time that the element was handed out (RFC
        5352 3.5), and drop it from the cache. True if the report is sent, or waits for a home."""
        self._cache.drop(handle, identifier)
        if not self._cache.end_use(handle, identifier):
            return False
        if not self._rate.take(now):
            self._context.counters["reports not sent"] += 1
            return False
        self._reports.append(EndpointUnreachable(pool_handle=handle, pe_identifier=identifier))
        if self._context.home is None:
            self._homes.hunt(now)
        self._send_reports()
        return True

    def watch(self, handle: bytes, now: int, interval: float) -> None:
        """Publish the pool as it is, and then every change, as PoolChanged. A registrar that does not accept the
        subscription (RFC 5352 2.2.5) is queried every ``interval`` seconds. LocalProtocolError unless ``interval`` is
        more than 0."""
        if not interval > 0:
            raise LocalProtocolError(f"the interval between two queries must be more than 0 seconds, not {interval:g}")
        watch = self._watches.get(handle)
        if watch is None:
            watch = self._watches[handle] = Watch(handle, round(interval * MICROSECONDS))
        watch.interval = round(interval * MICROSECONDS)
        watch.published = None
        self._query_watched(watch, now)

    def unwatch(self, handle: bytes, now: int) -> None:
        """Stop watching a pool."""
        watch = self._watches.pop(handle, None)
        if watch is None:
            return
        self._cancel(watch)
        if watch.subscribed:
            self._query(handle, ALL_ITEMS, now)  # ends the subscription

    def purge(self, handle: bytes) -> None:
        """Drop a pool from the cache (RFC 5352 6.4)."""
        self._cache.purge(handle)

    def stop(self) -> None:
        """Fail every resolution, and stop watching."""
        for watch in self._watches.values():
            self._cancel(watch)
        self._watches.clear()
        for query in tuple(self._queries.values()):
            self._close(query)
        for ticket, query in tuple(self._waiting.items()):
            self._fail(ticket, query.handle, Failure.STOPPED)

    # The home registrar (Dependent)

    @property
    def wanting(self) -> bool:
        """True if it needs a registrar. A user without requests does not."""
        return bool(self._queries or self._watches or self._reports)

    def home_found(self, now: int, *, replaced: bool, adopted: Collection[object]) -> None:
        """A registrar became home: send the waiting reports and queries there, and subscribe to the watched pools."""
        self._send_reports()
        for watch in self._watches.values():
            watch.subscribed = False
            self._cancel(watch)
        for query in tuple(self._queries.values()):
            self._ask(query, now, again=False)
        for watch in tuple(self._watches.values()):
            self._query(watch.handle, ALL_ITEMS, now)

    def home_lost(self, now: int) -> None:
        """There is no home any more: queries and subscriptions wait for the next one."""
        for query in self._queries.values():
            self._stop_t1(query)
        for watch in self._watches.values():
            watch.subscribed = False
            self._cancel(watch)

    def second_candidate(self, link: Link) -> None:
        """An association to another registrar came up while the home does not answer: repeat the unanswered queries
        there."""
        for query in self._queries.values():
            if query.repeats:
                self._send(query, link)

    # Answers

    def has_asked(self, handle: bytes, association: int) -> bool:
        """True if the pool was asked for over that association, and there is no answer yet."""
        query = self._queries.get(handle)
        return query is not None and association in self._context.requests.associations(query)

    def answered(self, message: HandleResolutionResponse, now: int) -> None:
        """Handle the home's ASAP_HANDLE_RESOLUTION_RESPONSE, solicited or pushed. With an error cause it is negative
        (RFC 5352 2.2.6)."""
        handle = message.pool_handle
        query = self._queries.get(handle)
        watch = self._watches.get(handle)
        if query is None and (watch is None or not watch.subscribed):
            self._context.counters["answers ignored"] += 1
            return
        if message.operation_error:
            self._negative(query, watch, message, now)
            return
        elements = tuple(resolved(handle, element) for element in message.pool_elements)
        pool = CachedPool(elements, message.policy, now, query.items if query is not None else ALL_ITEMS)
        self._cache.store(handle, pool)
        if query is not None:
            self._close(query)
            for ticket, items in query.tickets.items():
                if self._waiting.pop(ticket, None) is not None:
                    self._succeed(ticket, handle, elements[:items], pool)
            self._follow(query, now)
            if message.accept_subscription and query.subscribing and watch is None:
                self._query(handle, ALL_ITEMS, now)  # ends the subscription, which is not wanted any more
        if watch is not None:
            watch.subscribed = message.accept_subscription or (watch.subscribed and query is None)
            self._publish_watched(watch, elements, pool, now)

    def _negative(self, query: Query | None, watch: Watch | None, message: HandleResolutionResponse, now: int) -> None:
        """The pool is unknown, or the registrar refuses to resolve it."""
        self._cache.purge(message.pool_handle)
        if query is not None:
            self._fail_all(query, Failure.REFUSED, message.operation_error)
            self._follow(query, now)
        if watch is not None:
            watch.subscribed = False
            if message.operation_error[0].code == Cause.UNKNOWN_POOL_HANDLE:
                self._publish_watched(watch, (), None, now)
            else:
                self._query_later(watch, now)

    def _refused(self, query: Query, causes: tuple[ErrorCause, ...], now: int) -> None:
        """The home answered the query with ASAP_ERROR."""
        self._fail_all(query, Failure.REFUSED, causes)
        self._go_on_after(query, now)

    def _unanswered(self, query: Query, now: int) -> None:
        """T1 (RFC 5352 3.7.2): repeat the query, and hunt for a second candidate. Give up after MAX-REQUEST-RETRANSMIT
        repeats, and abandon a home that has sent nothing since."""
        query.t1 = None
        home = self._context.home
        if query.repeats >= self._context.settings.max_request_retransmits:
            self._fail_all(query, Failure.UNANSWERED)
            self._go_on_after(query, now)
            if home is not None and home.heard <= query.began:
                self._homes.abandon_registrar(home, "did not answer", now)
            return
        query.repeats += 1
        if home is not None:
            self._ask(query, now)
            for link in self._homes.second_candidates():
                self._send(query, link)
        self._homes.hunt(now)

    def _go_on_after(self, failed: Query, now: int) -> None:
        """Send the query that follows a failed one. A watch of the pool queries again later."""
        self._follow(failed, now)
        watch = self._watches.get(failed.handle)
        if watch is not None:
            self._query_later(watch, now)

    # Watches

    def _query_watched(self, watch: Watch, now: int) -> None:
        self._cancel(watch)
        self._query(watch.handle, ALL_ITEMS, now)

    def _query_later(self, watch: Watch, now: int) -> None:
        self._cancel(watch)
        watch.timer = Timer(self._context.wheel, now + watch.interval, partial(self._query_watched, watch))

    def _publish_watched(
        self, watch: Watch, elements: tuple[ResolvedElement, ...], pool: CachedPool | None, now: int
    ) -> None:
        """Publish the pool if it has changed. Without a subscription, query again later."""
        if watch.subscribed:
            self._cancel(watch)
        else:
            self._query_later(watch, now)
        policy = pool.policy if pool is not None else None
        content = (frozenset(elements), policy, len(elements))
        if content != watch.published:
            watch.published = content
            self._cache.used(watch.handle, elements)
            self._context.publish(PoolChanged(pool_handle=watch.handle, elements=elements, policy=policy))

    def _cancel(self, watch: Watch) -> None:
        if watch.timer is not None:
            watch.timer.cancel()
            watch.timer = None

    # Queries

    def _query(self, handle: bytes, items: int, now: int) -> Query:
        """The query whose answer is sufficient: the one on its way if it asks for enough elements, else a new one,
        which is sent now or after the one on its way."""
        watched = handle in self._watches
        query = self._queries.get(handle)
        if query is None:
            query = self._queries[handle] = Query(handle, items)
            self._ask(query, now)
        elif query.items < items or (watched and self._context.requests.associations(query) and not query.subscribing):
            if query.following is None:
                query.following = Query(handle, items)
            query = query.following
            query.items = max(query.items, items)
        return query

    def _follow(self, query: Query, now: int) -> None:
        if query.following is not None:
            self._queries[query.handle] = query.following
            self._ask(query.following, now)

    def _ask(self, query: Query, now: int, *, again: bool = True) -> None:
        """Send the query to the home and start T1, or look for a home. Without ``again``, a home that was already
        asked as a second candidate is not asked a second time."""
        home = self._context.home
        self._stop_t1(query)
        if home is None:
            self._homes.hunt(now)
            return
        query.t1 = Timer(self._context.wheel, now + self._t1, partial(self._unanswered, query))
        if home.number not in self._context.requests.associations(query):
            query.began = now
        elif not again:
            return
        self._send(query, home)

    def _send(self, query: Query, link: Link) -> None:
        query.subscribing = query.handle in self._watches
        request = HandleResolution(pool_handle=query.handle, subscribe=query.subscribing, items=query.items)
        self._context.requests.add(query, link.number, partial(self._refused, query))
        self._context.send(link, request)

    def _close(self, query: Query) -> None:
        """Stop waiting for the answer."""
        self._stop_t1(query)
        self._context.requests.close(query)
        if self._queries.get(query.handle) is query:
            del self._queries[query.handle]

    def _fail_all(self, query: Query, failure: Failure, causes: tuple[ErrorCause, ...] = ()) -> None:
        self._close(query)
        for ticket in query.tickets:
            self._fail(ticket, query.handle, failure, causes)

    def _stop_t1(self, query: Query) -> None:
        if query.t1 is not None:
            query.t1.cancel()
            query.t1 = None

    def _succeed(self, ticket: int, handle: bytes, elements: tuple[ResolvedElement, ...], pool: CachedPool) -> None:
        self._cache.used(handle, elements)
        event = Resolution(ticket=ticket, pool_handle=handle, elements=elements, policy=pool.policy)
        self._context.publish(event)

    def _fail(self, ticket: int, handle: bytes, failure: Failure, causes: tuple[ErrorCause, ...] = ()) -> None:
        self._waiting.pop(ticket, None)
        self._context.publish(Resolution(ticket=ticket, pool_handle=handle, failure=failure, causes=causes))

    def _send_reports(self) -> None:
        while self._reports and self._context.home is not None:
            self._homes.send(self._reports.popleft())

    def _policy_failed(self, handle: bytes, policy_type: int, reason: str) -> None:
        self._context.counters[POLICY_FAILURES] += 1
        self._context.emit(failure_note(handle, policy_type, reason))

"""The pool user: pool handles in, pool elements chosen by the pool's policy out (RFC 5352 3.3)."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from types import TracebackType
from typing import Self, Unpack

from rserpool.client.errors import NoElement, NoRegistrar, Overload, refusal
from rserpool.client.node import Node, UserNodeOptions
from rserpool.errors import LocalProtocolError
from rserpool.messages.resolved import ResolvedElement
from rserpool.protocol.client.events import Failure, PoolChanged, Resolution
from rserpool.settings.profile import ALL_ITEMS

POLL_INTERVAL = 5.0
"""Seconds between two looks at a watched pool where the registrar does not tell of changes by itself."""
Identified = ResolvedElement | int


def octets(handle: str | bytes) -> bytes:
    """A pool handle is octets; text stands for its UTF-8."""
    return handle.encode() if isinstance(handle, str) else handle


class PoolUser:
    """A pool user with a home registrar: an asynchronous context manager. On a ``node`` of its own, made from the other
    arguments (see Node), or on one that is shared."""

    def __init__(self, *, node: Node | None = None, **options: Unpack[UserNodeOptions]) -> None:
        self._own = node is None
        self.node = node or Node(listen=False, **options)

    async def __aenter__(self) -> Self:
        if self._own:
            await self.node.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own:
            await self.node.close()

    async def resolve(
        self,
        handle: str | bytes,
        *,
        items: int = ALL_ITEMS,
        timeout: float | None = None,
        fresh_within: float | None = None,
    ) -> tuple[ResolvedElement, ...]:
        """Up to ``items`` elements of a pool, best first, from the cache where it has them not older than
        ``fresh_within`` seconds (ClientSettings.stale_cache, unless given). Raises UnknownPool, Refused or Overload;
        NoRegistrar after ``timeout`` seconds, or when all repetitions of the request have gone unanswered."""
        answer = await self._resolution(octets(handle), items, timeout, fresh_within)
        return answer.elements

    async def _resolution(
        self, handle: bytes, items: int, timeout: float | None, fresh_within: float | None = None
    ) -> Resolution:
        settings = self.node.settings
        patience = settings.request_timeout * (1 + settings.max_request_retransmits) if timeout is None else timeout
        try:
            async with asyncio.timeout(patience):
                answer = await self.node.resolution(handle, items, fresh_within)
        except TimeoutError:
            raise NoRegistrar(f"no registrar answered within {patience:g} s") from None
        match answer.failure:
            case Failure.REFUSED:
                raise refusal(f"pool {handle!r}", answer.causes)
            case Failure.UNANSWERED:
                raise NoRegistrar(f"no registrar answered, asked {1 + settings.max_request_retransmits} times")
            case Failure.OVERLOAD:
                raise Overload(f"{settings.requests} handle resolutions wait for a registrar")
            case Failure.STOPPED:
                raise NoRegistrar("the node was closed")
        return answer

    async def select(
        self, handle: str | bytes, *, exclude: Collection[Identified] = (), timeout: float | None = None
    ) -> ResolvedElement:
        """One element for a session, by the pool's policy, and none of those excluded; it counts as used. Asks a
        registrar where the cache is stale. Raises NoElement, and as resolve does."""
        wanted = octets(handle)
        excluded = {one if isinstance(one, int) else one.identifier for one in exclude}
        user = self.node.protocol.user
        cached = user.fresh(wanted, self.node.now())
        chosen = user.select(wanted, excluded) if cached else None
        if chosen is None:
            await self._resolution(wanted, ALL_ITEMS, timeout, 0.0)
            chosen = self.node.protocol.user.select(wanted, excluded)
        if chosen is None:
            raise NoElement(f"pool {wanted!r} has no other element")
        return chosen

    async def report_unreachable(self, what: ResolvedElement | str | bytes, identifier: int | None = None) -> bool:
        """An element that was resolved or selected could not be reached: it is dropped from the cache, and the
        registrar is told, at most once for each time that it was handed out (RFC 5352 3.5), and not more often than
        ClientSettings.report_rate. ``what`` is the element, or its pool handle with ``identifier``. Whether the
        registrar is told."""
        if isinstance(what, ResolvedElement):
            handle, identifier = what.pool_handle, what.identifier
        elif identifier is None:
            raise LocalProtocolError("which element of the pool is it?")
        else:
            handle = octets(what)
        told = self.node.protocol.user.report(handle, identifier, self.node.now())
        self.node.settle()
        return told

    async def watch(
        self, handle: str | bytes, *, poll_interval: float = POLL_INTERVAL
    ) -> AsyncGenerator[tuple[ResolvedElement, ...], None]:
        """The elements of a pool now, and again after every change; none while there is no such pool. What changes
        faster than it is fetched is left out. Ends when the user is closed."""
        wanted = octets(handle)
        latest: list[PoolChanged | None] = []
        ready = asyncio.Event()

        def heard(event: PoolChanged | None) -> None:
            latest[:] = [event]
            ready.set()

        self.node.watch_pool(wanted, poll_interval, heard)
        try:
            while True:
                await ready.wait()
                ready.clear()
                (event,) = latest
                if event is None:
                    return
                yield event.elements
        finally:
            self.node.unwatch_pool(wanted, heard)

    async def cache_populate(self, handle: str | bytes, *, timeout: float | None = None) -> None:
        """Resolve a pool into the cache (RFC 5352 6.3); nothing where stale_cache is 0. Raises as resolve does."""
        if self.node.settings.stale_cache:
            await self._resolution(octets(handle), ALL_ITEMS, timeout, 0.0)

    def cache_purge(self, handle: str | bytes) -> None:
        """Drop a pool from the cache (RFC 5352 6.4)."""
        self.node.protocol.user.purge(octets(handle))


async def resolve(
    handle: str | bytes,
    *,
    items: int = ALL_ITEMS,
    timeout: float | None = None,
    **options: Unpack[UserNodeOptions],
) -> tuple[ResolvedElement, ...]:
    """Resolve one pool handle once, with a pool user made from ``options`` (see Node). Raises as PoolUser.resolve
    does."""
    async with PoolUser(**options) as user:
        return await user.resolve(handle, items=items, timeout=timeout)


async def getaddrinfo(
    handle: str | bytes,
    *,
    family: int = 0,
    type: int = 0,  # noqa: A002
    proto: int = 0,
    timeout: float | None = None,
    **options: Unpack[UserNodeOptions],
) -> list[ResolvedElement]:
    """Resolve one pool handle once, for programs that loop over the result of ``socket.getaddrinfo``: each element
    unpacks as an entry of it. Elements come best first, and only those with the address family, socket type and
    protocol number given; 0 stands for any. ``options`` are Node's. Raises as PoolUser.resolve does."""
    found = await resolve(handle, timeout=timeout, **options)
    wanted = (family, type, proto)
    return [one for one in found if all(want in (0, has) for want, has in zip(wanted, one, strict=False))]

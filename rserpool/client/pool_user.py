"""The pool user: resolves pool handles, selects elements by the pool's policy, reports failures (RFC 5352 3.3, 3.5)."""

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
"""Seconds between two requests for a watched pool, if the registrar does not push updates."""

Identified = ResolvedElement | int


def octets(handle: str | bytes) -> bytes:
    """The octets of a pool handle; text is encoded as UTF-8."""
    return handle.encode() if isinstance(handle, str) else handle


class PoolUser:
    """A pool user with a home registrar: an asynchronous context manager. It uses the given ``node``, shared with
    others, or one of its own made from ``options`` (see Node)."""

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
        """Resolve a pool handle to up to ``items`` elements, best first. An answer in the cache is used if it is not
        older than ``fresh_within`` seconds (by default ClientSettings.stale_cache).

        Raises UnknownPool, Refused or Overload; NoRegistrar after ``timeout`` seconds (by default the time of all
        retransmissions) or if all retransmissions have gone unanswered.
        """
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
                raise NoRegistrar(f"no registrar answered {1 + settings.max_request_retransmits} requests")
            case Failure.OVERLOAD:
                raise Overload(f"{settings.requests} handle resolutions are waiting for a registrar already")
            case Failure.STOPPED:
                raise NoRegistrar("the node has been closed")
        return answer

    async def select(
        self, handle: str | bytes, *, exclude: Collection[Identified] = (), timeout: float | None = None
    ) -> ResolvedElement:
        """Select one element by the pool's policy, none of those in ``exclude`` (elements or identifiers); it counts as
        used. Resolves the pool first if the cache is stale. Raises NoElement, and the errors of resolve()."""
        wanted = octets(handle)
        excluded = {one if isinstance(one, int) else one.identifier for one in exclude}
        user = self.node.protocol.user
        cached = user.fresh(wanted, self.node.now())
        chosen = user.select(wanted, excluded) if cached else None
        if chosen is None:
            await self._resolution(wanted, ALL_ITEMS, timeout, 0.0)
            chosen = self.node.protocol.user.select(wanted, excluded)
        if chosen is None:
            raise NoElement(
                f"pool {wanted!r} has no element that is not excluded"
                if excluded
                else f"pool {wanted!r} has no element"
            )
        return chosen

    async def report_unreachable(self, what: ResolvedElement | str | bytes, identifier: int | None = None) -> bool:
        """Report an element that could not be reached. It is dropped from the cache, and a report is sent to the
        registrar: one for each time that the element was resolved or selected (RFC 5352 3.5), and not more than
        ClientSettings.report_rate allows. ``what`` is the element, or its pool handle together with ``identifier``.

        Returns True if the report is sent. Raises LocalProtocolError for a pool handle without identifier.
        """
        if isinstance(what, ResolvedElement):
            handle, identifier = what.pool_handle, what.identifier
        elif identifier is None:
            raise LocalProtocolError("a pool handle needs the identifier of the element too")
        else:
            handle = octets(what)
        sent = self.node.protocol.user.report(handle, identifier, self.node.now())
        self.node.carry_out_pending()
        return sent

    async def watch(
        self, handle: str | bytes, *, poll_interval: float = POLL_INTERVAL
    ) -> AsyncGenerator[tuple[ResolvedElement, ...], None]:
        """Iterate over the elements of a pool: now, and again after every change; an empty tuple while the pool does
        not exist. A slow reader gets only the latest state. Ends when the pool user is closed.

        ``poll_interval`` is the time between two requests in seconds, if the registrar does not push updates.
        """
        wanted = octets(handle)
        latest: list[PoolChanged | None] = []
        ready = asyncio.Event()

        def changed(event: PoolChanged | None) -> None:
            latest[:] = [event]
            ready.set()

        self.node.watch_pool(wanted, poll_interval, changed)
        try:
            while True:
                await ready.wait()
                ready.clear()
                (event,) = latest
                if event is None:
                    return
                yield event.elements
        finally:
            self.node.unwatch_pool(wanted, changed)

    async def cache_populate(self, handle: str | bytes, *, timeout: float | None = None) -> None:
        """Resolve a pool and keep the answer in the cache (RFC 5352 6.3). Does nothing if ClientSettings.stale_cache
        is 0. Raises the errors of resolve()."""
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
    """Resolve one pool handle once, with a pool user made from ``options`` (see Node). Raises the errors of
    PoolUser.resolve."""
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
    protocol number given; 0 stands for any. ``options`` are those of
    Node. Raises the errors of PoolUser.resolve."""
    found = await resolve(handle, timeout=timeout, **options)
    wanted = (family, type, proto)
    return [one for one in found if all(want in (0, has) for want, has in zip(wanted, one, strict=False))]

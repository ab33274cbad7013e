"""Services and sessions on one memory network, in virtual time, with a pool user that knows the pool."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from rserpool.client.errors import NoElement
from rserpool.client.session.service import Service, ServiceSession
from rserpool.client.session.session import Session, open_session
from rserpool.messages import BusinessCard, Policy, PolicyType, PoolElement
from rserpool.messages.resolved import ResolvedElement, resolved
from rserpool.settings.session import ServiceSettings
from rserpool.transport.memory import MemoryNetwork, MemoryTransport
from tests.support.virtual_time import virtual_test

POOL = b"EchoPool"
USER = "10.44.0.3"

Handler = Callable[[ServiceSession], Awaitable[None]]


class KnownPool:
    """A pool user with a pool that the test gives it; it selects in turn."""

    def __init__(self) -> None:
        self.elements: dict[int, ResolvedElement] = {}
        self.reports: list[int] = []
        self.resolved: list[bytes] = []
        self.selections = 0

    async def select(self, handle: str | bytes, *, exclude: frozenset[int] = frozenset()) -> ResolvedElement:
        await asyncio.sleep(0.001)
        assert handle == POOL
        free = [one for one in self.elements.values() if one.identifier not in exclude]
        if not free:
            raise NoElement("nobody")
        chosen = free[0]
        self.selections += 1
        self.elements[chosen.identifier] = self.elements.pop(chosen.identifier)
        return chosen

    async def resolve(self, handle: str | bytes, *, fresh_within: float | None = None) -> tuple[ResolvedElement, ...]:
        assert isinstance(handle, bytes)
        if handle == POOL:
            return tuple(self.elements.values())
        self.resolved.append(handle)
        return tuple(self.elements.values())

    async def report_unreachable(self, element: ResolvedElement) -> None:
        assert element.pool_handle == POOL
        self.reports.append(element.identifier)


class Element:
    """A service on a host of its own and the tasks that serve its sessions."""

    def __init__(self, world: "PoolWorld", identifier: int, handler: Handler) -> None:
        self.identifier = identifier
        self.address = f"10.44.1.{identifier}"
        self.world = world
        self.handler = handler
        self.transport = MemoryTransport(world.network)
        self.sessions: list[ServiceSession] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, card: Callable[[], BusinessCard | None] | None = None, **options: Any) -> None:
        self.service = Service(addresses=[self.address], port=7000, transport=self.transport, **options)
        await self.service.open(POOL, card=card)
        self.service.identifier = self.identifier
        self.accepting = asyncio.create_task(self._accept())
        self.world.user.elements[self.identifier] = resolved(POOL, self.parameter)

    @property
    def parameter(self) -> PoolElement:
        return PoolElement(
            identifier=self.identifier,
            registration_life=300,
            user_transport=self.service.user_transport,
            policy=Policy(policy_type=PolicyType.ROUND_ROBIN),
        )

    async def _accept(self) -> None:
        async for session in self.service.sessions():
            self.sessions.append(session)
            self.tasks.append(asyncio.create_task(self._serve(session)))

    async def _serve(self, session: ServiceSession) -> None:
        await self.handler(session)

    def kill(self) -> None:
        """End at once; the transports notify its users at once."""
        self.freeze()
        for endpoint in self.transport.endpoints:
            self.world.network.vanish(endpoint)

    def crash(self) -> None:
        """Vanish; the users get no notice."""
        self.freeze()
        for endpoint in self.transport.endpoints:
            self.world.network.crash(endpoint)

    def freeze(self) -> None:
        """Stop the process while its transport continues."""
        for task in (*self.tasks, self.accepting):
            task.cancel()

    def leave_pool(self) -> None:
        self.world.user.elements.pop(self.identifier, None)

    async def stop(self) -> None:
        self.leave_pool()
        await self.service.close()
        self.freeze()
        await asyncio.gather(*self.tasks, self.accepting, return_exceptions=True)


class PoolWorld:
    """A memory network with a user at 10.44.0.3 and elements at 10.44.1.<identifier>."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()

        def later(source: object, target: object, event: Callable[[], None]) -> None:
            loop.call_soon(event)

        self.network = MemoryNetwork(later)
        self.user = KnownPool()
        self.elements: list[Element] = []

    async def element(self, identifier: int, handler: Handler, **options: Any) -> Element:
        made = Element(self, identifier, handler)
        await made.start(**options)
        self.elements.append(made)
        return made

    def session(self, **options: Any) -> contextlib.AbstractAsyncContextManager[Session]:
        given = {"user": self.user, "transport": MemoryTransport(self.network), "local": USER, **options}
        return open_session(POOL, **given)

    def serving(self, session: Session) -> Element:
        """The element that serves a session."""
        assert session.element is not None
        identifier = session.element.identifier
        return next(one for one in self.elements if one.identifier == identifier)

    async def stop(self) -> None:
        for one in self.elements:
            await one.stop()


@contextlib.asynccontextmanager
async def pool_world() -> AsyncIterator[PoolWorld]:
    world = PoolWorld()
    try:
        yield world
    finally:
        await world.stop()


in_world = virtual_test(pool_world)
"""Decorator of a test coroutine that takes a PoolWorld."""


async def echo(session: ServiceSession) -> None:
    async for item in session:
        if isinstance(item, bytes):
            await session.send(item, item.ppid)


async def silent(session: ServiceSession) -> None:
    async for _ in session:
        pass


def card_of(*elements: Element) -> BusinessCard:
    return BusinessCard(pool_handle=POOL, pool_elements=tuple(one.parameter for one in elements))


SMALL = ServiceSettings(max_unread=10_000, max_unsent=10_000)

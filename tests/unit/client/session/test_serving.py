"""Pool elements that serve, and users with sessions, against a registrar: all over the memory transport."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rserpool.client import PoolElement
from rserpool.client.errors import SessionFailed
from rserpool.client.session.cookie_sealing import Sealer
from rserpool.client.session.items import Data, Resumed
from rserpool.client.session.service import Service, ServiceSession
from rserpool.client.session.serving import serve
from rserpool.client.session.session import Session, open_session
from rserpool.errors import LocalProtocolError
from rserpool.messages import OpaqueTransport
from rserpool.transport.memory import MemoryTransport
from tests.support.client_world import REGISTRAR, ClientWorld
from tests.support.pools import echo
from tests.support.virtual_time import virtual_test
from tests.support.waiting import eventually

POOL = "EchoPool"


class ServingWorld(ClientWorld):
    """One registrar, elements at 10.44.1.<n>, users at 10.44.0.3."""

    async def start(self) -> None:
        self.server = await self.registrar()

    def options(self, number: int) -> dict[str, Any]:
        where = {"transport": MemoryTransport(self.network), "local": f"10.44.1.{number}"}
        return {"registrars": [REGISTRAR], "identifier": number, **where}

    @contextlib.asynccontextmanager
    async def session(self, **options: Any) -> AsyncIterator[Session]:
        async with self.user() as user:
            where = {"transport": MemoryTransport(self.network), "local": "10.44.0.3"}
            async with open_session(POOL, user=user, **where, **options) as session:
                yield session

    @property
    def size(self) -> int:
        return len(self.server.registrar.handlespace)


@contextlib.asynccontextmanager
async def serving_world() -> AsyncIterator[ServingWorld]:
    world = ServingWorld()
    await world.start()
    yield world
    await world.server.stop()


in_world = virtual_test(serving_world)


@contextlib.asynccontextmanager
async def serving(
    world: ServingWorld, *numbers: int, handler: Any = echo
) -> AsyncIterator[dict[int, asyncio.Task[None]]]:
    """The serving tasks of elements, by element number."""
    tasks = {number: asyncio.create_task(serve(POOL, handler, **world.options(number))) for number in numbers}
    try:
        await eventually(lambda: world.size == len(numbers))
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.conformance("ASAP-6.5.1-01", "ASAP-5-03", "ASAP-3.9-01")
@in_world
async def test_sessions_fail_over_between_serving_elements(world: ServingWorld) -> None:
    async with serving(world, 1, 2) as tasks, world.session(failover="event") as session:
        for _ in range(2):
            await session.send(b"hello", 7)
            item = await session.receive()
            assert isinstance(item, Data)
            assert (item, item.ppid) == (b"hello", 7)
            await eventually(lambda: session.counters.get("cards"))
            if session.failovers:
                break
            assert session.element is not None
            tasks[session.element.identifier].cancel()
            await eventually(lambda: session.failovers)
            await session.receive()
        assert world.size == 1
    assert world.size == 0


@in_world
async def test_an_exception_of_a_handler_aborts_only_its_session(world: ServingWorld) -> None:
    async def fragile(session: ServiceSession) -> None:
        async for item in session:
            if item == b"bomb":
                raise RuntimeError("boom")
            assert isinstance(item, Data)
            await session.send(item)

    records: list[logging.LogRecord] = []
    log = logging.getLogger("rserpool.session")
    listener = logging.Handler()
    listener.emit = records.append  # type: ignore[method-assign]
    log.addHandler(listener)
    log.propagate = False
    try:
        async with serving(world, 1, handler=fragile), world.session() as one:
            async with world.session(failover="error") as two:
                await two.send(b"bomb")
                with pytest.raises(SessionFailed):
                    await two.receive()
            await one.send(b"still")
            assert await one.receive() == b"still"
            assert not one.failovers
    finally:
        log.removeHandler(listener)
        log.propagate = True
    (record,) = records
    assert record.exc_info
    assert "boom" in str(record.exc_info[1])


@in_world
async def test_a_handler_that_returns_closes_its_session(world: ServingWorld) -> None:
    async def daytime(session: ServiceSession) -> None:
        await session.send(b"Friday")

    async with serving(world, 1, handler=daytime), world.session() as session:
        assert [item async for item in session] == [b"Friday"]


@in_world
async def test_sealed_cookies_name_their_element(world: ServingWorld) -> None:
    seal = Sealer({1: bytes(range(32))})

    async def count(session: ServiceSession) -> None:
        number = 0
        async for item in session:
            if isinstance(item, Resumed):
                number = int(item.cookie)
            else:
                number += 1
                await session.send(b"%d" % number)
                session.cookie = b"%d" % number

    elements = [PoolElement(POOL, **world.options(number)) for number in (1, 2)]
    for element in elements:
        element.seal = seal
    tasks = {element.identifier: asyncio.create_task(serve(element, count)) for element in elements}
    await eventually(lambda: world.size == 2)
    async with world.session() as session:
        for number in range(1, 10):
            await session.send(b"x")
            assert await session.receive() == b"%d" % number
            await eventually(
                lambda: session.cookie and seal.open(b"EchoPool", session.cookie).state == b"%d" % number  # noqa: B023
            )
            assert session.element is not None
            opened = seal.open(b"EchoPool", session.cookie or b"")
            assert (opened.identifier, opened.sequence) == (session.element.identifier, number)
            if number == 5:
                tasks[session.element.identifier].cancel()
                await eventually(lambda: session.failovers)
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.conformance("ASAP-3.9-01", "ASAP-3.9-05", "ASAP-4-02")
@in_world
async def test_successors_on_cards_allow_a_failover_without_a_registrar(world: ServingWorld) -> None:
    async with contextlib.AsyncExitStack() as stack:
        tasks = {}
        for number in (1, 2, 3):
            element = PoolElement(POOL, successors=True, **world.options(number))
            tasks[number] = asyncio.create_task(serve(element, echo))
            stack.callback(tasks[number].cancel)
        await eventually(lambda: world.size == 3)
        await asyncio.sleep(10)
        async with world.session() as session:
            await eventually(lambda: session.counters.get("cards"))
            await world.server.stop()
            assert session.element is not None
            tasks[session.element.identifier].cancel()
            await eventually(lambda: session.failovers)
            await session.send(b"x")
            assert await session.receive() == b"x"
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.conformance("ASAP-3.9-02", "ASAP-3.9-04", "ASAP-4-04")
@in_world
async def test_an_element_that_is_a_user_too_sends_its_card(world: ServingWorld) -> None:
    sessions: list[ServiceSession] = []

    async def remember(session: ServiceSession) -> None:
        sessions.append(session)
        await echo(session)

    options = world.options(9)
    async with (
        serving(world, 1, handler=remember),
        PoolElement("Mine", **options) as mine,
        open_session(POOL, pool_element=mine, transport=options["transport"], local=options["local"]) as session,
    ):
        await session.send(b"x")
        assert await session.receive() == b"x"
        card = sessions[0].card
        assert card is not None
        assert (card.pool_handle, card.pool_elements[0].identifier) == (b"Mine", 9)
        assert card.pool_elements[0].user_transport == mine.user_transport


@pytest.mark.conformance("REQ-3237-2.7-01")
@in_world
async def test_leaving_one_pool_does_not_end_the_sessions_of_another(world: ServingWorld) -> None:
    options = world.options(1)
    async with PoolElement(POOL, **options) as element:
        accepting = asyncio.create_task(anext(element.sessions()))
        async with world.session() as session, contextlib.AsyncExitStack() as stack:
            other = PoolElement("Other", element.user_transport, node=element.node, identifier=2)
            await stack.enter_async_context(other)
            assert world.size == 2
            served = await accepting
            await stack.aclose()
            assert world.size == 1
            await session.send(b"x")
            assert await served.receive() == b"x"


@pytest.mark.conformance("ASAP-3.2-07")
@in_world
async def test_a_service_can_outlive_its_element(world: ServingWorld) -> None:
    options = world.options(1)
    async with Service(addresses=["10.44.1.1"], transport=options["transport"]) as service:
        element = PoolElement(POOL, service.user_transport, **options)
        await element.__aenter__()
        async with world.session() as session:
            served = await service.accept()
            await element.__aexit__(None, None, None)
            assert not world.size
            for number in range(3):
                await session.send(b"%d" % number)
                assert await served.receive() == b"%d" % number
            assert not session.failovers


@in_world
async def test_an_element_with_a_user_transport_does_not_serve(world: ServingWorld) -> None:
    element = PoolElement(POOL, OpaqueTransport(value=b"x"), **world.options(1))
    with pytest.raises(LocalProtocolError, match="has a user_transport"):
        element.sessions()
    with pytest.raises(LocalProtocolError, match="has a user_transport"):
        element.seal = None
    with pytest.raises(LocalProtocolError, match="before it is entered"):
        _ = PoolElement(POOL, **world.options(1)).user_transport


@in_world
async def test_an_element_takes_a_service_made_by_the_caller(world: ServingWorld) -> None:
    service = Service(port=7777, control=False)
    async with PoolElement(POOL, service=service, **world.options(1)) as element:
        assert element.service is service
        assert element.user_transport.port == 7777  # type: ignore[union-attr]
        async with world.session() as session:
            assert not session.has_control_channel
            assert service.active == 1


@in_world
async def test_an_element_that_cannot_register_leaves_nothing_open(world: ServingWorld) -> None:
    await world.server.stop()
    element = PoolElement(POOL, patience=5.0, **world.options(1))
    with pytest.raises(Exception, match="no registrar"):
        await element.__aenter__()
    assert not world.network._bound
    await world.start()

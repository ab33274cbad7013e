"""Sessions with slow readers and full transports, over the memory transport and in virtual time."""

import asyncio
import contextlib

from rserpool.client.session.channels import Channel
from rserpool.client.session.items import Data
from rserpool.client.session.service import ServiceSession
from rserpool.messages.resolved import ResolvedElement
from rserpool.settings.session import SessionSettings
from tests.support.pools import SMALL, PoolWorld, echo, in_world, silent
from tests.support.waiting import eventually
from tests.unit.client.session.test_session import fill


@in_world
async def test_a_slow_user_makes_the_service_wait(world: PoolWorld) -> None:
    sent = 0

    async def flood(session: ServiceSession) -> None:
        nonlocal sent
        for _ in range(10_000):
            await session.send(bytes(1000), 3)
            sent += 1

    await world.element(1, flood)
    async with world.session(settings=SessionSettings(max_unread=50_000)) as session:
        await asyncio.sleep(60)
        stopped = sent
        await asyncio.sleep(60)
        assert sent == stopped < 1000
        assert session.unread < 60_000
        for _ in range(10_000):
            assert len(await session.receive()) == 1000  # type: ignore[arg-type]
            assert session.unread < 60_000
        assert sent == 10_000


@in_world
async def test_a_slow_service_makes_its_user_wait(world: PoolWorld) -> None:
    async def slow(session: ServiceSession) -> None:
        while True:
            await asyncio.sleep(1)
            await session.receive()

    element = await world.element(1, slow, settings=SMALL)
    async with world.session() as session:
        assert 500 < await fill(session, 1000) < 1000
        assert element.sessions[0].unread < 12_000


@in_world
async def test_a_slow_reader_stays_paused_after_a_failover(world: PoolWorld) -> None:
    async def flood(session: ServiceSession) -> None:
        while True:
            await session.send(bytes(1000))

    for identifier in (1, 2):
        await world.element(identifier, flood)
    async with world.session(settings=SessionSettings(max_unread=5000, silence=1.0)) as session:
        await asyncio.sleep(1)
        world.serving(session).kill()
        await asyncio.sleep(60)
        assert session.failovers == 1
        assert session.unread < 7000
        for _ in range(1000):
            await session.receive()


@in_world
async def test_the_silence_of_the_next_element_is_noticed_after_a_slow_reader(world: PoolWorld) -> None:
    async def once(session: ServiceSession) -> None:
        for _ in range(20):
            await session.send(bytes(1000))

    first = await world.element(1, once)
    async with world.session(settings=SessionSettings(max_unread=5000, silence=1.0)) as session:
        await asyncio.sleep(1)
        for identifier in (2, 3):
            await world.element(identifier, silent)
        first.kill()
        await eventually(lambda: session.failovers == 1)
        with contextlib.suppress(TimeoutError):
            while True:
                await asyncio.wait_for(session.receive(), 10)
        assert session.failovers == 1
        await session.send(b"anybody?")
        await eventually(lambda: session.failovers == 2)


@in_world
async def test_a_connection_that_hangs_is_given_up(world: PoolWorld) -> None:
    first = await world.element(1, echo)
    async with world.session() as session:
        await world.element(2, echo)
        await world.element(3, echo)
        original = session._connector.open
        cancelled: list[int] = []

        async def hang(element: ResolvedElement) -> Channel:
            if element.identifier == 2:
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    cancelled.append(element.identifier)
                    raise
            return await original(element)

        session._connector.open = hang  # type: ignore[method-assign]
        first.leave_pool()
        first.kill()
        await eventually(lambda: session.failovers)
        assert world.serving(session).identifier == 3
        assert cancelled == [2]
        assert world.user.reports == [1, 2]


@in_world
async def test_sends_of_many_tasks_arrive_whole_and_complete(world: PoolWorld) -> None:
    got: list[bytes] = []

    async def collect(session: ServiceSession) -> None:
        async for item in session:
            assert isinstance(item, Data)
            got.append(bytes(item))

    await world.element(1, collect, settings=SMALL)
    async with world.session(settings=SessionSettings(max_unsent=2000)) as session:

        async def say(who: int) -> None:
            for number in range(50):
                await session.send(b"%d %d " % (who, number) + bytes(500))

        cancelled = asyncio.create_task(say(99))
        talking = [asyncio.create_task(say(who)) for who in range(5)]
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(*talking)
        await eventually(lambda: len([one for one in got if not one.startswith(b"99")]) == 250)
    for who in range(5):
        numbers = [int(one.split()[1]) for one in got if int(one.split()[0]) == who]
        assert numbers == list(range(50))

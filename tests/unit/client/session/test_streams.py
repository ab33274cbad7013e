"""Sessions as byte streams, over the memory transport and in virtual time."""

import asyncio

import pytest

from rserpool.client.errors import SessionFailed
from rserpool.client.session.items import Data
from rserpool.client.session.service import ServiceSession
from rserpool.client.session.streams import CHUNK, streams
from tests.support.pools import SMALL, PoolWorld, in_world
from tests.support.waiting import eventually


async def upper(session: ServiceSession) -> None:
    reader, writer = streams(session, ppid=5)
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


@in_world
async def test_a_reader_yields_lines(world: PoolWorld) -> None:
    await world.element(1, upper)
    async with world.session() as session:
        reader, writer = streams(session)
        writer.writelines([b"one\ntw", b"o\n", bytearray(b"three"), memoryview(b"\n")])  # type: ignore[list-item]
        assert await reader.readline() == b"ONE\n"
        assert await reader.readexactly(4) == b"TWO\n"
        assert await reader.readuntil(b"\n") == b"THREE\n"
        assert writer.get_extra_info("session") is session
        assert writer.get_extra_info("peername", "?") == "?"
        assert not writer.can_write_eof()
        assert not writer.is_closing()
        writer.close()
        assert writer.is_closing()
        writer.write(b"too late\n")
        await writer.wait_closed()
        assert await reader.read() == b""
        assert session.closed


@in_world
async def test_a_writer_sends_messages_of_at_most_32_kib_and_loses_nothing(world: PoolWorld) -> None:
    sizes: list[int] = []
    got = bytearray()

    async def collect(session: ServiceSession) -> None:
        async for item in session:
            assert isinstance(item, Data)
            assert item.ppid == 9
            sizes.append(len(item))
            got.extend(item)

    await world.element(1, collect)
    whole = bytes(range(256)) * 4000
    async with world.session() as session:
        _, writer = streams(session, ppid=9)
        for begin in range(0, len(whole), 100_000):
            writer.write(whole[begin : begin + 100_000])
            await writer.drain()
        writer.close()
        await writer.wait_closed()
    await eventually(lambda: len(got) == len(whole))
    assert got == whole
    assert max(sizes) == CHUNK


@in_world
async def test_a_slow_reader_is_not_flooded_and_its_writer_waits(world: PoolWorld) -> None:
    written = 0

    async def flood(session: ServiceSession) -> None:
        nonlocal written
        _, writer = streams(session)
        for _ in range(2000):
            writer.write(bytes(1000))
            written += 1000
            await writer.drain()

    await world.element(1, flood, settings=SMALL)
    async with world.session() as session:
        reader, _ = streams(session)
        await asyncio.sleep(60)
        stopped = written
        await asyncio.sleep(60)
        assert written == stopped < 1_500_000
        assert len(await reader.readexactly(2_000_000)) == 2_000_000
        assert written == 2_000_000


@in_world
async def test_a_failure_is_raised_by_reader_and_writer(world: PoolWorld) -> None:
    element = await world.element(1, upper)
    async with world.session(failover="error") as session:
        reader, writer = streams(session)
        reading = asyncio.create_task(reader.readline())
        await asyncio.sleep(1)
        element.kill()
        with pytest.raises(SessionFailed):
            await reading
        writer.write(b"x\n")
        await eventually(writer.is_closing)
        with pytest.raises(ConnectionResetError):
            await writer.drain()
        await writer.wait_closed()


@in_world
async def test_a_reader_continues_after_a_failover(world: PoolWorld) -> None:
    for identifier in (1, 2):
        await world.element(identifier, upper)
    async with world.session(failover="event") as session:
        reader, writer = streams(session)
        for line in (b"one\n", b"two\n"):
            writer.write(line)
            assert await reader.readline() == line.upper()
            if line == b"one\n":
                world.serving(session).kill()
        writer.close()
        await writer.wait_closed()
        assert session.failovers == 1

"""ASAP over TCP: framing, limits, time-outs."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from unittest import mock

import pytest

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.lane import Lane
from rserpool.transport.interface import Down
from rserpool.transport.tcp import endpoint as tcp
from tests.support import elements
from tests.support.lanes import lane_of
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HOST, Recorder, message, transport

pytestmark = pytest.mark.needs_tcp

REQUEST = bytes.fromhex("05000010 0009000c 4563686f 506f6f6c")
ODD_EXCLUSIVE = bytes.fromhex("05000011 00090009 506f6f6c 35000000 aa000000")
ODD_INCLUSIVE = bytes.fromhex("05000014 00090009 506f6f6c 35000000 aa000000")


@contextlib.asynccontextmanager
async def dialled(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.conformance("ASAP-2.1-02")
def test_two_messages_in_a_segment_and_one_in_two(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            heard = Recorder(echo=True)
            server = await made.endpoint(heard, addresses=[HOST])
            async with dialled(server.port) as (reader, writer):
                writer.write(REQUEST * 2 + REQUEST[:5])
                assert await reader.readexactly(32) == REQUEST * 2
                writer.write(REQUEST[5:])
                assert await reader.readexactly(16) == REQUEST
                assert [(data, ppid) for _, data, ppid in heard.messages] == [(REQUEST, 11)] * 3
            await heard.until(lambda: heard.reasons == [Down.SHUTDOWN])

    run(main())


def lane_of_one_pool() -> Lane:
    space = Handlespace(7, seed=1, wheel=Wheel(0))
    space.large = 0
    space.register(b"EchoPool", elements.element(1, elements.LU, (1,)), home=7, connection=1)
    return lane_of(space)


def test_what_the_lane_serves_is_answered_in_its_order_among_the_rest(run: Run) -> None:
    other = message(16)

    async def main() -> None:
        async with transport("tcp") as made:
            heard = Recorder(echo=True)
            server = await made.endpoint(heard, addresses=[HOST])
            async with dialled(server.port) as (reader, writer):
                await heard.until(lambda: bool(heard.up))
                lane = lane_of_one_pool()
                server.attach(next(iter(heard.up)), lane)
                answer = lane.answer(REQUEST, 0)
                assert answer is not None
                writer.write(REQUEST * 2 + other + REQUEST[:5])
                await heard.until(lambda: len(heard.messages) == 1)
                writer.write(REQUEST[5:])
                await heard.until(lambda: len(heard.messages) == 2)
                writer.write(REQUEST)
                # The message that came in pieces went the readable way: here, an echo.
                expected = answer * 2 + other + REQUEST + answer
                assert await reader.readexactly(len(expected)) == expected
            assert [data for _, data, _ in heard.messages] == [other, REQUEST]
            assert lane.context.counters.declined == 1
            assert not lane.declined

    run(main())


def test_a_peer_that_does_not_read_the_lanes_answers_is_aborted(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            heard = Recorder()
            server = await made.endpoint(heard, addresses=[HOST])
            async with dialled(server.port) as (_, writer):
                await heard.until(lambda: bool(heard.up))
                server.attach(next(iter(heard.up)), lane_of_one_pool())
                while not heard.down:
                    writer.write(REQUEST * 1000)
                    with contextlib.suppress(ConnectionError):
                        await writer.drain()
                    await asyncio.sleep(0)
            assert heard.reasons == [Down.ABORTED]

    run(main())


def test_both_length_conventions_frame_alike(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            heard = Recorder()
            server = await made.endpoint(heard, addresses=[HOST])
            async with dialled(server.port) as (_, writer):
                writer.write(ODD_EXCLUSIVE + ODD_INCLUSIVE + REQUEST)
                await heard.until(lambda: len(heard.messages) == 3)
            assert [data for _, data, _ in heard.messages] == [ODD_EXCLUSIVE, ODD_INCLUSIVE, REQUEST]

    run(main())


def test_a_length_below_the_header_closes(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            heard = Recorder()
            server = await made.endpoint(heard, addresses=[HOST])
            async with dialled(server.port) as (_, writer):
                writer.write(bytes.fromhex("05000003"))
                await heard.until(lambda: heard.reasons == [Down.ABORTED])

    run(main())


def test_half_a_message_times_out_and_a_quiet_peer_does_not(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            heard = Recorder()
            server = await made.endpoint(heard, addresses=[HOST])
            async with dialled(server.port) as (_, quiet):
                await heard.until(lambda: len(heard.up) == 1)
                async with dialled(server.port) as (_, half):
                    await heard.until(lambda: len(heard.up) == 2)
                    half.write(REQUEST[:7])
                    await heard.until(lambda: bool(heard.down))
                assert heard.down == [(max(heard.up), Down.ABORTED)]
                quiet.write(REQUEST)
                await heard.until(lambda: bool(heard.messages))

    with mock.patch.object(tcp, "READ_TIMEOUT", 0.05):
        run(main())


def test_more_connections_than_allowed_are_closed(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            heard = Recorder(echo=True)
            server = await made.endpoint(heard, addresses=[HOST])
            async with dialled(server.port) as (reader, writer), dialled(server.port):
                await heard.until(lambda: len(heard.up) == 2)
                async with dialled(server.port) as (refused, _):
                    with pytest.raises(ConnectionResetError):
                        await refused.readexactly(1)
                assert len(heard.up) == 2
                writer.write(REQUEST)
                assert await reader.readexactly(16) == REQUEST

    with mock.patch.object(tcp, "MAX_CONNECTIONS", 2):
        run(main())


def test_a_peer_that_does_not_read_is_bounded_and_lost(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            heard = Recorder()
            server = await made.endpoint(heard, addresses=[HOST])
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.setblocking(False)
                await asyncio.get_running_loop().sock_connect(deaf, (HOST, server.port))
                await heard.until(lambda: bool(heard.up))
                (assoc,) = heard.up
                while server.send(assoc, message(1024), 11):
                    await asyncio.sleep(0)
                await heard.until(lambda: bool(heard.down))
                assert heard.down == [(assoc, Down.LOST)]

    with mock.patch.object(tcp, "WRITE_TIMEOUT", 0.05):
        run(main())

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
from rserpool.transport.interface import AssociationGone, Down
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
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.conformance("ASAP-2.1-02")
def test_messages_are_framed_whatever_the_segments(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            at_server = Recorder(echo=True)
            server = await made.endpoint(at_server, addresses=[HOST])
            async with connected(server.port) as (reader, writer):
                writer.write(REQUEST * 2 + REQUEST[:5])
                assert await reader.readexactly(32) == REQUEST * 2
                writer.write(REQUEST[5:])
                assert await reader.readexactly(16) == REQUEST
                assert [(data, ppid) for _, data, ppid in at_server.messages] == [(REQUEST, 11)] * 3
            await at_server.until(lambda: at_server.reasons == [Down.SHUTDOWN])

    run(main())


def lane_of_one_pool() -> Lane:
    space = Handlespace(7, seed=1, wheel=Wheel(0))
    space.large = 0
    space.register(b"EchoPool", elements.element(1, elements.LU, (1,)), home=7, connection=1)
    return lane_of(space)


def test_lane_answers_keep_their_order_among_other_messages(run: Run) -> None:
    other = message(16)

    async def main() -> None:
        async with transport("tcp") as made:
            at_server = Recorder(echo=True)
            server = await made.endpoint(at_server, addresses=[HOST])
            async with connected(server.port) as (reader, writer):
                await at_server.until(lambda: bool(at_server.up))
                lane = lane_of_one_pool()
                server.attach(next(iter(at_server.up)), lane)
                answer = lane.answer(REQUEST, 0)
                assert answer is not None
                writer.write(REQUEST * 2 + other + REQUEST[:5])
                await at_server.until(lambda: len(at_server.messages) == 1)
                writer.write(REQUEST[5:])
                await at_server.until(lambda: len(at_server.messages) == 2)
                writer.write(REQUEST)
                # The message that came in pieces takes the readable way, which is an echo here.
                expected = answer * 2 + other + REQUEST + answer
                assert await reader.readexactly(len(expected)) == expected
            assert [data for _, data, _ in at_server.messages] == [other, REQUEST]
            assert lane.context.counters.declined == 1
            assert not lane.declined

    run(main())


def test_a_peer_that_does_not_read_the_lanes_answers_is_aborted(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            at_server = Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            async with connected(server.port) as (_, writer):
                await at_server.until(lambda: bool(at_server.up))
                server.attach(next(iter(at_server.up)), lane_of_one_pool())
                while not at_server.down:
                    writer.write(REQUEST * 1000)
                    with contextlib.suppress(ConnectionError):
                        await writer.drain()
                    await asyncio.sleep(0)
            assert at_server.reasons == [Down.ABORTED]

    run(main())


def test_both_length_conventions_are_framed_alike(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            at_server = Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            async with connected(server.port) as (_, writer):
                writer.write(ODD_EXCLUSIVE + ODD_INCLUSIVE + REQUEST)
                await at_server.until(lambda: len(at_server.messages) == 3)
            assert [data for _, data, _ in at_server.messages] == [ODD_EXCLUSIVE, ODD_INCLUSIVE, REQUEST]

    run(main())


def test_a_length_below_the_headers_aborts(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            at_server = Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            async with connected(server.port) as (_, writer):
                writer.write(bytes.fromhex("05000003"))
                await at_server.until(lambda: at_server.reasons == [Down.ABORTED])

    run(main())


def test_half_a_message_times_out_but_a_quiet_peer_does_not(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            at_server = Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            async with connected(server.port) as (_, quiet):
                await at_server.until(lambda: len(at_server.up) == 1)
                async with connected(server.port) as (_, half):
                    await at_server.until(lambda: len(at_server.up) == 2)
                    half.write(REQUEST[:7])
                    await at_server.until(lambda: bool(at_server.down))
                assert at_server.down == [(max(at_server.up), Down.ABORTED)]
                quiet.write(REQUEST)
                await at_server.until(lambda: bool(at_server.messages))

    with mock.patch.object(tcp, "READ_TIMEOUT", 0.05):
        run(main())


def test_more_connections_than_allowed_are_closed(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            at_server = Recorder(echo=True)
            server = await made.endpoint(at_server, addresses=[HOST])
            async with connected(server.port) as (reader, writer), connected(server.port):
                await at_server.until(lambda: len(at_server.up) == 2)
                async with connected(server.port) as (refused, _):
                    with pytest.raises(ConnectionResetError):
                        await refused.readexactly(1)
                assert len(at_server.up) == 2
                writer.write(REQUEST)
                assert await reader.readexactly(16) == REQUEST

    with mock.patch.object(tcp, "MAX_CONNECTIONS", 2):
        run(main())


def test_a_peer_that_does_not_read_is_lost(run: Run) -> None:
    async def main() -> None:
        async with transport("tcp") as made:
            at_server = Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.setblocking(False)
                await asyncio.get_running_loop().sock_connect(deaf, (HOST, server.port))
                await at_server.until(lambda: bool(at_server.up))
                (assoc,) = at_server.up
                with contextlib.suppress(AssociationGone):  # on a slow machine it is lost before its queue is full
                    while server.send(assoc, message(1024), 11):
                        await asyncio.sleep(0)
                await at_server.until(lambda: bool(at_server.down))
                assert at_server.down == [(assoc, Down.LOST)]

    with mock.patch.object(tcp, "WRITE_TIMEOUT", 0.05):
        run(main())

"""Joined reading of TCP connections: answers of lanes, and the reasons for a connection to leave."""

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from rserpool._fast.io.joined_reader import JoinedReader
from rserpool._fast.lane.lane import Lane
from rserpool.protocol.peer import Peer
from rserpool.transport.interface import Attaching, Down, Endpoint
from rserpool.transport.tcp.endpoint import TcpEndpoint
from tests.support import elements
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HOST, Recorder, message, transport
from tests.unit.transport.tcp.test_endpoint import REQUEST, connected, lane_of_one_pool

pytestmark = pytest.mark.needs_tcp

READ = 1 << 16
"""Octets of one read of a connection."""
OTHER = message(16)
RENEWAL = elements.message(1, elements.handle_parameter(b"EchoPool"), elements.element(1, elements.LU, (5,)))
ANSWER = lane_of_one_pool().answer(REQUEST, 0) or b""


class Attached(Recorder):
    """Gives each association a lane, and echoes other messages."""

    def __init__(self) -> None:
        super().__init__(echo=True)
        self.lanes: dict[int, Lane] = {}

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        self.lanes[assoc] = lane_of_one_pool()
        assert isinstance(endpoint, Attaching)
        endpoint.attach(assoc, self.lanes[assoc])
        super().on_up(endpoint, assoc, peer)


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[tuple[Attached, Endpoint]]:
    """A server and its handler."""
    async with transport("tcp") as made:
        at_server = Attached()
        yield at_server, await made.endpoint(at_server, addresses=[HOST])


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, answer: bytes) -> None:
    writer.write(request)
    assert await reader.readexactly(len(answer)) == answer


def test_requests_and_other_messages_are_handled_in_turn(run: Run) -> None:
    async def main() -> None:
        async with served() as (at_server, server):
            async with connected(server.port) as (reader, writer):
                for _ in range(3):
                    await answered(reader, writer, REQUEST, ANSWER)
                    await answered(reader, writer, REQUEST * 3, ANSWER * 3)
                    await answered(reader, writer, REQUEST + OTHER + REQUEST, ANSWER + OTHER + REQUEST)
                    await answered(reader, writer, REQUEST + REQUEST[:7], ANSWER)
                    await answered(reader, writer, REQUEST[7:], REQUEST)
            await at_server.until(lambda: at_server.reasons == [Down.SHUTDOWN])

    run(main())


def test_messages_sent_between_answers_keep_their_order(run: Run) -> None:
    async def main() -> None:
        async with served() as (at_server, server), connected(server.port) as (reader, writer):
            await answered(reader, writer, REQUEST, ANSWER)
            (assoc,) = at_server.up
            server.send(assoc, OTHER, 11)
            await answered(reader, writer, REQUEST, OTHER + ANSWER)
            at_server.lanes[assoc].renewed = lambda: server.send(assoc, OTHER, 11)
            same = lane_of_one_pool()
            await answered(reader, writer, RENEWAL, OTHER + (same.answer(RENEWAL, 0) or b""))
            at_server.lanes[assoc].renewed = None
            await answered(reader, writer, REQUEST, same.answer(REQUEST, 0) or b"")

    run(main())


def test_a_second_lane_replaces_the_first(run: Run) -> None:
    async def main() -> None:
        async with served() as (at_server, server), connected(server.port) as (reader, writer):
            await answered(reader, writer, REQUEST, ANSWER)
            (assoc,) = at_server.up
            at_server.lanes[assoc].used = False
            lane = lane_of_one_pool()
            assert isinstance(server, Attaching)
            server.attach(assoc, lane)
            await answered(reader, writer, REQUEST, ANSWER)
            assert lane.used
            assert not at_server.lanes[assoc].used

    run(main())


@contextlib.asynccontextmanager
async def joined() -> AsyncIterator[tuple[Attached, TcpEndpoint, int, socket.socket]]:
    """A server, its association, and the other end, which the joined reader already serves."""
    loop = asyncio.get_running_loop()
    async with served() as (at_server, server):
        assert isinstance(server, TcpEndpoint)
        with socket.create_connection((HOST, server.port)) as other:
            other.setblocking(False)
            other.send(REQUEST)
            assert await loop.sock_recv(other, 1000) == ANSWER
            yield at_server, server, next(iter(at_server.up)), other


def serve(server: TcpEndpoint) -> None:
    """Do at once what the loop does when a connection has data."""
    assert server._joined_reader is not None
    server._serve(server._joined_reader)


def test_answers_wait_for_octets_in_the_write_buffer(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with joined() as (_, server, assoc, other):
            sent = b""
            while not server._connections[assoc].queued:
                assert server.send(assoc, message(60_000), 11)
                sent += message(60_000)
            got = received(other)
            other.send(REQUEST)
            serve(server)
            while len(got) < len(sent) + len(ANSWER):
                got += await loop.sock_recv(other, 1 << 20)
            assert got == sent + ANSWER

    run(main())


@pytest.mark.parametrize("end", [TcpEndpoint.shutdown, TcpEndpoint.abort])
def test_nothing_is_answered_after_our_end(run: Run, end: Callable[[TcpEndpoint, int], None]) -> None:
    async def main() -> None:
        async with joined() as (at_server, server, assoc, other):
            at_server.lanes[assoc].used = False
            other.send(REQUEST)
            end(server, assoc)
            serve(server)
            assert not at_server.lanes[assoc].used
            await at_server.until(lambda: bool(at_server.down))

    run(main())


def test_a_reset_and_an_end_of_a_joined_connection_are_reported(run: Run) -> None:
    async def main() -> None:
        async with served() as (at_server, server):
            async with connected(server.port) as (reader, writer):
                await answered(reader, writer, REQUEST, ANSWER)
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await at_server.until(lambda: at_server.reasons == [Down.ABORTED])
            async with connected(server.port) as (reader, writer):
                await answered(reader, writer, REQUEST, ANSWER)
                writer.write_eof()
                assert await reader.read() == b""
            await at_server.until(lambda: at_server.reasons == [Down.ABORTED, Down.SHUTDOWN])

    run(main())


def test_a_joined_connection_can_be_ended(run: Run) -> None:
    async def main() -> None:
        async with served() as (at_server, server):
            async with connected(server.port) as (one, to_one), connected(server.port) as (other, to_other):
                await answered(one, to_one, REQUEST, ANSWER)
                await answered(other, to_other, REQUEST, ANSWER)
                first, second = at_server.up
                server.shutdown(first)
                server.abort(second)
                await at_server.until(lambda: len(at_server.down) == 2)
                assert set(at_server.down) == {(first, Down.SHUTDOWN), (second, Down.ABORTED)}
            async with connected(server.port) as (one, to_one):
                await answered(one, to_one, REQUEST, ANSWER)
                await server.close()
                assert await one.read() == b""

    run(main())


def test_a_joined_connection_can_be_paused(run: Run) -> None:
    async def main() -> None:
        async with served() as (at_server, server), connected(server.port) as (reader, writer):
            await answered(reader, writer, REQUEST, ANSWER)
            (assoc,) = at_server.up
            server.pause(assoc)
            at_server.lanes[assoc].used = False
            writer.write(REQUEST)
            async with connected(server.port) as others:  # their answer comes after a chance to read this one
                await answered(*others, REQUEST, ANSWER)
            assert not at_server.lanes[assoc].used
            server.resume(assoc)
            assert await reader.readexactly(len(ANSWER)) == ANSWER

    run(main())


def test_a_lane_that_fails_ends_its_connection_only() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        failures: list[object] = []
        loop.set_exception_handler(lambda loop, context: failures.append(context["exception"]))
        async with (
            served() as (at_server, server),
            connected(server.port) as (one, to_one),
            connected(server.port) as (other, to_other),
        ):
            await answered(one, to_one, REQUEST, ANSWER)
            await answered(other, to_other, REQUEST, ANSWER)

            def failing() -> None:
                raise ArithmeticError

            broken = next(iter(at_server.up))
            at_server.lanes[broken].renewed = failing
            to_one.write(RENEWAL)
            await at_server.until(lambda: at_server.down == [(broken, Down.ABORTED)])
            await answered(other, to_other, REQUEST, ANSWER)
            with contextlib.suppress(ConnectionError):
                await one.read()
        assert [type(failure) for failure in failures] == [ArithmeticError]

    asyncio.run(main())


def test_more_connections_than_one_call_serves_are_all_served(run: Run) -> None:
    count = 1_100

    async def main() -> None:
        async with served() as (_, server), contextlib.AsyncExitStack() as stack:
            ends = [await stack.enter_async_context(connected(server.port)) for _ in range(count)]
            for _ in range(2):
                for _, writer in ends:
                    writer.write(REQUEST)
                for reader, _ in ends:
                    assert await reader.readexactly(len(ANSWER)) == ANSWER

    run(main())


@contextlib.contextmanager
def member(reader: JoinedReader) -> Iterator[tuple[socket.socket, list[tuple[bytes, bytes, int]]]]:
    """The other end of a connection in the reader, and the arguments of its ``leave`` calls."""
    left: list[tuple[bytes, bytes, int]] = []
    ours, other = socket.socketpair()
    with ours, other:
        reader.add(ours.fileno(), lane_of_one_pool(), lambda *arguments: left.append(arguments))
        yield other, left
        reader.remove(ours.fileno())


def received(sock: socket.socket) -> bytes:
    """Return all waiting octets."""
    octets = b""
    with contextlib.suppress(BlockingIOError):
        while more := sock.recv(1 << 20, socket.MSG_DONTWAIT):
            octets += more
    return octets


def test_data_beyond_one_read_is_served_by_the_next_call() -> None:
    reader, same = JoinedReader(), lane_of_one_pool()
    once = RENEWAL * (READ // len(RENEWAL)) + REQUEST
    assert len(once) == READ, "the read must end with a message"
    with member(reader) as (other, left):
        assert other.send(once + RENEWAL) == READ + len(RENEWAL)
        reader.serve(0.0)
        assert received(other) == same.serve(once, 0.0)[0], "one read per call, so that others are served"
        reader.serve(0.0)
        assert received(other) == same.answer(RENEWAL, 0)
        assert not left


def test_a_request_before_the_end_is_answered() -> None:
    reader = JoinedReader()
    with member(reader) as (other, left):
        other.send(REQUEST)
        other.shutdown(socket.SHUT_WR)
        reader.serve(0.0)
        assert received(other) == ANSWER
        assert not left
        reader.serve(0.0)
        assert left == [(b"", b"", 0)]


def test_other_connections_are_served_when_a_lane_fails() -> None:
    reader = JoinedReader()
    with contextlib.ExitStack() as stack:
        ends = [stack.enter_context(member(reader)) for _ in range(3)]
        lane = lane_of_one_pool()

        def failing() -> None:
            raise ArithmeticError

        lane.renewed = failing
        ours, other = socket.socketpair()
        stack.enter_context(ours)
        stack.enter_context(other).send(RENEWAL)
        left: list[tuple[bytes, bytes, int]] = []
        reader.add(ours.fileno(), lane, lambda *arguments: left.append(arguments))
        for end, _ in ends:
            end.send(REQUEST)
        with pytest.raises(ArithmeticError):
            reader.serve(0.0)
        assert [received(end) for end, _ in ends] == 3 * [ANSWER]
        assert left == [(b"", b"", errno.EPROTO)]


def test_data_that_arrived_before_add_is_served() -> None:
    reader = JoinedReader()
    ours, other = socket.socketpair()
    with ours, other:
        other.send(REQUEST)
        reader.add(ours.fileno(), lane_of_one_pool(), print)
        reader.serve(0.0)
        assert received(other) == ANSWER
        reader.serve(0.0)
        assert received(other) == b""
        reader.remove(ours.fileno())


def test_an_invalid_descriptor_is_refused() -> None:
    reader = JoinedReader()
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.add(-1, lane_of_one_pool(), print)
    reader.remove(-1)
    reader.serve(0.0)

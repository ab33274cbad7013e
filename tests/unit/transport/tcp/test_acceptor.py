"""The acceptor: connections per turn, connections that are gone, and a lack of descriptors."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import cast

import pytest

from rserpool.transport.tcp import acceptor
from rserpool.transport.tcp.acceptor import AT_ONCE, Acceptor
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HOST, Recorder, reset, transport
from tests.unit.transport.tcp.test_endpoint import REQUEST, connected

pytestmark = pytest.mark.needs_tcp


class Counter(asyncio.Protocol):
    """Counts connections, and closes them."""

    def __init__(self) -> None:
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.count += 1
        cast(asyncio.Transport, transport).abort()  # uvloop's class is unrelated


class Without(socket.socket):
    """A socket whose accept() finds no free descriptor."""

    missing = True

    def accept(self) -> tuple[socket.socket, object]:
        if self.missing:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@contextlib.contextmanager
def bound(kind: type[socket.socket] = socket.socket) -> Iterator[socket.socket]:
    with kind(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.bind((HOST, 0))
        yield sock


def test_many_connections_are_accepted_per_turn(run: Run) -> None:
    async def main() -> None:
        seen = Counter()
        with bound() as sock, contextlib.ExitStack() as stack:
            accepting = Acceptor(asyncio.get_running_loop(), sock, lambda: seen)
            for _ in range(4 * AT_ONCE):
                stack.enter_context(socket.create_connection(sock.getsockname()))
            for turn in range(10):
                assert seen.count <= turn * AT_ONCE, "the loop turns in between"
                await asyncio.sleep(0)
            assert seen.count == 4 * AT_ONCE
            accepting.close()
            accepting.close()

    run(main())


def test_connections_that_are_reset_before_they_are_accepted_are_skipped(run: Run) -> None:
    async def main() -> None:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        async with transport("tcp") as made:
            at_server = Recorder(echo=True)
            server = await made.endpoint(at_server, addresses=[HOST])
            for _ in range(5):
                reset(server.port)
            async with connected(server.port) as (reader, writer):
                writer.write(REQUEST)
                assert await reader.readexactly(len(REQUEST)) == REQUEST
            await at_server.until(lambda: len(at_server.down) == len(at_server.up) == 1)
        assert not failures

    run(main())


def test_accepting_pauses_when_descriptors_run_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "PAUSE", 0.02)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        failures: list[BaseException] = []
        loop.set_exception_handler(lambda loop, context: failures.append(context["exception"]))
        seen = Counter()
        with bound(Without) as sock:
            assert isinstance(sock, Without)
            accepting = Acceptor(loop, sock, lambda: seen)
            with socket.create_connection(sock.getsockname()):
                async with asyncio.timeout(20):
                    while len(failures) < 3:
                        await asyncio.sleep(0.001)
                    assert not seen.count
                    sock.missing = False
                    while not seen.count:
                        await asyncio.sleep(0.001)
                    sock.missing = True
            with socket.create_connection(sock.getsockname()):
                async with asyncio.timeout(20):
                    reported = len(failures)
                    while len(failures) == reported:
                        await asyncio.sleep(0.001)
                accepting.close()
                reported = len(failures)
                await asyncio.sleep(0.1)
                assert len(failures) == reported, "a closed acceptor must not resume"
            assert {error.errno for error in failures if isinstance(error, OSError)} == {errno.EMFILE}

    run(main())

"""A listening TCP socket of our own: how many it accepts, and what becomes of those that are gone."""

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
from tests.unit.transport.tcp.test_endpoint import REQUEST, dialled

pytestmark = pytest.mark.needs_tcp


class Counter(asyncio.Protocol):
    """Counts connections, and ends them."""

    def __init__(self) -> None:
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.count += 1
        cast(asyncio.Transport, transport).abort()  # uvloop's is of no common class


class Without(socket.socket):
    """A socket that the system has no more descriptors for."""

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


def test_many_are_accepted_at_a_turn(run: Run) -> None:
    async def main() -> None:
        seen = Counter()
        with bound() as sock, contextlib.ExitStack() as stack:
            accepting = Acceptor(asyncio.get_running_loop(), sock, lambda: seen)
            for _ in range(4 * AT_ONCE):
                stack.enter_context(socket.create_connection(sock.getsockname()))
            for turn in range(10):
                assert seen.count <= turn * AT_ONCE, "others have their turn in between"
                await asyncio.sleep(0)
            assert seen.count == 4 * AT_ONCE
            accepting.close()
            accepting.close()

    run(main())


def test_those_that_are_reset_before_they_are_seen(run: Run) -> None:
    async def main() -> None:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        async with transport("tcp") as made:
            heard = Recorder(echo=True)
            server = await made.endpoint(heard, addresses=[HOST])
            for _ in range(5):
                reset(server.port)
            async with dialled(server.port) as (reader, writer):
                writer.write(REQUEST)
                assert await reader.readexactly(len(REQUEST)) == REQUEST
            await heard.until(lambda: len(heard.down) == len(heard.up) == 1)
        assert not failures

    run(main())


def test_without_descriptors_it_is_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
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
                    told = len(failures)
                    while len(failures) == told:
                        await asyncio.sleep(0.001)
                accepting.close()
                told = len(failures)
                await asyncio.sleep(0.1)
                assert len(failures) == told, "closed, it does not begin anew"
            assert {error.errno for error in failures if isinstance(error, OSError)} == {errno.EMFILE}

    run(main())

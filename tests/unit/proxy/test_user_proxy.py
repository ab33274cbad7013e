"""The user proxy between real sockets on the loopback interface."""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from ipaddress import ip_address
from typing import Any

import pytest
import uvloop

from rserpool.errors import LocalProtocolError
from rserpool.messages import Policy, PolicyType, TCPTransport
from rserpool.messages.resolved import ResolvedElement
from rserpool.proxy import relay
from rserpool.proxy.user_proxy import UserProxy, UserProxySettings
from tests.support.ports import free_port
from tests.support.virtual_time import VirtualLoop
from tests.support.waiting import eventually

HOST = "127.0.0.1"
LIMIT = 60
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
MEGABYTES = 24
Run = Callable[[Coroutine[Any, Any, None]], None]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test on each kind of event loop."""

    def run(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(main, LIMIT))

    return run


def element(port: int, identifier: int = 1, host: str = HOST) -> ResolvedElement:
    transport = TCPTransport(port=port, address=ip_address(host))
    return ResolvedElement(
        pool_handle=b"Web", identifier=identifier, home_identifier=7, protocol="tcp", addresses=(transport.address,),
        port=port, control_channel=False, policy=Policy(policy_type=PolicyType.ROUND_ROBIN), user_transport=transport,
    )  # fmt: skip


class Elements:
    """A chooser that returns the elements of a list in turn."""

    def __init__(self, *elements: ResolvedElement) -> None:
        self.elements = list(elements)
        self.reported: list[int] = []
        self.patience: list[float] = []

    async def choose(self, exclude: Collection[int], patience: float) -> ResolvedElement | None:
        self.patience.append(patience)
        return next((one for one in self.elements if one.identifier not in exclude), None)

    async def report(self, element: ResolvedElement) -> None:
        self.reported.append(element.identifier)


class Server:
    """A TCP server that passes its connections to the test."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[Streams] = asyncio.Queue()
        self.port = 0

    async def __aenter__(self) -> "Server":
        async def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self.connections.put((reader, writer))

        self.server = await asyncio.start_server(arrived, HOST, 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self.server.close()
        while not self.connections.empty():
            self.connections.get_nowait()[1].close()


@contextlib.asynccontextmanager
async def proxy(
    chooser: Elements, **bounds: Any
) -> AsyncIterator[tuple[UserProxy, Callable[[], Coroutine[Any, Any, Streams]]]]:
    """A user proxy, and a way to connect to it."""
    made = UserProxy(chooser, UserProxySettings(**({"drain": 0} | bounds)))
    (where,) = await made.start([(HOST, 0)])

    async def dial() -> Streams:
        return await asyncio.open_connection(*where, limit=1 << 20)

    try:
        yield made, dial
    finally:
        await made.stop()
        assert made.open == 0


async def is_reset(reader: asyncio.StreamReader) -> bool:
    """True if the connection ends with a reset, as all refusals do."""
    try:
        await reader.read()
    except ConnectionError:
        return True
    return False


def test_octets_are_relayed_both_ways_with_half_close(run: Run) -> None:
    async def main() -> None:
        async with Server() as server, proxy(Elements(element(server.port))) as (made, dial):
            reader, writer = await dial()
            writer.write(b"question")
            writer.write_eof()
            there, back = await server.connections.get()
            assert await there.read() == b"question"
            assert made.open == 1
            back.write(b"answer")
            await back.drain()
            assert await reader.readexactly(6) == b"answer"
            back.write(b", and more")
            back.close()
            assert await reader.read() == b", and more"
            await eventually(lambda: made.open == 0)
            writer.close()
            assert made.counters == {"clients": 1, "octets to elements": 8, "octets to clients": 16}

    run(main())


def test_the_element_can_close_first(run: Run) -> None:
    async def main() -> None:
        async with Server() as server, proxy(Elements(element(server.port))) as (made, dial):
            reader, writer = await dial()
            there, back = await server.connections.get()
            back.write(b"greeting")
            back.write_eof()
            assert await reader.read() == b"greeting"
            writer.write(b"still here")
            writer.close()
            assert await there.read() == b"still here"
            back.close()
            await eventually(lambda: made.open == 0)

    run(main())


def test_a_reset_is_passed_on_both_ways(run: Run) -> None:
    async def main() -> None:
        async with Server() as server, proxy(Elements(element(server.port))) as (made, dial):
            for client_resets in (True, False):
                reader, writer = await dial()
                there, back = await server.connections.get()
                writer.write(b"x")
                assert await there.readexactly(1) == b"x"
                victim, other = (writer, there) if client_resets else (back, reader)
                raw = victim.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                victim.transport.abort()
                assert await is_reset(other)
                await eventually(lambda: made.open == 0)
                writer.close()
                back.close()

    run(main())


def test_an_end_that_does_not_read_stops_the_other(run: Run) -> None:
    async def main() -> None:
        async with Server() as server, proxy(Elements(element(server.port))) as (made, dial):
            reader, writer = await dial()
            there, back = await server.connections.get()
            block = bytes(range(256)) * 4096

            async def send(to: asyncio.StreamWriter) -> None:
                for _ in range(MEGABYTES):
                    to.write(block)
                    await to.drain()
                to.write_eof()

            there._transport.pause_reading()  # type: ignore[attr-defined]
            sending = asyncio.create_task(send(writer))
            (client,) = made._clients
            await eventually(lambda: made.counters["octets to elements"] > 0 and not client.transport.is_reading())
            assert made.counters["octets to elements"] < MEGABYTES << 20, "all of it has gone into somebody's memory"
            sides = [side for client in made._clients for side in (client, client._other) if side is not None]
            waiting = sum(side.transport.get_write_buffer_size() for side in sides)
            assert waiting <= relay.HIGH_WATER + (1 << 18)
            there._transport.resume_reading()  # type: ignore[attr-defined]
            received = 0
            while chunk := await there.read(1 << 20):
                assert chunk == (block + block)[received % 256 :][: len(chunk)]
                received += len(chunk)
            await sending
            assert received == MEGABYTES << 20
            await asyncio.gather(send(back), drain(reader))
            back.close()
            writer.close()

    async def drain(reader: asyncio.StreamReader) -> None:
        assert len(await reader.read()) == MEGABYTES << 20

    run(main())


def test_an_unreachable_element_is_reported_and_the_next_one_serves(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Server() as server:
            elements = Elements(element(free_port(), 1), element(free_port(), 2), element(server.port, 3))
            async with proxy(elements) as (made, dial):
                _, writer = await dial()
                writer.write(b"x")
                there, back = await server.connections.get()
                assert await there.readexactly(1) == b"x"
                assert elements.reported == [1, 2]
                assert made.counters["elements unreachable"] == 2
                writer.close()
                back.close()

    run(main())
    assert "element 0x00000002 does not answer" in caplog.text


def test_a_client_that_cannot_be_served_is_reset(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        dead = [element(free_port(), number) for number in range(5)]
        elements = Elements(*dead)
        async with proxy(elements, tries=2, patience=1.5) as (made, dial):
            reader, writer = await dial()
            assert await is_reset(reader)
            assert elements.reported == [0, 1]
            writer.close()
            elements.elements.clear()
            reader, writer = await dial()
            assert await is_reset(reader)
            writer.close()
            assert made.counters["clients without an element"] == 2
            assert set(elements.patience) == {1.5}

    run(main())
    assert "2 elements do not answer" in caplog.text
    assert caplog.text.count("client not served") == 1, "once a minute is enough"


def test_a_silent_element_is_given_up_after_the_connect_timeout() -> None:
    async def main() -> None:
        # The queue of connections is full, so that the server neither accepts nor refuses.
        with contextlib.ExitStack() as stack:
            silent = stack.enter_context(socket.socket())
            silent.bind((HOST, 0))
            silent.listen(0)
            port = silent.getsockname()[1]
            for _ in range(8):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex((HOST, port))
            async with Server() as server:
                elements = Elements(element(port, 1), element(server.port, 2))
                async with proxy(elements, connect_timeout=3.0) as (_, dial):
                    began = asyncio.get_running_loop().time()
                    _, writer = await dial()
                    _, back = await server.connections.get()
                    assert 3.0 <= asyncio.get_running_loop().time() - began < 4.0
                    assert elements.reported == [1]
                    writer.close()
                    back.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


@pytest.mark.parametrize(("bounds", "reason"), [
    ({"connections": 2}, "2 clients are connected already"),
    ({"connections_per_host": 2}, "127.0.0.1 has 2 connections already"),
])  # fmt: skip
def test_the_number_of_clients_is_bounded(
    run: Run, caplog: pytest.LogCaptureFixture, bounds: dict[str, int], reason: str
) -> None:
    async def main() -> None:
        async with Server() as server, proxy(Elements(element(server.port)), **bounds) as (made, dial):
            served = [await dial() for _ in range(2)]
            backs = [await server.connections.get() for _ in range(2)]
            for _ in range(3):
                reader, writer = await dial()
                assert await is_reset(reader)
                writer.close()
            assert made.counters["clients refused"] == 3
            served[0][1].close()
            backs[0][1].close()
            await eventually(lambda: made.open == 1)
            _, writer = await dial()
            _, back = await server.connections.get()
            for one in (served[1][1], backs[1][1], writer, back):
                one.close()

    run(main())
    assert caplog.text.count(reason) == 1


def test_idle_connections_are_reset() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with Server() as server, proxy(Elements(element(server.port)), idle_timeout=100.0) as (made, dial):
            reader, writer = await dial()
            _, back = await server.connections.get()
            await asyncio.sleep(90)
            back.write(b"x")
            assert await reader.readexactly(1) == b"x"
            active = loop.time()
            assert await is_reset(reader)
            assert 100 <= loop.time() - active <= 130
            assert made.counters["connections idle"] == 1
            writer.close()
            back.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_stop_waits_for_open_connections(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async with Server() as server, proxy(Elements(element(server.port)), drain=LIMIT) as (made, dial):
            reader, writer = await dial()
            _, back = await server.connections.get()
            ending = asyncio.create_task(made.stop())
            await eventually(lambda: "waiting for 1 connections" in caplog.text)
            with pytest.raises(ConnectionRefusedError):
                await dial()
            back.write(b"the rest")
            back.close()
            assert await reader.read() == b"the rest"
            assert not ending.done()
            writer.close()
            await ending

    run(main())


def test_stop_waits_at_most_for_drain(run: Run) -> None:
    async def main() -> None:
        for hurry in (False, True):
            async with (
                Server() as server,
                proxy(Elements(element(server.port)), drain=0.1 + LIMIT * hurry) as (made, dial),
            ):
                reader, writer = await dial()
                _, back = await server.connections.get()
                at_once = asyncio.Event()
                if hurry:
                    at_once.set()
                await made.stop(at_once=at_once)
                assert await is_reset(reader)
                assert made.open == 0
                writer.close()
                back.close()

    run(main())


def test_a_port_in_use_is_an_error_with_its_address(run: Run) -> None:
    async def main() -> None:
        async with Server() as server:
            made = UserProxy(Elements(), UserProxySettings())
            with pytest.raises(OSError, match=f"127.0.0.1 port {server.port}: the port is in use"):
                await made.start([(HOST, 0), (HOST, server.port)])

    run(main())


@pytest.mark.parametrize("wrong", [{"tries": 0}, {"connect_timeout": 0}, {"patience": -1}, {"connections": -5}])
def test_an_invalid_setting_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match=f"^{next(iter(wrong))} must be"):
        UserProxySettings(**wrong)

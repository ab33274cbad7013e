"""Sessions over real sockets: TCP and UDP, which have no control channel, and SCTP in the process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from ipaddress import ip_address
from typing import Any
from unittest import mock

import pytest

from rserpool.client.session.items import Data
from rserpool.client.session.service import Service, ServiceSession
from rserpool.client.session.session import Session, open_session
from rserpool.errors import LocalProtocolError
from rserpool.messages import Policy, PolicyType, PoolElement, UDPLiteTransport
from rserpool.messages.resolved import resolved
from rserpool.settings.session import ServiceSettings, SessionSettings
from tests.support.pools import POOL, Handler, KnownPool, echo
from tests.support.waiting import eventually
from tests.unit.transport.support import HASTY, reset

HOST = "127.0.0.1"
PROTOCOLS = ("tcp", "udp", "sctp")


class Site:
    """Services on the loopback interface, and a pool user that knows them."""

    def __init__(self) -> None:
        self.user = KnownPool()
        self.services: dict[int, Service] = {}
        self.sessions: dict[int, list[ServiceSession]] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def element(self, identifier: int, protocol: str, handler: Handler = echo, **options: Any) -> Service:
        service = Service(protocol=protocol, addresses=[HOST], **options)
        await service.__aenter__()
        self.services[identifier] = service
        self.sessions[identifier] = []
        self.tasks.append(asyncio.create_task(self._accept(identifier, service, handler)))
        self.know(identifier, service.user_transport)
        return service

    def know(self, identifier: int, transport: Any) -> None:
        element = PoolElement(
            identifier=identifier,
            registration_life=300,
            user_transport=transport,
            policy=Policy(policy_type=PolicyType.ROUND_ROBIN),
        )
        self.user.elements[identifier] = resolved(POOL, element)

    async def _accept(self, identifier: int, service: Service, handler: Handler) -> None:
        async for session in service.sessions():
            self.sessions[identifier].append(session)
            self.tasks.append(asyncio.create_task(handler(session)))  # type: ignore[arg-type]

    def serving(self, session: Session) -> Service:
        assert session.element is not None
        return self.services[session.element.identifier]

    async def stop(self) -> None:
        for service in self.services.values():
            await service.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[Site]:
    made = Site()
    try:
        yield made
    finally:
        await made.stop()


def run(play: Callable[[Site], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), site() as made:
            await play(made)

    asyncio.run(main())


async def read(session: Session, count: int) -> bytes:
    """Read so many octets, in however many pieces they arrive."""
    whole = b""
    while len(whole) < count:
        item = await session.receive()
        assert isinstance(item, Data)
        whole += item
    return whole


@pytest.mark.conformance("PAR-3.5-02", "PAR-3.6-01", "ASAP-2.1-03")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_data_travels_in_both_directions(protocol: str) -> None:
    async def play(made: Site) -> None:
        await made.element(1, protocol)
        async with open_session(POOL, user=made.user) as session:
            for message in (b"hello", bytes(range(256)) * 200):
                await session.send(message, 7)
                assert await read(session, len(message)) == message
            assert session.has_control_channel == (protocol == "sctp")
            (other,) = made.sessions[1]
            assert other.peer_addresses == (ip_address(HOST),)
            if protocol != "sctp":
                with pytest.raises(LocalProtocolError, match="no control channel"):
                    other.cookie = b"state"
        assert session.closed

    run(play)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_users_of_a_closing_service_move_to_another(protocol: str) -> None:
    async def play(made: Site) -> None:
        for identifier in (1, 2):
            await made.element(identifier, protocol)
        settings = SessionSettings(silence=0.3 if protocol == "udp" else None)
        async with open_session(POOL, user=made.user, settings=settings) as session:
            await session.send(b"x")
            assert await session.receive() == b"x"
            first = made.serving(session)
            await first.close()
            while not session.failovers:
                await session.send(b"anybody?")
                await asyncio.sleep(0.05)
            await session.send(b"last")
            while await session.receive() != b"last":
                pass
            assert made.serving(session) is not first
            assert session.failovers == 1
            assert len(made.user.reports) == 1

    run(play)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_session_with_a_closed_port_cannot_start(protocol: str) -> None:
    async def play(made: Site) -> None:
        gone = await made.element(1, protocol)
        transport = gone.user_transport
        await gone.close()
        await made.element(2, protocol)
        made.know(1, transport)
        made.user.elements = {1: made.user.elements[1], 2: made.user.elements[2]}
        async with open_session(POOL, user=made.user, silence=0.3, tuning=HASTY) as session:
            while not session.element or session.element.identifier != 2:
                await session.send(b"x")
                await asyncio.sleep(0.02)
            assert made.user.reports == [1]

    run(play)


def test_a_session_with_a_server_that_resets_at_once_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(made: Site) -> None:
        loop = asyncio.get_running_loop()
        resetting, connect = (await made.element(1, "tcp")).user_transport.port, loop.create_connection

        async def create_connection(factory: Callable[[], Any], host: str, port: int, **options: Any) -> Any:
            if port != resetting:
                return await connect(factory, host, port, **options)
            channel = factory()
            channel.connection_made(mock.Mock(**{"get_extra_info.return_value": None}))
            channel.connection_lost(ConnectionResetError())
            return None, channel

        monkeypatch.setattr(loop, "create_connection", create_connection)
        await made.element(2, "tcp")
        async with open_session(POOL, user=made.user) as session:
            await session.send(b"x")
            assert await read(session, 1) == b"x"
            assert made.serving(session) is made.services[2]
            assert made.user.reports == [1]

    run(play)


def test_a_connection_that_is_reset_before_it_is_accepted_is_no_session() -> None:
    async def play(made: Site) -> None:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        service = await made.element(1, "tcp")
        for _ in range(5):
            reset(service.user_transport.port)
        async with open_session(POOL, user=made.user) as session:
            await session.send(b"x")
            assert await read(session, 1) == b"x"
        assert len(made.sessions[1]) == 1
        assert not failures

    run(play)


def test_a_service_waits_for_a_slow_reader_over_tcp() -> None:
    sent = 0

    async def flood(session: ServiceSession) -> None:
        nonlocal sent
        while True:
            await session.send(bytes(32768))
            sent += 32768

    async def play(made: Site) -> None:
        await made.element(1, "tcp", flood)
        async with open_session(POOL, user=made.user, settings=SessionSettings(max_unread=100_000)) as session:
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.2)
            assert session.unread < 200_000
            assert len(await read(session, 2 * sent)) >= 2 * before

    run(play)


def test_the_end_of_a_tcp_service_is_orderly() -> None:
    async def daytime(session: ServiceSession) -> None:
        await session.send(b"Friday")
        await session.close()

    async def play(made: Site) -> None:
        await made.element(1, "tcp", daytime)
        async with open_session(POOL, user=made.user) as session:
            assert b"".join([item async for item in session if isinstance(item, bytes)]) == b"Friday"
        assert not made.user.reports

    run(play)


def test_a_silent_udp_user_is_forgotten() -> None:
    async def play(made: Site) -> None:
        service = await made.element(1, "udp", settings=ServiceSettings(idle_timeout=0.2, max_sessions=2))
        async with open_session(POOL, user=made.user) as session:
            await session.send(b"x")
            assert await session.receive() == b"x"
            assert service.active == 1
            await eventually(lambda: service.active == 0)
            await session.send(b"y")
            assert await session.receive() == b"y"
            assert len(made.sessions[1]) == 2

    run(play)


def test_a_datagram_that_is_too_long_is_a_local_error() -> None:
    async def play(made: Site) -> None:
        await made.element(1, "udp")
        async with open_session(POOL, user=made.user) as session:
            await session.send(bytes(65_507))
            assert await session.receive() == bytes(65_507)
            with pytest.raises(LocalProtocolError, match="65507 octets"):
                await session.send(bytes(65_508))

    run(play)


@pytest.mark.conformance("PAR-3.7-01")
def test_sessions_run_over_udp_lite() -> None:
    async def play(made: Site) -> None:
        try:
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 136)
        except OSError:
            pytest.skip("this kernel has no UDP-Lite")
        with server:
            server.bind((HOST, 0))
            made.know(1, UDPLiteTransport(port=server.getsockname()[1], address=ip_address(HOST)))
            async with open_session(POOL, user=made.user) as session:
                await session.send(b"x", 7)
                loop = asyncio.get_running_loop()
                data, source = await loop.sock_recvfrom(server, 100)
                assert data == b"x"
                await loop.sock_sendto(server, b"y", source)
                assert await session.receive() == b"y"
                assert not session.has_control_channel

    run(play)


def test_the_error_names_a_port_in_use() -> None:
    async def play(made: Site) -> None:
        for identifier, protocol in enumerate(PROTOCOLS):
            service = await made.element(identifier, protocol)
            port = service.user_transport.port  # type: ignore[union-attr]
            with pytest.raises(OSError, match=f"127.0.0.1 port {port}"):
                await Service(protocol=protocol, addresses=[HOST], port=port).__aenter__()
        with pytest.raises(LocalProtocolError, match="dccp"):
            await Service(protocol="dccp").__aenter__()

    run(play)


def test_many_large_messages_travel_over_sctp() -> None:
    async def play(made: Site) -> None:
        await made.element(1, "sctp")
        async with open_session(POOL, user=made.user) as session:
            sizes = [1, 65_536, 262_144, 3, 100_000] * 4
            sending = asyncio.create_task(send_all(session, sizes))
            for number, size in enumerate(sizes):
                assert await session.receive() == bytes([number]) * size
            await sending

    run(play)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_user_that_does_not_read_can_close_at_once(protocol: str) -> None:
    async def flood(session: ServiceSession) -> None:
        await session.receive()
        while True:
            await session.send(bytes(10_000))
            await asyncio.sleep(0)

    async def play(made: Site) -> None:
        await made.element(1, protocol, flood)
        loop = asyncio.get_running_loop()
        settings = SessionSettings(max_unread=30_000, close_timeout=20.0)
        async with open_session(POOL, user=made.user, settings=settings) as session:
            await session.send(b"x")
            before = -1
            while session.unread != before:
                before = session.unread
                await asyncio.sleep(0.1)
            began = loop.time()
        assert loop.time() - began < 10

    run(play)


async def send_all(session: Session, sizes: list[int]) -> None:
    for number, size in enumerate(sizes):
        await session.send(bytes([number]) * size)

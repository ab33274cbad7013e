"""A memory network with registrars, elements and users, in virtual time."""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address

from rserpool.client import Node, PoolElement, PoolUser
from rserpool.messages import AsapMessage, EndpointKeepAlive, SCTPTransport, decode
from rserpool.registrar.config import add_flags, load
from rserpool.registrar.server import Server
from rserpool.transport.interface import Endpoint
from rserpool.transport.memory import MemoryNetwork, MemoryTransport
from tests.support.virtual_time import virtual_test

REGISTRAR = "10.44.0.1"
SERVICE = SCTPTransport(port=7777, addresses=(ip_address("10.44.0.2"),))
ONE_POOL = "EchoPool"


class ClientWorld:
    """Hosts on one memory network: a registrar at 10.44.0.1, elements at 10.44.0.2, users at 10.44.0.3."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()

        def later(source: object, target: object, event: Callable[[], None]) -> None:
            loop.call_soon(event)

        self.network = MemoryNetwork(later)
        self.tcp = MemoryNetwork(later, sctp=False)

    async def registrar(self, address: str = REGISTRAR, *flags: str) -> Server:
        parser = argparse.ArgumentParser()
        add_flags(parser)
        given = vars(parser.parse_args([f"--asap={address}", "--announce=", "--tcp=no", *flags]))
        sctp, tcp = MemoryTransport(self.network), MemoryTransport(self.tcp)
        server = Server(load(given, {}, None, 0x22222222), sctp=sctp, tcp=tcp)
        await server.start()
        return server

    def element(self, handle: str = ONE_POOL, **options: object) -> PoolElement:
        given = {"registrars": [REGISTRAR], "local": "10.44.0.2", **options}
        return PoolElement(handle, SERVICE, transport=MemoryTransport(self.network), **given)  # type: ignore[arg-type]

    def node(self, **options: object) -> Node:
        given = {"registrars": [REGISTRAR], "local": "10.44.0.2", **options}
        sctp, tcp = MemoryTransport(self.network), MemoryTransport(self.tcp)
        return Node(transport=sctp, tcp_transport=tcp, **given)  # type: ignore[arg-type]

    def user(self, *registrars: str, **options: object) -> PoolUser:
        given = {"registrars": registrars or [REGISTRAR], "local": "10.44.0.3", **options}
        sctp, tcp = MemoryTransport(self.network), MemoryTransport(self.tcp)
        return PoolUser(transport=sctp, tcp_transport=tcp, **given)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def client_world() -> AsyncIterator[ClientWorld]:
    yield ClientWorld()


in_world = virtual_test(client_world)
"""Decorator of a test coroutine that takes a ClientWorld."""


class Stranger:
    """The endpoint of another registrar."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.endpoint = network.endpoint(self, addresses=["10.44.0.9"], port=3863)
        self.up = False
        self.received: list[bytes] = []

    def call(self, port: int) -> None:
        self.assoc = self.endpoint.connect(["10.44.0.2"], port)

    def keep_alive(self, handle: bytes, identifier: int | None, *, home: bool = False) -> None:
        message = EndpointKeepAlive(
            home=home, server_identifier=0x33333333, pool_handle=handle, pe_identifier=identifier
        )
        assert self.endpoint.send(self.assoc, message.encode(), 11)

    def on_up(self, *_: object) -> None:
        self.up = True

    def on_message(self, endpoint: object, assoc: int, data: bytes, ppid: int) -> None:
        assert ppid == 11
        self.received.append(data)

    def on_restart(self, *_: object) -> None:
        """Never called here."""

    def on_down(self, *_: object) -> None:
        self.up = False

    on_writable = on_restart


class Scripted:
    """A registrar that answers as the test says."""

    def __init__(self, network: MemoryNetwork, answer: Callable[[AsapMessage], AsapMessage]) -> None:
        network.endpoint(self, addresses=[REGISTRAR], port=3863)
        self.answer = answer
        self.heard: list[AsapMessage] = []

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        message = decode(data, "asap")
        assert isinstance(message, AsapMessage)
        self.heard.append(message)
        assert endpoint.send(assoc, self.answer(message).encode(), ppid)

    def on_up(self, *_: object) -> None:
        """Nothing to do."""

    on_restart = on_down = on_writable = on_up

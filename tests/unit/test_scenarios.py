"""The scenarios, octet for octet, over the memory transport and in virtual time."""

import argparse
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import pytest

from rserpool.registrar.config import add_flags, load
from rserpool.registrar.server import Server
from rserpool.transport.interface import Endpoint, Handler
from rserpool.transport.memory import MemoryNetwork, MemoryTransport
from rserpool.transport.tcp.endpoint import TcpTransport
from tests.scenarios.asap import ASAP_ROWS, t22_tcp
from tests.scenarios.enrp import ENRP_ROWS, profiles_of
from tests.scenarios.tester import SOON, Counterpart, Lab, exchange
from tests.support.virtual_time import run_virtually

ADDRESS = "10.44.0.1"
PORT = 3863


class Announcements:
    """Collects announcements instead of multicasting them."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()

    def announce(self, data: bytes) -> None:
        self.sent.put_nowait(data)

    def close(self) -> None:
        """Do nothing, because nothing is open."""


class LoopbackTcp:
    """TCP on the loopback interface, at any free port."""

    name = "tcp"

    def __init__(self) -> None:
        self._transport = TcpTransport()
        self.port = 0

    async def endpoint(
        self, handler: Handler, *, addresses: Sequence[str], port: int = 0, listen: bool = True
    ) -> Endpoint:
        endpoint = await self._transport.endpoint(handler, addresses=["127.0.0.1"])
        self.port = endpoint.port
        return endpoint

    async def stop(self) -> None:
        await self._transport.stop()


class MemoryLab:
    """A registrar and its testers in one process. Set ``tcp`` only for scenarios about TCP."""

    def __init__(self, tcp: LoopbackTcp | None, profile: str) -> None:
        loop = asyncio.get_running_loop()
        self.transport = MemoryTransport(MemoryNetwork(lambda source, target, event: void(loop.call_soon(event))))
        self.tcp = tcp
        self.profile = profile
        self.announcements = Announcements()
        self.end = contextlib.AsyncExitStack()

    async def registrar(self, *flags: str) -> Counterpart:
        parser = argparse.ArgumentParser()
        add_flags(parser)
        given = ("--identifier=0x22222222", f"--asap={ADDRESS}:{PORT}", f"--profile={self.profile}", *flags)
        config = load(vars(parser.parse_args(given)), {}, None, 1)
        tcp = self.tcp or MemoryTransport(MemoryNetwork(sctp=False))
        server = Server(config, sctp=self.transport, tcp=tcp, announcer=self.announcements)
        await server.start()
        self.end.push_async_callback(server.stop)
        self.server = server
        tester = Counterpart(self.transport, ADDRESS, (ADDRESS, PORT))
        self.end.push_async_callback(tester.close)
        return tester

    async def exchange_over_tcp(self, writes: Sequence[bytes], octets_expected: int) -> bytes:
        assert self.tcp is not None
        return await exchange("127.0.0.1", self.tcp.port, writes, octets_expected)

    async def announcement(self) -> bytes:
        return await asyncio.wait_for(self.announcements.sent.get(), SOON)


def void(_: object) -> None:
    """Discard a result."""


@pytest.mark.parametrize(
    ("scenario", "profile"),
    [
        pytest.param(scenario, profile, marks=pytest.mark.conformance(*rows), id=f"{scenario.__name__}-{profile}")
        for scenario, rows in (ASAP_ROWS | ENRP_ROWS).items()
        for profile in (("rfc",) if scenario in ASAP_ROWS else profiles_of(scenario))
    ],
)
def test_scenario(scenario: Callable[[Lab], Awaitable[None]], profile: str) -> None:
    async def play() -> None:
        lab = MemoryLab(LoopbackTcp() if scenario is t22_tcp else None, profile)
        async with lab.end:
            await scenario(lab)
            lab.server.registrar.handlespace._check()

    run_virtually(play())

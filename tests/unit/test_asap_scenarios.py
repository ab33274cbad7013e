"""The ASAP scenarios, octet for octet, over the memory transport and in virtual time."""

import argparse
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import pytest

from rserpool.registrar.config import add_flags, load
from rserpool.registrar.server import Server
from rserpool.transport.memory import MemoryNetwork, MemoryTransport
from tests.scenarios.asap import ASAP_ROWS
from tests.scenarios.tester import SOON, Lab, Counterpart
from tests.support.virtual_time import run_virtually

ADDRESS = "10.44.0.1"
PORT = 3863


class Announcements:
    """Collects what would be multicast."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()

    def send(self, data: bytes) -> None:
        self.sent.put_nowait(data)

    def close(self) -> None:
        """Nothing is open."""


class MemoryLab:
    """A registrar and its testers in one process."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport = MemoryTransport(MemoryNetwork(lambda source, target, event: void(loop.call_soon(event))))
        self.announcements = Announcements()
        self.end = contextlib.AsyncExitStack()

    async def registrar(self, *flags: str) -> Counterpart:
        parser = argparse.ArgumentParser()
        add_flags(parser)
        given = ("--identifier=0x22222222", f"--asap={ADDRESS}:{PORT}", *flags)
        config = load(vars(parser.parse_args(given)), {}, None, 1)
        server = Server(config, sctp=self.transport, tcp=MemoryTransport(MemoryNetwork()), announcer=self.announcements)
        await server.start()
        self.end.push_async_callback(server.stop)
        self.server = server
        tester = Counterpart(self.transport, ADDRESS, (ADDRESS, PORT))
        self.end.push_async_callback(tester.close)
        return tester

    async def exchange_over_tcp(self, writes: Sequence[bytes], octets_expected: int) -> bytes:
        raise NotImplementedError

    async def announcement(self) -> bytes:
        return await asyncio.wait_for(self.announcements.sent.get(), SOON)


def void(_: object) -> None:
    """Drop a result."""


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(scenario, marks=pytest.mark.conformance(*rows), id=scenario.__name__)
        for scenario, rows in ASAP_ROWS.items()
    ],
)
def test_scenario(scenario: Callable[[Lab], Awaitable[None]]) -> None:
    async def play() -> None:
        lab = MemoryLab()
        async with lab.end:
            await scenario(lab)
            lab.server.handlespace._check()

    run_virtually(play())

"""Registrar, pool element and pool user through a wrapping transport, as one for TLS would be."""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import cast

import pytest

from rserpool.client import PoolElement, PoolUser
from rserpool.messages import SCTPTransport
from rserpool.registrar.config import add_flags, load
from rserpool.registrar.server import Server
from rserpool.transport.interface import Endpoint
from rserpool.transport.memory import MemoryNetwork, MemoryTransport
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HOST, Recorder, make, message, transport, void
from tests.unit.transport.test_lanes import REQUEST, lane_of_one_pool
from tests.unit.transport.wrapping import WrappingTransport, seal

HANDLE = b"EchoPool"
SERVICE = SCTPTransport(port=7777, addresses=(ip_address(HOST),))


def now() -> int:
    return round(asyncio.get_running_loop().time() * 1_000_000)


class Wrapped:
    """A registrar whose transports are wrapped, and the transports for its clients."""

    def __init__(self, back_end: str) -> None:
        loop = asyncio.get_running_loop()
        sctp = "memory" if back_end == "tcp" else back_end
        self.sctp = WrappingTransport(make(sctp), now)
        later = MemoryNetwork(lambda source, target, event: void(loop.call_soon(event)), sctp=False)
        self.tcp = WrappingTransport(make("tcp") if back_end == "tcp" else MemoryTransport(later), now)

    async def start(self) -> None:
        parser = argparse.ArgumentParser()
        add_flags(parser)
        flags = (f"--asap={HOST}:0", "--enrp=off", "--announce=", "--tcp=yes", "--address-scope=loopback")
        self.server = Server(load(vars(parser.parse_args(flags)), {}, None, 1), sctp=self.sctp, tcp=self.tcp)
        await self.server.start()
        self.port = next(iter(self.server.endpoints.values())).port

    async def stop(self) -> None:
        await self.server.stop()
        await self.sctp.stop()
        await self.tcp.stop()


@contextlib.asynccontextmanager
async def wrapped(back_end: str) -> AsyncIterator[Wrapped]:
    world = Wrapped(back_end)
    await world.start()
    try:
        yield world
    finally:
        await world.stop()


def test_elements_are_registered_and_resolved_through_a_wrapper(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with wrapped(back_end) as world:
            place = f"{HOST}:{world.port}"
            element = PoolElement(HANDLE, SERVICE, registrars=[place], local=HOST, identifier=7, transport=world.sctp)
            user = PoolUser(
                registrars=[f"tcp:{place}" if back_end == "tcp" else place],
                local=HOST,
                transport=world.sctp,
                tcp_transport=world.tcp,
            )
            async with element, user:
                await element.registered()
                for _ in range(3):
                    found = await user.resolve(HANDLE, fresh_within=0)
                    assert [one.identifier for one in found] == [7]
                peers = [entry.peer for entry in world.server.associations]
                assert {peer.principal.name for peer in peers if peer is not None} == {"toy"}
            wire = world.sctp.wire + world.tcp.wire
            assert wire
            assert all(HANDLE not in data for data in wire)
            assert any(HANDLE in seal(data) for data in wire)
            answering = world.tcp if back_end == "tcp" else world.sctp
            assert sum(endpoint.answered for endpoint in answering.endpoints) >= 3, "the lane answered"

    run(main())


def test_a_lane_of_a_wrapper_is_asked_plaintext_and_answered_in_ciphertext(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with transport(back_end) as made:
            at_server, at_client = Recorder(), Recorder()
            outer = WrappingTransport(made, now)
            server = await outer.endpoint(at_server, addresses=[HOST])
            client = await made.endpoint(at_client, addresses=[HOST], listen=False)
            assoc = client.connect([HOST], server.port)
            await at_server.until(lambda: bool(at_server.up))
            await at_client.until(lambda: assoc in at_client.up)
            server.attach(next(iter(at_server.up)), lane_of_one_pool())
            assert client.send(assoc, seal(REQUEST), 11)
            await at_client.until(lambda: len(at_client.messages) == 1)
            assert seal(at_client.messages[0][1]) == lane_of_one_pool().answer(REQUEST, 0)
            assert client.send(assoc, seal(message(16)), 11)
            await at_server.until(lambda: len(at_server.messages) == 1)
            assert at_server.messages[0][1] == message(16)
            assert server.answered == 1

    run(main())


@pytest.mark.needs_memory
def test_an_answer_of_a_wrapper_that_finds_no_room_goes_to_the_handler(run: Run) -> None:
    class Full:
        """An inner endpoint without room."""

        def send(self, assoc: int, data: bytes, ppid: int) -> bool:
            return False

    async def main() -> None:
        answers: list[bytes] = []

        class Handler(Recorder):
            def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
                answers.append(data)

        outer = WrappingTransport(MemoryTransport(MemoryNetwork()), now)
        server = await outer.endpoint(Handler(), addresses=[HOST])
        server.inner = cast(Endpoint, Full())
        server.attach(1, lane_of_one_pool())
        server.on_message(server.inner, 1, seal(REQUEST), 11)
        assert answers == [lane_of_one_pool().answer(REQUEST, 0)]

    run(main())

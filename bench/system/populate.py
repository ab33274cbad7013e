"""Fills a registrar with pool elements: registered over usrsctp, many on one association."""

import asyncio
from ipaddress import IPv4Address

from bench.system.servers import HOST
from rserpool.messages import (
    Message,
    Policy,
    PolicyType,
    PoolElement,
    Registration,
    RegistrationResponse,
    SCTPTransport,
    decode,
)
from rserpool.protocol.peer import Peer
from rserpool.transport.interface import Down, Endpoint
from rserpool.transport.sctp.usrsctp import UsrsctpTransport

ASAP = 11
WINDOW = 256
"""Unanswered registrations at a time."""


def registration(handle: bytes, identifier: int, load: int, host: str = HOST) -> bytes:
    """Return the registration of a least-used element."""
    element = PoolElement(
        identifier=identifier,
        home_identifier=0,
        registration_life=600_000,
        user_transport=SCTPTransport(port=7777, transport_use=1, addresses=(IPv4Address(host),)),
        policy=Policy(policy_type=PolicyType.LEAST_USED, values=(load,)),
    )
    return Registration(pool_handle=handle, pool_element=element).encode()


class Populator:
    """One association that registers the elements. It must stay open as long as they are needed."""

    def __init__(self) -> None:
        self._up = asyncio.Event()
        self._room = asyncio.Semaphore(WINDOW)
        self._granted = 0
        self._transport = UsrsctpTransport()
        self._endpoint: Endpoint

    async def open(self, port: int) -> None:
        self._endpoint = await self._transport.endpoint(self, addresses=[HOST])
        self._association = self._endpoint.connect([HOST], port)
        async with asyncio.timeout(20):
            await self._up.wait()

    async def register(self, handle: bytes, count: int) -> None:
        """Register ``count`` elements with different loads. AssertionError if one is refused."""
        for number in range(count):
            await self._room.acquire()
            load = (number * 2654435761) % 0xFFFFFFFF
            assert self._endpoint.send(self._association, registration(handle, number + 1, load), ASAP)
        async with asyncio.timeout(60):
            while self._granted < count:
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self._transport.stop()

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        self._up.set()

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None: ...

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None: ...

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None: ...

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        answer: Message = decode(data, "asap")
        assert isinstance(answer, RegistrationResponse), answer
        assert not answer.reject, answer
        self._granted += 1
        self._room.release()

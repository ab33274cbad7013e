"""Answers from a registrar's fast lane: in order among other messages, also without room and while closing."""

import asyncio
import contextlib
from collections import deque

import pytest

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.lane import Lane
from rserpool.transport.interface import AssociationGone, Attaching, Endpoint
from tests.support import elements
from tests.support.lanes import lane_of
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HOST, Recorder, message, transport

REQUEST = bytes.fromhex("05000018 0009000c 4563686f 506f6f6c 803f0008 00000014")
REQUESTS = {"usrsctp": 4_000, "kernel": 16_000}
OTHERS = 7
"""One message of so many takes the readable way."""


def lane_of_one_pool() -> Lane:
    """Return a lane whose answers differ, because the pool's elements take turns."""
    space = Handlespace(7, seed=1, wheel=Wheel(0))
    space.large = 0
    for number in range(1, 24):
        space.register(b"EchoPool", elements.element(number, elements.RR, ()), home=7, connection=1)
    return lane_of(space)


class Server(Recorder):
    """Echoes messages that the lane does not serve, and queues those without room."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: deque[bytes] = deque()
        self.refused = 0
        self.declined = 0

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        self.declined += self.lane.declined
        if data == REQUEST:
            answer = self.lane.answer(data, 0)
            assert answer
            data = answer
        if self.waiting or not endpoint.send(assoc, data, ppid):
            self.waiting.append(data)

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        self.refused += 1
        self._note("answer")
        if self.waiting or not endpoint.send(assoc, data, 11):
            self.waiting.append(data)

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        while self.waiting and endpoint.send(assoc, self.waiting[0], 11):
            self.waiting.popleft()

    def attach(self, endpoint: Endpoint) -> None:
        self.lane = lane_of_one_pool()
        assert isinstance(endpoint, Attaching)
        endpoint.attach(next(iter(self.up)), self.lane)


def asked(number: int) -> bytes:
    return message(16, number) if number % OTHERS == 0 else REQUEST


class Asker(Recorder):
    """Sends requests while there is room."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self.total = total
        self.number = 0

    def pour(self, endpoint: Endpoint, assoc: int) -> None:
        while self.number < self.total and endpoint.send(assoc, asked(self.number), 11):
            self.number += 1

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        self.pour(endpoint, assoc)


@pytest.mark.parametrize("paused", [False, True])
def test_answers_keep_their_order_among_other_messages(back_end: str, run: Run, paused: bool) -> None:
    if back_end not in REQUESTS:
        pytest.skip("only SCTP answers message by message from a lane")
    total = REQUESTS[back_end]
    twin = lane_of_one_pool()
    expected = [twin.answer(REQUEST, 0) if asked(number) == REQUEST else asked(number) for number in range(total)]

    async def main() -> None:
        async with transport(back_end) as made:
            at_server, at_client = Server(), Asker(total)
            server = await made.endpoint(at_server, addresses=[HOST])
            client = await made.endpoint(at_client, addresses=[HOST], listen=False)
            assoc = client.connect([HOST], server.port)
            await at_server.until(lambda: bool(at_server.up))
            await at_client.until(lambda: assoc in at_client.up)
            at_server.attach(server)
            if paused:
                client.pause(assoc)
            at_client.pour(client, assoc)
            if paused:
                await at_server.until(lambda: at_server.refused > 0)
                client.resume(assoc)
            await at_client.until(lambda: len(at_client.messages) == total)
            assert [data for _, data, _ in at_client.messages] == expected
            assert not at_server.waiting
            assert at_server.declined == at_server.lane.context.counters.declined > 0
            assert not at_server.lane.declined

    run(main())


class Dropper(Server):
    """Drops messages that the lane does not serve, and answers that the endpoint could not send."""

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        """Send nothing: a refused send() would keep the lane from answering until there is room."""

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        self.refused += 1
        self._note("answer")


def test_answers_without_room_are_dropped_while_the_endpoint_closes(back_end: str, run: Run) -> None:
    if back_end == "memory":
        pytest.skip("memory takes no lanes")

    async def main() -> None:
        async with transport(back_end) as made:
            at_server, at_client = Dropper(), Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            client = await made.endpoint(at_client, addresses=[HOST], listen=False)
            assoc = client.connect([HOST], server.port)
            await at_server.until(lambda: bool(at_server.up))
            await at_client.until(lambda: assoc in at_client.up)
            at_server.attach(server)
            client.pause(assoc)
            while back_end != "tcp" and not at_server.refused:
                client.send(assoc, REQUEST, 11)
                await asyncio.sleep(0)
            closing = asyncio.ensure_future(server.close())
            for _ in range(50):
                with contextlib.suppress(AssociationGone):
                    client.send(assoc, REQUEST, 11)
                await asyncio.sleep(0)
            await closing

    run(main())

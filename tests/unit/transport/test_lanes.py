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
"""Each so manieth message goes the readable way."""


def lane_of_one_pool() -> Lane:
    """Its answers differ from one to the next, as the pool's elements take turns."""
    space = Handlespace(7, seed=1, wheel=Wheel(0))
    space.large = 0
    for number in range(1, 24):
        space.register(b"EchoPool", elements.element(number, elements.RR, ()), home=7, connection=1)
    return lane_of(space)


class Server(Recorder):
    """Sends back what the lane does not serve, and queues what finds no room."""

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
    """Asks so often as there is room."""

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
def test_answers_keep_their_order(back_end: str, run: Run, paused: bool) -> None:
    if back_end not in REQUESTS:
        pytest.skip("only SCTP answers message by message from a lane")
    total = REQUESTS[back_end]
    twin = lane_of_one_pool()
    expected = [twin.answer(REQUEST, 0) if asked(number) == REQUEST else asked(number) for number in range(total)]

    async def main() -> None:
        async with transport(back_end) as made:
            heard, said = Server(), Asker(total)
            server = await made.endpoint(heard, addresses=[HOST])
            client = await made.endpoint(said, addresses=[HOST], listen=False)
            assoc = client.connect([HOST], server.port)
            await heard.until(lambda: bool(heard.up))
            await said.until(lambda: assoc in said.up)
            heard.attach(server)
            if paused:
                client.pause(assoc)
            said.pour(client, assoc)
            if paused:
                await heard.until(lambda: heard.refused > 0)
                client.resume(assoc)
            await said.until(lambda: len(said.messages) == total)
            assert [data for _, data, _ in said.messages] == expected
            assert not heard.waiting
            assert heard.declined == heard.lane.context.counters.declined > 0
            assert not heard.lane.declined

    run(main())


class Dropper(Server):
    """Drops what the lane does not serve, and the answers that the endpoint could not send."""

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        """Send nothing: a refused send() would keep the lane from answering until there is room."""

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        self.refused += 1
        self._note("answer")


def test_answers_that_find_no_room_while_the_endpoint_closes_are_dropped(back_end: str, run: Run) -> None:
    if back_end == "memory":
        pytest.skip("memory takes no lanes")

    async def main() -> None:
        async with transport(back_end) as made:
            heard, said = Dropper(), Recorder()
            server = await made.endpoint(heard, addresses=[HOST])
            client = await made.endpoint(said, addresses=[HOST], listen=False)
            assoc = client.connect([HOST], server.port)
            await heard.until(lambda: bool(heard.up))
            await said.until(lambda: assoc in said.up)
            heard.attach(server)
            client.pause(assoc)
            while back_end != "tcp" and not heard.refused:
                client.send(assoc, REQUEST, 11)
                await asyncio.sleep(0)
            closing = asyncio.ensure_future(server.close())
            for _ in range(50):
                with contextlib.suppress(AssociationGone):
                    client.send(assoc, REQUEST, 11)
                await asyncio.sleep(0)
            await closing

    run(main())

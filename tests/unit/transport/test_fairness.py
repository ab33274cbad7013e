"""An association that sends without pause does not starve others or the loop."""

import asyncio

from rserpool.transport.interface import Endpoint
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HOST, Recorder, message, transport

SIZE = 16
MOST = {"usrsctp": 3 * 1024, "kernel": 8 * 32, "tcp": (1 << 18) // SIZE}
"""The most messages that may be delivered in one turn of the loop: usrsctp delivers from a reader, a wake-up and a
timer, TCP what a loop reads at once."""
AT_ONCE = 2000
ANSWERS = 10


class Server(Recorder):
    """Counts messages per turn of the loop, drops the flood, and echoes the other messages."""

    def __init__(self) -> None:
        super().__init__()
        self.flooding = 0
        self.flooded = 0
        self.this_turn = 0
        self.most = 0
        self.done = False

    def turn(self) -> None:
        self.most = max(self.most, self.this_turn)
        self.this_turn = 0
        if not self.done:
            asyncio.get_running_loop().call_soon(self.turn)

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        self.this_turn += 1
        if assoc == self.flooding:
            self.flooded += 1
        else:
            assert endpoint.send(assoc, data, ppid)


class Flooder(Recorder):
    """Sends whenever there is room."""

    done = False

    def pour(self, endpoint: Endpoint, assoc: int) -> None:
        for _ in range(AT_ONCE):
            if self.done or not endpoint.send(assoc, message(SIZE), 11):
                return
        asyncio.get_running_loop().call_soon(self.pour, endpoint, assoc)

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        self.pour(endpoint, assoc)


def test_a_flood_does_not_starve_other_associations(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with transport(back_end) as made:
            at_server, quiet, loud = Server(), Recorder(), Flooder()
            server = await made.endpoint(at_server, addresses=[HOST])
            first = await made.endpoint(loud, addresses=[HOST], listen=False)
            flood = first.connect([HOST], server.port)
            await at_server.until(lambda: len(at_server.up) == 1)
            await loud.until(lambda: len(loud.up) == 1)
            (at_server.flooding,) = at_server.up
            second = await made.endpoint(quiet, addresses=[HOST], listen=False)
            assoc = second.connect([HOST], server.port)
            await quiet.until(lambda: len(quiet.up) == 1)
            at_server.turn()
            loud.pour(first, flood)
            for number in range(ANSWERS):
                assert second.send(assoc, message(SIZE, number), 11)
                await quiet.until(lambda: len(quiet.messages) > number)  # noqa: B023
            at_server.done = loud.done = True
            assert at_server.flooded > ANSWERS
            assert at_server.most <= MOST.get(back_end, at_server.most)
            first.abort(flood)

    run(main())

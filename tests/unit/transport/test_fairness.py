"""One association that sends without end keeps neither the others nor the loop waiting."""

import asyncio

from rserpool.transport.interface import Endpoint
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HOST, Recorder, message, transport

SIZE = 16
MOST = {"usrsctp": 3 * 1024, "kernel": 8 * 32, "tcp": (1 << 18) // SIZE}
"""Messages that may be handed over in one turn of the loop: usrsctp's by a reader, a wake-up and a timer; TCP's of what
the loops read at once."""
AT_ONCE = 2000
ANSWERS = 10


class Server(Recorder):
    """Counts messages by the turn of the loop, forgets the flood, and sends the others' back."""

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


def test_a_flood_does_not_starve_the_others(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with transport(back_end) as made:
            heard, quiet, loud = Server(), Recorder(), Flooder()
            server = await made.endpoint(heard, addresses=[HOST])
            first = await made.endpoint(loud, addresses=[HOST], listen=False)
            flood = first.connect([HOST], server.port)
            await heard.until(lambda: len(heard.up) == 1)
            await loud.until(lambda: len(loud.up) == 1)
            (heard.flooding,) = heard.up
            second = await made.endpoint(quiet, addresses=[HOST], listen=False)
            assoc = second.connect([HOST], server.port)
            await quiet.until(lambda: len(quiet.up) == 1)
            heard.turn()
            loud.pour(first, flood)
            for number in range(ANSWERS):
                assert second.send(assoc, message(SIZE, number), 11)
                await quiet.until(lambda: len(quiet.messages) > number)  # noqa: B023
            heard.done = loud.done = True
            assert heard.flooded > ANSWERS
            assert heard.most <= MOST.get(back_end, heard.most)
            first.abort(flood)

    run(main())

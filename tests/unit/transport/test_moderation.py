"""A moderated loop gives the same service as any other, over TCP and usrsctp."""

import asyncio

import pytest

from rserpool.registrar.moderation import Moderation
from rserpool.transport.interface import Endpoint
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HOST, Recorder, transport
from tests.unit.transport.test_lanes import REQUEST, Server, lane_of_one_pool

REQUESTS = 2_000
ENOUGH = 3
"""Rests."""


class Asker(Recorder):
    """Sends requests while there is room."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def pour(self, endpoint: Endpoint, total: int) -> None:
        while self.asked < total and endpoint.send(next(iter(self.up)), REQUEST, 11):
            self.asked += 1


@pytest.mark.parametrize("stack", ["tcp", "usrsctp"])
@pytest.mark.parametrize("moderated", [True, False])
def test_all_requests_are_answered_in_order(run: Run, stack: str, moderated: bool) -> None:
    async def main() -> None:
        moderation = Moderation(  # every message counts as open-loop
            asyncio.get_running_loop(), 1e-9, clock=lambda: 0.0, sleep=lambda seconds: None
        )
        same = lane_of_one_pool()
        async with transport(stack) as made, transport(stack) as others:
            at_server, asker = Server(), Asker()
            server = await made.endpoint(at_server, addresses=[HOST])
            client = await others.endpoint(asker, addresses=[HOST], listen=False)
            client.connect([HOST], server.port)
            await at_server.until(lambda: bool(at_server.up))
            await asker.until(lambda: bool(asker.up))
            at_server.attach(server)
            if moderated:
                moderation.add_lane(at_server.lane)
            total = 0
            while total < REQUESTS or (moderated and moderation.rests < ENOUGH):
                total += REQUESTS
                while len(asker.messages) < total:
                    asker.pour(client, total)
                    await asyncio.sleep(0)
            assert [data for _, data, _ in asker.messages] == [same.answer(REQUEST, 0) for _ in range(total)]
            assert bool(moderation.rests) == moderated

    run(main())

"""Pausing an association: every back end must hold its messages, block its sender and keep the order."""

import asyncio

import pytest

from rserpool.transport.interface import AssociationGone, Down, Endpoint
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HASTY, HOST, Pair, Recorder, message, pair

AHEAD = 40 << 20
"""More octets than all buffers between two peers hold together."""
STEADY = 0.3
"""Seconds without room that show a blocked association, while another association makes round trips."""


class Second:
    """Another client of a pair's server, which echoes its messages."""

    def __init__(self, p: Pair, back_end: str) -> None:
        self.pair = p
        self.back_end = back_end
        self.at_client = Recorder()
        self.trips = 0

    async def connect(self) -> None:
        server, at_server = self.pair.server, self.pair.at_server
        self.endpoint = await self.pair.transport.endpoint(
            self.at_client, addresses=[HOST], listen=self.back_end != "tcp"
        )
        before = set(at_server.up)
        self.assoc = self.endpoint.connect([HOST], server.port)
        await self.at_client.until(lambda: self.assoc in self.at_client.up)
        await at_server.until(lambda: len(at_server.up) > len(before))
        (self.server_assoc,) = set(at_server.up) - before

    async def round_trip(self) -> None:
        """Send a message to the server, and wait for its echo."""
        at_server = self.pair.at_server
        count = sum(assoc == self.server_assoc for assoc, _, _ in at_server.messages)
        assert self.endpoint.send(self.assoc, message(16, self.trips), 11)
        await at_server.until(lambda: sum(assoc == self.server_assoc for assoc, _, _ in at_server.messages) > count)
        assert self.pair.server.send(self.server_assoc, message(16, self.trips), 11)
        self.trips += 1
        await self.at_client.until(lambda: len(self.at_client.messages) == self.trips)


def numbers(p: Pair) -> list[int]:
    """Return the numbers of the received messages of the pair's client."""
    return [int.from_bytes(data[4:8]) for assoc, data, _ in p.at_server.messages if assoc == p.server_assoc]


def test_a_paused_association_waits_while_others_continue(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            other = Second(p, back_end)
            await other.connect()
            p.server.pause(p.server_assoc)
            for number in range(50):
                assert p.client.send(p.assoc, message(1000, number), 11)
            for _ in range(10):
                await other.round_trip()
            assert numbers(p) == []
            p.at_server.in_call = True
            p.server.resume(p.server_assoc)
            p.at_server.in_call = False
            await p.at_server.until(lambda: len(numbers(p)) == 50)
            assert numbers(p) == list(range(50))
            assert p.client.send(p.assoc, message(1000, 50), 11)
            await p.at_server.until(lambda: len(numbers(p)) == 51)

    run(main())


def test_an_association_can_be_paused_at_every_message(back_end: str, run: Run) -> None:
    """Messages are delivered one by one even if they arrived in one batch."""

    class OneByOne(Recorder):
        paused = False

        def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
            assert not self.paused
            self.paused = True
            endpoint.pause(assoc)
            super().on_message(endpoint, assoc, data, ppid)

    async def main() -> None:
        async with pair(back_end) as p:
            at_server = OneByOne()
            p.server.handler = at_server  # type: ignore[attr-defined]
            for number in range(100):
                assert p.client.send(p.assoc, message(500, number), 11)
            for number in range(100):
                await at_server.until(lambda number=number: len(at_server.messages) > number)  # type: ignore[misc]
                assert [int.from_bytes(data[4:8]) for _, data, _ in at_server.messages] == list(range(number + 1))
                at_server.paused = False
                p.server.resume(p.server_assoc)

    run(main())


def test_an_association_can_be_paused_and_resumed_at_every_message(back_end: str, run: Run) -> None:
    class Restless(Recorder):
        def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
            super().on_message(endpoint, assoc, data, ppid)
            endpoint.pause(assoc)
            endpoint.resume(assoc)

    async def main() -> None:
        async with pair(back_end) as p:
            at_server = p.server.handler = Restless()  # type: ignore[attr-defined]
            for number in range(100):
                assert p.client.send(p.assoc, message(500, number), 11)
            await at_server.until(lambda: len(at_server.messages) == 100)
            assert [int.from_bytes(data[4:8]) for _, data, _ in at_server.messages] == list(range(100))

    run(main())


async def fill(p: Pair, other: Second, number: int) -> int:
    """Send until the paused server's window is closed, timed by the other association; return the next number."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    while loop.time() < since + STEADY:
        while number * 4000 < AHEAD and p.client.send(p.assoc, message(4000, number), 11):
            number += 1
            since = loop.time()
        await other.round_trip()
    return number


def test_the_sender_of_a_paused_association_is_blocked(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            other = Second(p, back_end)
            await other.connect()
            number = 0
            for _ in range(3):
                p.server.pause(p.server_assoc)
                number = await fill(p, other, number)
                assert number * 4000 < AHEAD
                p.server.resume(p.server_assoc)
                await p.at_server.until(lambda number=number: len(numbers(p)) == number)  # type: ignore[misc]
            assert numbers(p) == list(range(number))
            assert not p.at_server.down
            assert not p.at_client.down

    run(main())


async def part(p: Pair, other: Second) -> None:
    """Pause the server's association, let messages wait, and resume it. SCTP back ends have then peeled it off."""
    p.server.pause(p.server_assoc)
    for number in range(20):
        assert p.client.send(p.assoc, message(1000, number), 11)
    await other.round_trip()
    assert numbers(p) == []
    p.server.resume(p.server_assoc)
    await p.at_server.until(lambda: len(numbers(p)) == 20)


@pytest.mark.parametrize("side", ["client", "server"])
def test_an_association_works_as_before_after_a_pause(back_end: str, run: Run, side: str) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            other = Second(p, back_end)
            await other.connect()
            await part(p, other)
            assert p.server.peer_addresses(p.server_assoc) == p.at_server.up[p.server_assoc].addresses
            rtt = p.server.rtt(p.server_assoc)
            assert rtt is None or 0 <= rtt < 10
            if back_end != "tcp":
                assert p.server.connect([HOST], p.client.port) == p.server_assoc
                assert p.client.connect([HOST], p.server.port) == p.assoc
            number = 0
            while p.server.send(p.server_assoc, message(4000, number), 11):
                number += 1
            await p.at_server.until(lambda: bool(p.at_server.writable))
            assert p.server.send(p.server_assoc, message(4000, number), 11)
            await p.at_client.until(lambda: len(p.at_client.messages) == number + 1)
            assert p.client.send(p.assoc, message(60_000, 20), 11)
            if side == "client":
                p.client.shutdown(p.assoc)
            else:
                await p.at_server.until(lambda: len(numbers(p)) == 21)
                p.server.shutdown(p.server_assoc)
            await p.at_server.until(lambda: bool(p.at_server.down))
            await p.at_client.until(lambda: bool(p.at_client.down))
            assert numbers(p) == list(range(21))
            assert p.at_server.reasons == p.at_client.reasons == [Down.SHUTDOWN]
            await other.round_trip()

    run(main())


def test_an_association_can_be_aborted_after_a_pause(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            other = Second(p, back_end)
            await other.connect()
            await part(p, other)
            p.server.abort(p.server_assoc)
            await p.at_server.until(lambda: bool(p.at_server.down))
            await p.at_client.until(lambda: bool(p.at_client.down))
            assert p.at_server.reasons == p.at_client.reasons == [Down.ABORTED]
            if back_end != "tcp":
                again = p.client.connect([HOST], p.server.port)
                await p.at_client.until(lambda: again in p.at_client.up)

    run(main())


def test_many_associations_can_be_paused_at_once(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            at_server = p.at_server
            others = [Second(p, back_end) for _ in range(50)]
            for other in others:
                await other.connect()
                p.server.pause(other.server_assoc)
                for number in range(20):
                    assert other.endpoint.send(other.assoc, message(2000, number), 11)
            assert p.client.send(p.assoc, message(), 11)
            await at_server.until(lambda: bool(at_server.messages))
            assert {assoc for assoc, _, _ in at_server.messages} == {p.server_assoc}
            for other in others[:25]:
                p.server.resume(other.server_assoc)
            await at_server.until(lambda: len(at_server.messages) == 1 + 25 * 20)
            await p.server.close()
            for other in others:
                await other.at_client.until(lambda: bool(other.at_client.down))  # noqa: B023
            assert len(at_server.messages) == 1 + 25 * 20

    run(main())


def test_a_paused_association_can_send(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            p.client.pause(p.assoc)
            for number in range(20):
                assert p.client.send(p.assoc, message(100, number), 11)
            await p.at_server.until(lambda: len(numbers(p)) == 20)

    run(main())


def test_a_shutdown_is_reported_after_the_held_messages(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            p.server.pause(p.server_assoc)
            for number in range(20):
                assert p.client.send(p.assoc, message(1000, number), 11)
            p.client.shutdown(p.assoc)
            await p.at_client.until(lambda: bool(p.at_client.down))
            assert numbers(p) == []
            assert not p.at_server.down
            p.server.resume(p.server_assoc)
            await p.at_server.until(lambda: bool(p.at_server.down))
            assert p.at_server.order == ["up"] + ["message"] * 20 + ["down"]
            assert p.at_server.down == [(p.server_assoc, Down.SHUTDOWN)]

    run(main())


@pytest.mark.parametrize("waiting", [0, 20])
def test_an_abort_by_the_peer_is_reported_at_once(back_end: str, run: Run, waiting: int) -> None:
    if back_end == "tcp":
        pytest.skip("nobody looks at a paused connection")

    async def main() -> None:
        async with pair(back_end) as p:
            other = Second(p, back_end)
            await other.connect()
            p.server.pause(p.server_assoc)
            for number in range(waiting):
                assert p.client.send(p.assoc, message(1000, number), 11)
            await other.round_trip()
            p.client.abort(p.assoc)
            await p.at_server.until(lambda: bool(p.at_server.down))
            assert p.at_server.down == [(p.server_assoc, Down.ABORTED)]
            assert numbers(p) == []
            p.server.resume(p.server_assoc)
            await other.round_trip()
            assert numbers(p) == []

    run(main())


@pytest.mark.parametrize("gone", [False, True])
def test_a_paused_association_can_be_aborted(back_end: str, run: Run, gone: bool) -> None:
    """This includes an association that its peer has already shut down."""

    async def main() -> None:
        async with pair(back_end) as p:
            other = Second(p, back_end)
            await other.connect()
            p.server.pause(p.server_assoc)
            for number in range(20):
                assert p.client.send(p.assoc, message(1000, number), 11)
            if gone:
                p.client.shutdown(p.assoc)
                await p.at_client.until(lambda: bool(p.at_client.down))
            await other.round_trip()
            p.server.abort(p.server_assoc)
            await p.at_server.until(lambda: bool(p.at_server.down))
            assert p.at_server.down == [(p.server_assoc, Down.ABORTED)]
            assert numbers(p) == []
            await p.at_client.until(lambda: bool(p.at_client.down))

    run(main())


def test_a_shutdown_waits_while_the_peers_window_is_closed(back_end: str, run: Run) -> None:
    """A stack that is shutting down would treat the peer as silent after some probes, here after 0.4 s."""

    async def main() -> None:
        async with pair(back_end, tuning=HASTY) as p:
            other = Second(p, back_end)
            await other.connect()
            p.server.pause(p.server_assoc)
            number = await fill(p, other, 0)
            p.client.shutdown(p.assoc)
            with pytest.raises(AssociationGone):
                p.client.send(p.assoc, message(), 11)
            loop = asyncio.get_running_loop()
            began = loop.time()
            while loop.time() < began + 1.0:
                await other.round_trip()
            assert not p.at_client.down
            p.server.resume(p.server_assoc)
            await p.at_server.until(lambda: bool(p.at_server.down))
            await p.at_client.until(lambda: bool(p.at_client.down))
            assert numbers(p) == list(range(number))
            assert p.at_server.reasons == p.at_client.reasons == [Down.SHUTDOWN]

    if back_end == "memory":
        pytest.skip("it knows no probes")
    run(main())


def test_pause_and_resume_ignore_unknown_associations(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            for assoc in (p.assoc, 12345):
                p.client.resume(assoc)
            p.client.pause(12345)
            p.client.abort(p.assoc)
            await p.at_client.until(lambda: bool(p.at_client.down))
            p.client.pause(p.assoc)
            p.client.resume(p.assoc)

    run(main())


def test_an_endpoint_closes_with_a_paused_association(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            p.server.pause(p.server_assoc)
            for number in range(20):
                assert p.client.send(p.assoc, message(1000, number), 11)
            await p.server.close()
            await p.at_client.until(lambda: bool(p.at_client.down))
            assert not p.at_server.down

    run(main())

"""What every back end must do with an association whose owner cannot take more: hold, slow down, keep the order."""

import asyncio

import pytest

from rserpool.transport.interface import AssociationGone, Down, Endpoint
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HASTY, HOST, Pair, Recorder, message, pair

AHEAD = 40 << 20
"""Octets that no paused peer takes: all buffers between together hold less."""
STEADY = 0.3
"""Seconds without room, full of round trips beside it, after which an association is taken for blocked."""


class Second:
    """Another client of a pair's server, whose messages come back."""

    def __init__(self, p: Pair, back_end: str) -> None:
        self.pair = p
        self.back_end = back_end
        self.said = Recorder()
        self.trips = 0

    async def connect(self) -> None:
        server, heard = self.pair.server, self.pair.at_server
        self.endpoint = await self.pair.transport.endpoint(self.said, addresses=[HOST], listen=self.back_end != "tcp")
        before = set(heard.up)
        self.assoc = self.endpoint.connect([HOST], server.port)
        await self.said.until(lambda: self.assoc in self.said.up)
        await heard.until(lambda: len(heard.up) > len(before))
        (self.server_assoc,) = set(heard.up) - before

    async def round_trip(self) -> None:
        """Once to the server and back."""
        heard = self.pair.at_server
        count = sum(assoc == self.server_assoc for assoc, _, _ in heard.messages)
        assert self.endpoint.send(self.assoc, message(16, self.trips), 11)
        await heard.until(lambda: sum(assoc == self.server_assoc for assoc, _, _ in heard.messages) > count)
        assert self.pair.server.send(self.server_assoc, message(16, self.trips), 11)
        self.trips += 1
        await self.said.until(lambda: len(self.said.messages) == self.trips)


def numbers(p: Pair) -> list[int]:
    """Those of the messages that the pair's client has sent."""
    return [int.from_bytes(data[4:8]) for assoc, data, _ in p.at_server.messages if assoc == p.server_assoc]


def test_a_paused_association_waits_and_others_go_on(back_end: str, run: Run) -> None:
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


def test_pausing_at_every_message(back_end: str, run: Run) -> None:
    """One by one, whatever came in the same batch."""

    class OneByOne(Recorder):
        paused = False

        def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
            assert not self.paused
            self.paused = True
            endpoint.pause(assoc)
            super().on_message(endpoint, assoc, data, ppid)

    async def main() -> None:
        async with pair(back_end) as p:
            heard = OneByOne()
            p.server.handler = heard  # type: ignore[attr-defined]
            for number in range(100):
                assert p.client.send(p.assoc, message(500, number), 11)
            for number in range(100):
                await heard.until(lambda number=number: len(heard.messages) > number)  # type: ignore[misc]
                assert [int.from_bytes(data[4:8]) for _, data, _ in heard.messages] == list(range(number + 1))
                heard.paused = False
                p.server.resume(p.server_assoc)

    run(main())


def test_pausing_and_resuming_at_every_message(back_end: str, run: Run) -> None:
    class Restless(Recorder):
        def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
            super().on_message(endpoint, assoc, data, ppid)
            endpoint.pause(assoc)
            endpoint.resume(assoc)

    async def main() -> None:
        async with pair(back_end) as p:
            heard = p.server.handler = Restless()  # type: ignore[attr-defined]
            for number in range(100):
                assert p.client.send(p.assoc, message(500, number), 11)
            await heard.until(lambda: len(heard.messages) == 100)
            assert [int.from_bytes(data[4:8]) for _, data, _ in heard.messages] == list(range(100))

    run(main())


async def fill(p: Pair, other: Second, number: int) -> int:
    """Send until the paused server takes no more, which is seen by the other association; the next number."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    while loop.time() < since + STEADY:
        while number * 4000 < AHEAD and p.client.send(p.assoc, message(4000, number), 11):
            number += 1
            since = loop.time()
        await other.round_trip()
    return number


def test_the_sender_of_a_paused_association_is_slowed(back_end: str, run: Run) -> None:
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
    """Pause the server's association, let messages wait there, and resume it: SCTP stacks then keep it apart."""
    p.server.pause(p.server_assoc)
    for number in range(20):
        assert p.client.send(p.assoc, message(1000, number), 11)
    await other.round_trip()
    assert numbers(p) == []
    p.server.resume(p.server_assoc)
    await p.at_server.until(lambda: len(numbers(p)) == 20)


@pytest.mark.parametrize("side", ["client", "server"])
def test_an_association_that_was_paused_is_like_any_other(back_end: str, run: Run, side: str) -> None:
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


def test_an_association_that_was_paused_can_be_aborted(back_end: str, run: Run) -> None:
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


def test_many_paused_at_once(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            heard = p.at_server
            others = [Second(p, back_end) for _ in range(50)]
            for other in others:
                await other.connect()
                p.server.pause(other.server_assoc)
                for number in range(20):
                    assert other.endpoint.send(other.assoc, message(2000, number), 11)
            assert p.client.send(p.assoc, message(), 11)
            await heard.until(lambda: bool(heard.messages))
            assert {assoc for assoc, _, _ in heard.messages} == {p.server_assoc}
            for other in others[:25]:
                p.server.resume(other.server_assoc)
            await heard.until(lambda: len(heard.messages) == 1 + 25 * 20)
            await p.server.close()
            for other in others:
                await other.said.until(lambda: bool(other.said.down))  # noqa: B023
            assert len(heard.messages) == 1 + 25 * 20

    run(main())


def test_a_paused_association_still_sends(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            p.client.pause(p.assoc)
            for number in range(20):
                assert p.client.send(p.assoc, message(100, number), 11)
            await p.at_server.until(lambda: len(numbers(p)) == 20)

    run(main())


def test_an_orderly_end_waits_behind_the_messages(back_end: str, run: Run) -> None:
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
def test_a_peer_that_aborts_is_told_at_once(back_end: str, run: Run, waiting: int) -> None:
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
    """Also one that its peer has already ended in order."""

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


def test_an_orderly_end_waits_for_a_closed_window(back_end: str, run: Run) -> None:
    """A stack that shuts down would take the peer for silent after some probes: here after 0.4 s."""

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


def test_what_is_not_there_is_neither_paused_nor_resumed(back_end: str, run: Run) -> None:
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


def test_a_paused_association_does_not_hinder_closing(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            p.server.pause(p.server_assoc)
            for number in range(20):
                assert p.client.send(p.assoc, message(1000, number), 11)
            await p.server.close()
            await p.at_client.until(lambda: bool(p.at_client.down))
            assert not p.at_server.down

    run(main())

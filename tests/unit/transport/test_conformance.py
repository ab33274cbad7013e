"""The requirements on every back end, tested on each kind of loop."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from rserpool.errors import LocalProtocolError
from rserpool.transport.interface import MAX_MESSAGE_OCTETS, MAX_USER_MESSAGE, AssociationGone, Down
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HASTY, HOST, LOOPBACK, Recorder, message, pair, transport

MANY = 1000


def test_on_up_reports_the_peer_on_both_sides(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            peer = p.at_client.up[p.assoc]
            assert (peer.addresses, peer.port) == ((LOOPBACK,), p.server.port)
            peer = p.at_server.up[p.server_assoc]
            assert peer.addresses == (LOOPBACK,)
            assert peer.sctp == (back_end != "tcp")
            assert peer.sctp is False or peer.port == p.client.port
            assert peer.principal.anonymous
            assert p.client.peer_addresses(p.assoc) == (LOOPBACK,)
            assert p.server.peer_addresses(p.server_assoc) == (LOOPBACK,)
            assert p.server.local_addresses == (LOOPBACK,)

    run(main())


def test_ppid_and_octets_arrive_unchanged(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end, echo=True) as p:
            ppids = [11] if back_end == "tcp" else [11, 12, 0, 0x8000000B, 0xFFFFFFFF]
            for number, ppid in enumerate(ppids):
                assert p.client.send(p.assoc, message(20, number), ppid)
            await p.at_client.until(lambda: len(p.at_client.messages) == len(ppids))
            expected = [(message(20, number), ppid) for number, ppid in enumerate(ppids)]
            assert [(data, ppid) for _, data, ppid in p.at_server.messages] == expected
            assert [(data, ppid) for _, data, ppid in p.at_client.messages] == expected
            assert {assoc for assoc, _, _ in p.at_client.messages} == {p.assoc}

    run(main())


def test_large_messages_arrive_in_both_directions(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end, echo=True) as p:
            sizes = [60_000, 65_532, 8, 60_000]
            for size in sizes:
                assert p.client.send(p.assoc, message(size), 11)
            await p.at_client.until(lambda: len(p.at_client.messages) == len(sizes))
            assert [data for _, data, _ in p.at_client.messages] == [message(size) for size in sizes]

    run(main())


def test_user_messages_may_be_longer(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end, echo=True, max_message=MAX_USER_MESSAGE) as p:
            limit = p.client.max_message
            assert limit == p.server.max_message == (MAX_MESSAGE_OCTETS if back_end == "tcp" else MAX_USER_MESSAGE)
            with pytest.raises(LocalProtocolError):
                p.client.send(p.assoc, bytes(limit + 1), 11)
            largest = message(min(limit, 0xFFFC)) + bytes(max(limit - 0xFFFC, 0) if back_end != "tcp" else 0)
            for expected in range(1, 6):
                assert p.client.send(p.assoc, largest, 11)
                await p.at_client.until(lambda: len(p.at_client.messages) == expected)  # noqa: B023
            assert p.at_client.messages == [(p.assoc, largest, 11)] * 5

    run(main())


def test_a_message_beyond_the_receivers_limit_aborts_the_association(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with transport(back_end) as made:
            at_server, at_client = Recorder(), Recorder()
            server = await made.endpoint(at_server, addresses=[HOST], max_message=50_000)
            client = await made.endpoint(at_client, addresses=[HOST], listen=back_end != "tcp")
            assoc = client.connect([HOST], server.port)
            await at_client.until(lambda: assoc in at_client.up)
            assert client.send(assoc, message(50_000), 11)
            assert client.send(assoc, message(50_004), 11)
            await at_client.until(lambda: bool(at_client.down))
            await at_server.until(lambda: bool(at_server.down))
            assert at_server.reasons == at_client.reasons == [Down.ABORTED]
            assert [data for _, data, _ in at_server.messages] == [message(50_000)]

    run(main())


@pytest.mark.parametrize("size", [0, MAX_MESSAGE_OCTETS + 1])
def test_messages_of_a_wrong_size_are_refused(back_end: str, run: Run, size: int) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            with pytest.raises(LocalProtocolError):
                p.client.send(p.assoc, bytes(size), 11)

    run(main())


def test_a_shutdown_delivers_messages_first(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            for number in range(50):
                assert p.client.send(p.assoc, message(1000, number), 11)
            p.client.shutdown(p.assoc)
            await p.at_server.until(lambda: bool(p.at_server.down))
            await p.at_client.until(lambda: bool(p.at_client.down))
            assert [data for _, data, _ in p.at_server.messages] == [message(1000, n) for n in range(50)]
            assert p.at_server.down == [(p.server_assoc, Down.SHUTDOWN)]
            assert p.at_client.down == [(p.assoc, Down.SHUTDOWN)]
            with pytest.raises(AssociationGone):
                p.server.send(p.server_assoc, message(), 11)

    run(main())


@pytest.mark.parametrize("side", ["client", "server"])
def test_abort_ends_both_sides(back_end: str, run: Run, side: str) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            endpoint, assoc = (p.client, p.assoc) if side == "client" else (p.server, p.server_assoc)
            recorder, other = (p.at_client, p.at_server) if side == "client" else (p.at_server, p.at_client)
            recorder.in_call = True
            endpoint.abort(assoc)
            endpoint.abort(assoc)
            with pytest.raises(AssociationGone):
                endpoint.send(assoc, message(), 11)
            recorder.in_call = False
            await recorder.until(lambda: bool(recorder.down))
            await other.until(lambda: bool(other.down))
            assert recorder.reasons == [Down.ABORTED]
            assert other.reasons == [Down.ABORTED]

    run(main())


def test_an_association_with_a_closed_port_cannot_start(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with transport(back_end, HASTY) as made:
            recorder = Recorder()
            endpoint = await made.endpoint(recorder, addresses=[HOST], listen=back_end != "tcp")
            other = await made.endpoint(Recorder(), addresses=[HOST])
            port = other.port
            await other.close()
            assoc = endpoint.connect([HOST], port)
            await recorder.until(lambda: bool(recorder.down))
            assert recorder.down == [(assoc, Down.CANT_START)]
            assert not recorder.up

    run(main())


def test_connecting_can_be_aborted(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with transport(back_end) as made:
            recorder = Recorder()
            endpoint = await made.endpoint(recorder, addresses=[HOST], listen=back_end != "tcp")
            assoc = endpoint.connect([HOST], 9)
            endpoint.abort(assoc)
            await recorder.until(lambda: bool(recorder.down))
            assert recorder.down == [(assoc, Down.CANT_START)]

    run(main())


def test_a_second_connect_to_a_peer_returns_the_same_association(back_end: str, run: Run) -> None:
    if back_end == "tcp":
        pytest.skip("every TCP connect makes a connection of its own")

    async def main() -> None:
        async with pair(back_end) as p:
            assert p.client.connect([HOST], p.server.port) == p.assoc
            assert p.server.connect([HOST], p.client.port) == p.server_assoc
            assert p.client.send(p.assoc, message(), 11)
            await p.at_server.until(lambda: bool(p.at_server.messages))
            assert len(p.at_client.up) == len(p.at_server.up) == 1

    run(main())


def test_two_peers_that_connect_at_once_get_one_association(back_end: str, run: Run) -> None:
    if back_end == "tcp":
        pytest.skip("a TCP client has no port to connect to")

    async def main() -> None:
        async with transport(back_end) as made:
            left, right = Recorder(), Recorder()
            one = await made.endpoint(left, addresses=[HOST])
            two = await made.endpoint(right, addresses=[HOST])
            here, there = one.connect([HOST], two.port), two.connect([HOST], one.port)
            await left.until(lambda: here in left.up)
            await right.until(lambda: there in right.up)
            assert one.send(here, message(), 11)
            await right.until(lambda: bool(right.messages))
            assert right.messages == [(there, message(), 11)]
            assert not left.down
            assert not right.down

    run(main())


def test_no_message_is_lost_or_reordered_under_back_pressure(back_end: str, run: Run) -> None:
    total = 12_000 if back_end in ("kernel", "tcp") else 3_000

    async def main() -> None:
        async with pair(back_end) as p:
            number = blocks = 0
            while number < total:
                while number < total and p.client.send(p.assoc, message(1000, number), 11):
                    number += 1
                if number < total:
                    blocks += 1
                    again = p.client.send(p.assoc, message(1000, number), 11)
                    assert not again or back_end == "kernel"  # the kernel may have made room in between
                    number += again
                    await p.at_client.until(lambda: len(p.at_client.writable) >= blocks)  # noqa: B023
            assert blocks > 0
            await p.at_server.until(lambda: len(p.at_server.messages) >= total)
            numbers = [int.from_bytes(data[4:8]) for _, data, _ in p.at_server.messages]
            assert numbers == list(range(total))
            assert set(p.at_client.writable) == {p.assoc}

    run(main())


def test_the_handler_is_never_called_from_inside_a_call(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end, echo=True) as p:
            for recorder in (p.at_client, p.at_server):
                recorder.in_call = True
            while p.client.send(p.assoc, message(1000), 11):
                pass
            p.client.shutdown(p.assoc)
            p.server.abort(p.server_assoc)
            for recorder in (p.at_client, p.at_server):
                recorder.in_call = False
            await p.at_client.until(lambda: bool(p.at_client.down))
            await p.at_server.until(lambda: bool(p.at_server.down))

    run(main())


def test_a_thousand_associations_work_at_once(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with transport(back_end) as made:
            at_server, at_client = Recorder(echo=True), Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            clients = [await made.endpoint(at_client, addresses=[HOST], listen=False) for _ in range(MANY)]
            assocs = []
            for begin in range(0, MANY, 50):
                assocs += [client.connect([HOST], server.port) for client in clients[begin : begin + 50]]
                await at_client.until(lambda: at_client.order.count("up") == len(assocs))  # noqa: B023
            for number, (client, assoc) in enumerate(zip(clients, assocs, strict=True)):
                assert client.send(assoc, message(16, number), 11)
            await at_client.until(lambda: len(at_client.messages) == MANY)
            assert len(at_server.up) == len({assoc for assoc, _, _ in at_server.messages}) == MANY
            assert {data for _, data, _ in at_client.messages} == {message(16, number) for number in range(MANY)}
            assert not at_server.down
            assert not at_client.down

    run(main())


def test_the_error_names_a_taken_port(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with transport(back_end) as made:
            first = await made.endpoint(Recorder(), addresses=[HOST])
            with pytest.raises(OSError, match=rf"127\.0\.0\.1 port {first.port}: Address already in use"):
                await made.endpoint(Recorder(), addresses=[HOST], port=first.port)
            port = first.port
            await first.close()
            again = await made.endpoint(Recorder(), addresses=[HOST], port=port)
            assert again.port == port

    run(main())


def test_close_shuts_down_and_stops_calling_the_handler(back_end: str, run: Run) -> None:
    async def main() -> None:
        async with pair(back_end) as p:
            before = len(p.at_client.order)
            await asyncio.gather(p.client.close(), p.client.close())
            await p.at_server.until(lambda: bool(p.at_server.down))
            assert p.at_server.reasons == [Down.SHUTDOWN]
            assert len(p.at_client.order) == before

    run(main())


def test_a_failing_handler_is_reported_and_ends_nothing(back_end: str) -> None:
    if back_end == "memory":
        pytest.skip("memory lets the exception through to run()")

    class Failing(Recorder):
        def on_message(self, endpoint: object, assoc: int, data: bytes, ppid: int) -> None:
            super().on_message(endpoint, assoc, data, ppid)  # type: ignore[arg-type]
            raise ZeroDivisionError

    async def main() -> None:
        reported: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: reported.append(context["exception"]))
        async with pair(back_end) as p:
            failing = p.server.handler = Failing()  # type: ignore[attr-defined]
            for number in range(2):
                assert p.client.send(p.assoc, message(16, number), 11)
            await failing.until(lambda: len(failing.messages) == 2)
            assert [type(error) for error in reported] == [ZeroDivisionError] * 2
            assert not p.at_client.down

    asyncio.run(main())


def test_no_descriptor_is_left_open(back_end: str, run: Run) -> None:
    def descriptors() -> list[str]:
        """Describe every descriptor of this process except the loop's, which outlives the transport."""
        found = []
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(str(descriptor.readlink()).partition("[")[0])
        return sorted(found)

    async def main() -> None:
        async with pair(back_end):
            pass
        before = descriptors()
        for _ in range(3):
            async with pair(back_end, echo=True) as p:
                assert p.client.send(p.assoc, message(), 11)
                await p.at_client.until(lambda p=p: bool(p.at_client.messages))  # type: ignore[misc]
                p.server.pause(p.server_assoc)
                for number in range(20):
                    assert p.client.send(p.assoc, message(1000, number), 11)
                p.client.shutdown(p.assoc)
                await p.at_client.until(lambda p=p: bool(p.at_client.down))  # type: ignore[misc]
        assert descriptors() == before

    run(main())

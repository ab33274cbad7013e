"""SCTP in the process only: peers that vanish silently, forged packets, forks."""

import asyncio
import multiprocessing
import os
import socket
import struct
from unittest import mock

import pytest

from rserpool._fast.io.usrsctp import stack
from rserpool.transport.interface import FAST, Down, Tuning
from rserpool.transport.sctp import endpoint as sctp_endpoint
from rserpool.transport.sctp.usrsctp import IDLE_TICK, Ticker, UsrsctpEndpoint
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HASTY, HOST, LIMIT, Recorder, message, pair, transport

pytestmark = pytest.mark.needs_usrsctp


def vanish(endpoint: UsrsctpEndpoint, *, machine: bool = False) -> None:
    """End like a killed process or, with ``machine``, like a dead machine, from which no ICMP message comes either."""
    for sock in endpoint._sockets.sockets:
        endpoint.forget_udp_socket(sock.fileno())
    endpoint.close_socket()
    endpoint.last_removed()
    if not machine:
        endpoint.release()


def test_a_peer_that_vanishes_is_lost(run: Run) -> None:
    async def main() -> None:
        async with pair("usrsctp", tuning=HASTY) as p:
            assert isinstance(p.server, UsrsctpEndpoint)
            vanish(p.server, machine=True)
            assert p.client.send(p.assoc, message(), 11)
            await p.at_client.until(lambda: bool(p.at_client.down))
            assert p.at_client.down == [(p.assoc, Down.LOST)]

    run(main())


@pytest.mark.parametrize(("count", "milliseconds"), [(1, 10), (1000, 10), (2000, 20), (3000, 30), (100_000, 30)])
def test_the_tick_grows_with_thousands_of_associations(count: int, milliseconds: int) -> None:
    loop = mock.Mock()
    loop.time.return_value = 0.0
    ticker = Ticker(loop, Tuning())
    ticker.add(mock.Mock(count=count - 1))
    ticker.add(mock.Mock(count=1))
    ticker.hurry()
    for _ in range(2):
        delay, expire = loop.call_later.call_args.args
        assert round(delay * 1000) == milliseconds
        assert not ticker.calm
        expire()
    loop.time.return_value = 60.0
    expire()
    assert loop.call_later.call_args.args[0] == IDLE_TICK
    assert ticker.calm


def test_a_row_of_messages_arrives_in_order(run: Run) -> None:
    async def main() -> None:
        async with pair("usrsctp") as p:
            assert isinstance(p.client, UsrsctpEndpoint)
            row = [b"%03d" % number + bytes(60) for number in range(60)]
            assert p.client.send_row(p.assoc, row, 11) == len(row)
            await p.at_server.until(lambda: len(p.at_server.messages) >= len(row))
            assert [data for _, data, _ in p.at_server.messages] == row

    run(main())


def test_a_peer_that_lost_its_state_aborts(run: Run) -> None:
    async def main() -> None:
        async with pair("usrsctp") as p:
            assert isinstance(p.server, UsrsctpEndpoint)
            port = p.server.port
            vanish(p.server)
            await p.transport.endpoint(Recorder(), addresses=[HOST], port=port)
            assert p.client.send(p.assoc, message(), 11)
            await p.at_client.until(lambda: bool(p.at_client.down))
            assert p.at_client.down == [(p.assoc, Down.ABORTED)]

    run(main())


def test_a_peer_that_restarts_keeps_its_association(run: Run) -> None:
    async def main() -> None:
        async with pair("usrsctp", echo=True) as p:
            assert isinstance(p.client, UsrsctpEndpoint)
            port = p.client.port
            vanish(p.client)
            at_client = Recorder()
            again = await p.transport.endpoint(at_client, addresses=[HOST], port=port)
            assoc = again.connect([HOST], p.server.port)
            await at_client.until(lambda: assoc in at_client.up)
            assert again.send(assoc, message(), 11)
            await at_client.until(lambda: bool(at_client.messages))
            assert p.at_server.restarted == [p.server_assoc]
            assert p.at_server.order == ["up", "restart", "message"]

    run(main())


def test_packets_for_another_port_and_garbage_are_dropped(run: Run) -> None:
    async def main() -> None:
        async with pair("usrsctp", echo=True) as p:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                ports = p.client.port.to_bytes(2), p.server.port.to_bytes(2)
                for packet in (b"", b"\0" * 11, b"".join(ports) + b"\0" * 60, ports[1] * 2 + os.urandom(400)):
                    stranger.sendto(packet, (HOST, p.server.port))
            assert p.client.send(p.assoc, message(), 11)
            await p.at_client.until(lambda: bool(p.at_client.messages))
            assert p.at_server.order == ["up", "message"]

    run(main())


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def init(source: int, target: int) -> bytes:
    """An SCTP packet with an INIT chunk (RFC 9260 3.3.2)."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 0x01020304, 65536, 1, 1, 1)
    header = struct.pack("!HHI", source, target, 0)
    return header + struct.pack("<I", crc32c(header + bytes(4) + chunk)) + chunk


def test_a_socket_accepts_packets_for_its_own_port_only(run: Run) -> None:
    async def main() -> None:
        async with pair("usrsctp") as p:
            loop = asyncio.get_running_loop()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as stranger:
                stranger.bind((HOST, 0))
                for port in (p.client.port, p.server.port):
                    stranger.sendto(init(5, port), (HOST, p.server.port))
                answer = await asyncio.wait_for(loop.sock_recv(stranger, 65536), LIMIT)
                assert struct.unpack_from("!HH", answer) == (p.server.port, 5)
                assert answer[12] == 2

    run(main())


def test_forged_sources_replace_only_each_other(run: Run) -> None:
    limit = 1 << 14

    async def main() -> None:
        async with pair("usrsctp", echo=True) as p:
            packet = bytes(2) + p.server.port.to_bytes(2) + bytes(60)
            for number in range(limit + 500):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                    stranger.bind((f"127.1.{number >> 8}.{number & 255}", 0))
                    stranger.sendto(packet, (HOST, p.server.port))
                if number % 256 == 0:
                    await asyncio.sleep(0)
            assert p.client.send(p.assoc, message(), 11)
            await p.at_client.until(lambda: bool(p.at_client.messages))
            assert limit <= stack.remembered() <= limit + 2
            assert not p.at_client.down

    run(main())


def test_peers_with_different_udp_ports_are_distinguished(run: Run) -> None:
    """Two peers with the same address and SCTP port get their answers at the UDP ports that they send from."""

    async def main() -> None:
        async with relay() as middle, transport("usrsctp") as made:
            at_server, at_client = Recorder(echo=True), Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            client = await made.endpoint(at_client, addresses=[HOST])
            middle.target = HOST, server.port
            assoc = client.connect([HOST], server.port, udp_port=middle.port)
            await at_client.until(lambda: assoc in at_client.up)
            assert client.send(assoc, message(), 11)
            await at_client.until(lambda: bool(at_client.messages))
            ((server_assoc, peer),) = at_server.up.items()
            assert peer.port == client.port
            assert isinstance(server, UsrsctpEndpoint)
            assert server.peer_udp_port(server_assoc) not in (client.port, middle.port)

    run(main())


def test_a_peer_with_a_closed_window_is_not_lost(run: Run) -> None:
    """Without heartbeats the sender would give up after 4 answered probes, or after 30 of the same chunk."""
    restless = Tuning(rto_initial=0.02, rto_min=0.02, rto_max=0.02, association_retransmissions=3)
    probes = 300

    async def main() -> None:
        async with relay() as middle, transport("usrsctp", restless) as made:
            at_server, at_client = Recorder(), Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            client = await made.endpoint(at_client, addresses=[HOST])
            middle.target = HOST, server.port
            assoc = client.connect([HOST], server.port, udp_port=middle.port)
            await at_client.until(lambda: assoc in at_client.up)
            await at_server.until(lambda: bool(at_server.up))
            (server_assoc,) = at_server.up
            server.pause(server_assoc)
            number = 0
            async with asyncio.timeout(LIMIT):
                while middle.forwarded < 500 + probes:
                    while client.send(assoc, message(1000, number), 11):
                        number += 1
                    middle.news.clear()
                    await middle.news.wait()
            assert not at_client.down
            assert not at_server.messages
            server.resume(server_assoc)
            await at_server.until(lambda: len(at_server.messages) == number)
            assert [int.from_bytes(data[4:8]) for _, data, _ in at_server.messages] == list(range(number))

    with mock.patch.object(sctp_endpoint, "PROBE_INTERVAL", 0.1):
        run(main())


@pytest.mark.parametrize("busy", [True, False])
def test_a_silent_peer_is_lost_in_time(run: Run, busy: bool) -> None:
    async def main() -> None:
        async with relay() as middle, transport("usrsctp", FAST) as made:
            at_server, at_client = Recorder(echo=True), Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            client = await made.endpoint(at_client, addresses=[HOST])
            middle.target = HOST, server.port
            assoc = client.connect([HOST], server.port, udp_port=middle.port)
            await at_client.until(lambda: assoc in at_client.up)
            assert client.send(assoc, message(), 11)
            await at_client.until(lambda: bool(at_client.messages))
            middle.cut = True
            loop = asyncio.get_running_loop()
            began = loop.time()
            if busy:
                assert client.send(assoc, message(), 11)
            await at_client.until(lambda: bool(at_client.down))
            assert at_client.down == [(assoc, Down.LOST)]
            assert loop.time() - began < 2 * (FAST.found_busy if busy else FAST.found_idle)
            await at_server.until(lambda: bool(at_server.down))
            assert at_server.reasons == [Down.LOST]

    run(main())


class relay:  # noqa: N801
    """A UDP relay in front of a target, like a NAT."""

    def __init__(self) -> None:
        self.cut = False
        self.forwarded = 0
        self.news = asyncio.Event()
        self.target = self.source = (HOST, 0)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    async def __aenter__(self) -> "relay":
        self.front.bind((HOST, 0))
        self.back.bind((HOST, 0))
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.front, self.forward)
        self.loop.add_reader(self.back, self.backward)
        return self

    @property
    def port(self) -> int:
        port: int = self.front.getsockname()[1]
        return port

    def forward(self) -> None:
        data, self.source = self.front.recvfrom(65536)
        if not self.cut:
            self.back.sendto(data, self.target)
        self.forwarded += 1
        self.news.set()

    def backward(self) -> None:
        data, _ = self.back.recvfrom(65536)
        if not self.cut:
            self.front.sendto(data, self.source)

    async def __aexit__(self, *_: object) -> None:
        for sock in (self.front, self.back):
            self.loop.remove_reader(sock)
            sock.close()


def test_ipv4_and_ipv6_work_at_once(run: Run) -> None:
    async def main() -> None:
        async with transport("usrsctp") as made:
            at_server, at_client = Recorder(echo=True), Recorder()
            server = await made.endpoint(at_server, addresses=[HOST, "::1"])
            client = await made.endpoint(at_client, addresses=["::1"])
            assoc = client.connect([HOST, "::1"], server.port)
            await at_client.until(lambda: assoc in at_client.up)
            assert [str(a) for a in client.peer_addresses(assoc)] == ["::1"]

    run(main())


def _in_child(inherited: UsrsctpEndpoint, assoc: int, queue: "multiprocessing.Queue[object]") -> None:
    """Use the parent's endpoint, and open another."""

    async def main() -> None:
        inherited.send(assoc, message(number=99), 11)
        async with pair("usrsctp", echo=True) as p:
            for number in range(3):
                assert p.client.send(p.assoc, message(number=number), 11)
            await p.at_client.until(lambda: len(p.at_client.messages) == 3)
            inherited.abort(assoc)
            inherited.close_socket()
            queue.put([data for _, data, _ in p.at_client.messages] == [message(number=i) for i in range(3)])

    asyncio.run(main())


def test_a_forked_child_does_not_disturb_its_parent(run: Run) -> None:
    async def main() -> None:
        async with pair("usrsctp", echo=True) as p:
            context = multiprocessing.get_context("fork")
            queue: multiprocessing.Queue[object] = context.Queue()
            child = context.Process(target=_in_child, args=(p.client, p.assoc, queue))
            child.start()
            await asyncio.to_thread(child.join)
            assert child.exitcode == 0
            assert queue.get() is True
            assert p.client.send(p.assoc, message(), 11)
            await p.at_client.until(lambda: bool(p.at_client.messages))
            assert [data for _, data, _ in p.at_client.messages] == [message()]
            assert not p.at_client.down

    run(main())


def test_two_loops_share_one_stack() -> None:
    """Endpoints of two loops in two threads share the stack; the calls stay on their own loops."""

    async def one(port: asyncio.Future[int], done: asyncio.Event) -> None:
        async with transport("usrsctp") as made:
            server = await made.endpoint(Recorder(echo=True), addresses=[HOST])
            port.get_loop().call_soon_threadsafe(port.set_result, server.port)
            await done.wait()

    async def both() -> None:
        loop = asyncio.get_running_loop()
        port: asyncio.Future[int] = loop.create_future()
        other: dict[str, object] = {}

        def thread() -> None:
            async def body() -> None:
                other["loop"], other["done"] = asyncio.get_running_loop(), asyncio.Event()
                await one(port, other["done"])  # type: ignore[arg-type]

            asyncio.run(body())

        work = loop.run_in_executor(None, thread)
        async with transport("usrsctp") as made:
            at_client = Recorder()
            client = await made.endpoint(at_client, addresses=[HOST])
            assoc = client.connect([HOST], await port)
            await at_client.until(lambda: assoc in at_client.up)
            for number in range(200):
                assert client.send(assoc, message(16, number), 11)
            await at_client.until(lambda: len(at_client.messages) == 200)
        other["loop"].call_soon_threadsafe(other["done"].set)  # type: ignore[attr-defined]
        await work

    asyncio.run(both())


def test_a_fast_sender_cannot_flood_a_receiver_with_held_messages(run: Run) -> None:
    """After resume() the loop delivers held messages first. Until then the window stays closed, however much arrives
    within one turn of the loop."""

    async def main() -> None:
        async with pair("usrsctp") as p:
            assert isinstance(p.server, UsrsctpEndpoint)
            assert isinstance(p.client, UsrsctpEndpoint)
            p.server.pause(p.server_assoc)
            sent, filling = 0, bytes(60_000)

            def turn() -> None:
                nonlocal sent
                while p.client.send(p.assoc, sent.to_bytes(4) + filling, 11):
                    sent += 1
                for endpoint in (p.server, p.client):
                    for sock in endpoint._sockets.sockets:
                        endpoint.receive(sock.fileno())

            loop = asyncio.get_running_loop()
            until = loop.time() + 0.5
            while loop.time() < until:
                turn()
                await asyncio.sleep(0)
            p.server.resume(p.server_assoc)
            for _ in range(3000):
                turn()
            assert sent < 1000
            await p.at_server.until(lambda: len(p.at_server.messages) >= sent)
            assert [int.from_bytes(data[:4]) for _, data, _ in p.at_server.messages] == list(range(sent))
            assert not p.at_server.down

    run(main())

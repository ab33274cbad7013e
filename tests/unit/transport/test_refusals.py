"""SCTP in the process: peers whose UDP port is closed according to ICMP (RFC 6951 4.5)."""

import asyncio
import contextlib
import os
import select
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from rserpool.transport.interface import Down, Endpoint, Tuning
from rserpool.transport.sctp.usrsctp import UsrsctpEndpoint
from tests.unit.transport.conftest import Run
from tests.unit.transport.sctp.test_usrsctp import init, relay, vanish
from tests.unit.transport.support import HOST, LIMIT, Recorder, message, pair, transport

pytestmark = pytest.mark.needs_usrsctp

PATIENT = Tuning(association_retransmissions=100, init_retransmissions=100, heartbeat=0.1)
"""A tuning by which no peer is lost for as long as a test lasts."""


@pytest.mark.parametrize("host", [HOST, "::1"])
@pytest.mark.parametrize("busy", [True, False])
def test_a_killed_peer_is_noticed_at_once(run: Run, host: str, busy: bool) -> None:
    async def main() -> None:
        async with transport("usrsctp", PATIENT) as made:
            at_server, at_client = Recorder(), Recorder()
            server = await made.endpoint(at_server, addresses=[host])
            client = await made.endpoint(at_client, addresses=[host])
            assoc = client.connect([host], server.port)
            await at_client.until(lambda: assoc in at_client.up)
            assert isinstance(server, UsrsctpEndpoint)
            vanish(server)
            if busy:
                assert client.send(assoc, message(), 11)
            await at_client.until(lambda: bool(at_client.down))
            assert at_client.down == [(assoc, Down.ABORTED)]

    run(main())


def test_other_associations_lose_no_packet_to_a_refusal(run: Run) -> None:
    """No packet is lost because an earlier one was refused."""

    async def main() -> None:
        async with pair("usrsctp", echo=True, tuning=PATIENT) as p:
            gone = await p.transport.endpoint(Recorder(), addresses=[HOST])
            assert isinstance(gone, UsrsctpEndpoint)
            assoc = p.client.connect([HOST], gone.port)
            await p.at_client.until(lambda: assoc in p.at_client.up)
            vanish(gone)
            assert p.client.send(assoc, message(), 11)
            for number in range(100):
                assert p.client.send(p.assoc, message(number=number), 11)
            await p.at_client.until(lambda: len(p.at_client.messages) == 100 and bool(p.at_client.down))
            assert [data for _, data, _ in p.at_client.messages] == [message(number=number) for number in range(100)]
            assert p.at_client.down == [(assoc, Down.ABORTED)]

    run(main())


def test_connecting_to_a_closed_udp_port_fails_at_once(run: Run) -> None:
    async def main() -> None:
        async with transport("usrsctp", PATIENT) as made:
            at_client = Recorder()
            client = await made.endpoint(at_client, addresses=[HOST])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
                free.bind((HOST, 0))
                port = free.getsockname()[1]
            assoc = client.connect([HOST], port)
            await at_client.until(lambda: bool(at_client.down))
            assert at_client.down == [(assoc, Down.CANT_START)]

    run(main())


def test_a_refused_datagram_does_not_lose_the_next_one(run: Run) -> None:
    async def main() -> None:
        async with transport("usrsctp") as made:
            endpoint = await made.endpoint(Recorder(), addresses=[HOST])
            assert isinstance(endpoint, UsrsctpEndpoint)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
                listener.bind((HOST, 0))
                port = listener.getsockname()[1]
                for number in range(3):
                    endpoint.send_datagram(b"nobody", HOST, 1)
                    endpoint.send_datagram(b"%d" % number, HOST, port)
                assert [listener.recv(100) for _ in range(3)] == [b"0", b"1", b"2"]
            await heard_of(endpoint)

    run(main())


def unreachable(source: int, target: int, quoted: bytes) -> bytes:
    """Build an ICMP port unreachable for a UDP packet (RFC 792)."""
    length = 28 + len(quoted)
    address = socket.inet_aton(HOST)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, socket.IPPROTO_UDP, 0, address, address)
    udp = struct.pack("!HHHH", source, target, length - 20, 0)
    body = ip + udp + quoted
    total = sum(struct.unpack(f"!{len(body) // 2}H", body)) + 0x0303
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBHI", 3, 3, ~total & 0xFFFF, 0) + body


class spy(relay):  # noqa: N801
    """A relay that keeps the last packet to the target."""

    last = b""

    def forward(self) -> None:
        self.last = self.front.recv(65536, socket.MSG_PEEK)
        super().forward()


@contextlib.asynccontextmanager
async def raw() -> AsyncIterator[socket.socket]:
    try:
        made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    except PermissionError:
        pytest.skip("only root can forge ICMP")
    with made:
        yield made


async def heard_of(endpoint: Endpoint) -> None:
    """Wait until an endpoint has read all its waiting packets and errors."""
    assert isinstance(endpoint, UsrsctpEndpoint)
    waiting = select.poll()
    for sock in endpoint._sockets.sockets:
        waiting.register(sock, select.POLLIN | select.POLLERR)
    async with asyncio.timeout(LIMIT):
        while waiting.poll(0):
            await asyncio.sleep(0)


@pytest.mark.parametrize("known", [True, False])
def test_a_refusal_counts_only_with_the_verification_tag(run: Run, known: bool) -> None:
    async def main() -> None:
        async with raw() as forger, spy() as middle, transport("usrsctp", PATIENT) as made:
            at_server, at_client = Recorder(echo=True), Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            client = await made.endpoint(at_client, addresses=[HOST])
            middle.target = HOST, server.port
            assoc = client.connect([HOST], server.port, udp_port=middle.port)
            await at_client.until(lambda: assoc in at_client.up)
            tag = middle.last[4:8]
            for guess in [tag] if known else [bytes(4), os.urandom(4), tag[::-1]]:
                quoted = middle.last[:4] + guess + middle.last[8:12] + bytes(20)
                for part in (b"", quoted[:12], quoted):
                    forger.sendto(unreachable(client.port, middle.port, part), (HOST, 0))
                await heard_of(client)
            if known:
                await at_client.until(lambda: bool(at_client.down))
                assert at_client.down == [(assoc, Down.ABORTED)]
                return
            for number in range(20):
                assert client.send(assoc, message(number=number), 11)
                await at_client.until(lambda number=number: len(at_client.messages) > number)  # type: ignore[misc]
            assert not at_client.down

    run(main())


def test_an_attacker_cannot_choose_the_tag_of_a_refusal(run: Run) -> None:
    """The answer to an INIT carries the tag that the INIT names, so a refusal of it does not count."""

    async def main() -> None:
        async with raw() as forger, pair("usrsctp", echo=True, tuning=PATIENT) as p:
            packet = init(p.client.port, p.server.port)
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as liar:
                liar.sendto(struct.pack("!HHHH", p.client.port, p.server.port, 8 + len(packet), 0) + packet, (HOST, 0))
            ports, tag = struct.pack("!HH", p.server.port, p.client.port), packet[16:20]
            for kind in (0, 1, 2, 3, 4, 6, 10):
                quoted = ports + tag + bytes(4) + bytes([kind, 0, 0, 20]) + tag + bytes(12)
                forger.sendto(unreachable(p.server.port, p.client.port, quoted), (HOST, 0))
            await heard_of(p.server)
            for number in range(20):
                assert p.client.send(p.assoc, message(number=number), 11)
                await p.at_client.until(lambda number=number: len(p.at_client.messages) > number)  # type: ignore[misc]
            assert not p.at_server.down

    run(main())

"""Kernel SCTP only: several addresses, both families, associations with usrsctp. Needs a kernel with SCTP."""

import asyncio
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rserpool
from rserpool.transport.interface import MAX_MESSAGE_OCTETS, Down
from rserpool.transport.udp.sockets import interface_addresses
from tests.unit.transport.conftest import Run
from tests.unit.transport.sctp.test_usrsctp import vanish
from tests.unit.transport.support import HASTY, HOST, Recorder, message, pair, transport

pytestmark = pytest.mark.needs_kernel

NEAR = ["10.44.0.1", "10.45.0.1", "fd44::1"]
ENCAPSULATION = 9899
SETTING = Path("/proc/sys/net/sctp/udp_port")


@pytest.fixture
def encapsulation() -> Iterator[None]:
    """Let the kernel also accept SCTP over UDP on port 9899."""
    before = SETTING.read_text()
    SETTING.write_text(f"{ENCAPSULATION}\n")
    yield
    SETTING.write_text(before)


def test_an_association_uses_all_addresses_of_both_families(run: Run) -> None:
    async def main() -> None:
        async with transport("kernel") as made:
            at_server, at_client = Recorder(echo=True), Recorder()
            server = await made.endpoint(at_server, addresses=NEAR)
            client = await made.endpoint(at_client, addresses=["10.44.0.1", "fd44::1"])
            assoc = client.connect(["10.45.0.1", "fd44::1"], server.port)
            await at_client.until(lambda: assoc in at_client.up)
            await at_server.until(lambda: bool(at_server.up))
            (peer,) = at_server.up.values()
            assert (sorted(map(str, peer.addresses)), peer.port) == (["10.44.0.1", "fd44::1"], client.port)
            assert sorted(map(str, client.peer_addresses(assoc))) == sorted(NEAR)
            assert [str(a) for a in server.local_addresses] == NEAR
            assert client.send(assoc, message(), 11)
            await at_client.until(lambda: bool(at_client.messages))
            assert client.rtt(assoc) is not None

    run(main())


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_a_wildcard_binds_every_address(run: Run, wildcard: str) -> None:
    async def main() -> None:
        async with transport("kernel") as made:
            server = await made.endpoint(Recorder(), addresses=[wildcard])
            own = {a for a in interface_addresses() if not a.is_link_local and (wildcard == "::" or a.version == 4)}
            assert set(server.local_addresses) == own
            for address in own:
                at_client = Recorder()
                client = await made.endpoint(at_client, addresses=[str(address)])
                assoc = client.connect([address], server.port)
                await at_client.until(lambda: bool(at_client.order))  # noqa: B023
                assert assoc in at_client.up

    run(main())


def test_a_killed_process_is_noticed_at_once(run: Run) -> None:
    program = f"""
import asyncio
from tests.unit.transport.support import Recorder, transport
async def main():
    async with transport("kernel") as made:
        at_client = Recorder()
        client = await made.endpoint(at_client, addresses=["{HOST}"])
        client.connect(["{HOST}"], PORT)
        await asyncio.Event().wait()
asyncio.run(main())
"""

    async def main() -> None:
        async with transport("kernel") as made:
            at_server = Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            code = program.replace("PORT", str(server.port))
            with subprocess.Popen([sys.executable, "-c", code], cwd=Path(rserpool.__file__).parent.parent) as child:
                await at_server.until(lambda: bool(at_server.up))
                child.kill()
                await at_server.until(lambda: bool(at_server.down))

    run(main())


@pytest.mark.usefixtures("encapsulation")
def test_usrsctp_connects_to_the_kernel(run: Run) -> None:
    """The kernel learns the UDP port of a peer from its packets."""

    async def main() -> None:
        async with transport("kernel") as near, transport("usrsctp") as far:
            at_server, at_client = Recorder(echo=True), Recorder()
            server = await near.endpoint(at_server, addresses=["10.44.0.1"])
            client = await far.endpoint(at_client, addresses=["10.45.0.1"])
            assoc = client.connect(["10.44.0.1"], server.port, udp_port=ENCAPSULATION)
            await at_client.until(lambda: assoc in at_client.up)
            for size in (16, 60_000):
                assert client.send(assoc, message(size), 0x8000000C)
            await at_client.until(lambda: len(at_client.messages) == 2)
            assert at_client.messages == [(assoc, message(16), 0x8000000C), (assoc, message(60_000), 0x8000000C)]
            client.shutdown(assoc)
            await at_server.until(lambda: at_server.reasons == [Down.SHUTDOWN])
            await at_client.until(lambda: at_client.reasons == [Down.SHUTDOWN])

    run(main())


@pytest.mark.usefixtures("encapsulation")
def test_the_kernel_connects_to_usrsctp(run: Run) -> None:
    async def main() -> None:
        async with transport("usrsctp") as near, transport("kernel") as far:
            at_server, at_client = Recorder(echo=True), Recorder()
            server = await near.endpoint(at_server, addresses=["10.44.0.1"])
            client = await far.endpoint(at_client, addresses=["10.45.0.1"])
            assoc = client.connect(["10.44.0.1"], server.port, udp_port=server.port)
            await at_client.until(lambda: assoc in at_client.up)
            for size in (16, 60_000):
                assert client.send(assoc, message(size), 12)
            await at_client.until(lambda: len(at_client.messages) == 2)
            (peer,) = at_server.up.values()
            assert ([str(a) for a in peer.addresses], peer.port) == (["10.45.0.1"], client.port)
            client.abort(assoc)
            await at_server.until(lambda: at_server.reasons == [Down.ABORTED])

    run(main())


@pytest.mark.usefixtures("encapsulation")
def test_every_restart_and_the_loss_of_a_peer_are_reported(run: Run) -> None:
    async def main() -> None:
        async with transport("kernel", HASTY) as near, transport("usrsctp") as far:
            at_server, at_client = Recorder(), Recorder()
            server = await near.endpoint(at_server, addresses=["10.44.0.1"])
            client = await far.endpoint(at_client, addresses=["10.45.0.1"])
            client.connect(["10.44.0.1"], server.port, udp_port=ENCAPSULATION)
            await at_server.until(lambda: bool(at_server.up))
            port = client.port
            for restarts in (1, 2):
                vanish(client)  # type: ignore[arg-type]
                client = await far.endpoint(at_client, addresses=["10.45.0.1"], port=port)
                client.connect(["10.44.0.1"], server.port, udp_port=ENCAPSULATION)
                await at_server.until(lambda: len(at_server.restarted) == restarts)  # noqa: B023
            vanish(client)  # type: ignore[arg-type]
            (assoc,) = at_server.up
            assert server.send(assoc, message(), 11)
            await at_server.until(lambda: bool(at_server.down))
            assert at_server.down == [(assoc, Down.LOST)]
            assert at_server.order == ["up", "restart", "restart", "down"]

    run(main())


def test_a_message_in_pieces_is_reassembled(run: Run) -> None:
    """The largest message is longer than one read."""
    largest = bytes(range(256)) * 256 + b"ab"
    assert len(largest) == MAX_MESSAGE_OCTETS

    async def main() -> None:
        async with pair("kernel", echo=True) as p:
            for _ in range(3):
                assert p.client.send(p.assoc, largest, 11)
            await p.at_client.until(lambda: len(p.at_client.messages) == 3)
            assert p.at_client.messages == [(p.assoc, largest, 11)] * 3

    run(main())


@pytest.mark.parametrize("stack", ["kernel", "usrsctp"])
@pytest.mark.parametrize("size", [MAX_MESSAGE_OCTETS + 1, 100_000, 200_000])
@pytest.mark.usefixtures("encapsulation")
def test_an_endless_message_aborts_its_association(run: Run, stack: str, size: int) -> None:
    async def main() -> None:
        async with transport(stack) as made:
            at_server = Recorder()
            server = await made.endpoint(at_server, addresses=["10.44.0.1"])
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132) as peer:
                peer.bind(("10.45.0.1", 0))
                if stack == "usrsctp":
                    peer.setsockopt(132, 132, struct.pack("=i4x128xH6x", 0, socket.htons(server.port)))
                await asyncio.to_thread(peer.connect, ("10.44.0.1", server.port))
                await asyncio.to_thread(peer.sendall, bytes(size))
                await at_server.until(lambda: bool(at_server.down))
            assert at_server.order == ["up", "down"]
            assert at_server.reasons == [Down.ABORTED]

    run(main())


def test_a_peer_that_is_gone_before_on_up_is_not_reported(run: Run) -> None:
    async def main() -> None:
        async with transport("kernel") as made:
            at_server = Recorder()
            server = await made.endpoint(at_server, addresses=[HOST])
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132) as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.connect((HOST, server.port))
                peer.send(message())
            await at_server.until(lambda: bool(at_server.down))
            assert at_server.order == ["down"]
            assert at_server.reasons == [Down.CANT_START]

    run(main())


def test_datagrams_leave_from_the_endpoints_port(run: Run) -> None:
    async def main() -> None:
        async with pair("kernel") as p:
            before = p.client.port
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
                target.bind((HOST, 0))
                p.client.send_datagram(b"hello", HOST, target.getsockname()[1])  # type: ignore[attr-defined]
                assert target.recvfrom(100) == (b"hello", (HOST, before))

    run(main())

"""What only SCTP in the kernel can show, in the lab: many addresses, both families, usrsctp on the other side."""

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
    """The kernel also takes SCTP over UDP on port 9899."""
    before = SETTING.read_text()
    SETTING.write_text(f"{ENCAPSULATION}\n")
    yield
    SETTING.write_text(before)


def test_all_addresses_of_both_families(run: Run) -> None:
    async def main() -> None:
        async with transport("kernel") as made:
            heard, said = Recorder(echo=True), Recorder()
            server = await made.endpoint(heard, addresses=NEAR)
            client = await made.endpoint(said, addresses=["10.44.0.1", "fd44::1"])
            assoc = client.connect(["10.45.0.1", "fd44::1"], server.port)
            await said.until(lambda: assoc in said.up)
            await heard.until(lambda: bool(heard.up))
            (peer,) = heard.up.values()
            assert (sorted(map(str, peer.addresses)), peer.port) == (["10.44.0.1", "fd44::1"], client.port)
            assert sorted(map(str, client.peer_addresses(assoc))) == sorted(NEAR)
            assert [str(a) for a in server.local_addresses] == NEAR
            assert client.send(assoc, message(), 11)
            await said.until(lambda: bool(said.messages))
            assert client.rtt(assoc) is not None

    run(main())


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_a_wildcard_is_every_address(run: Run, wildcard: str) -> None:
    async def main() -> None:
        async with transport("kernel") as made:
            server = await made.endpoint(Recorder(), addresses=[wildcard])
            own = {a for a in interface_addresses() if not a.is_link_local and (wildcard == "::" or a.version == 4)}
            assert set(server.local_addresses) == own
            for address in own:
                said = Recorder()
                client = await made.endpoint(said, addresses=[str(address)])
                assoc = client.connect([address], server.port)
                await said.until(lambda: bool(said.order))  # noqa: B023
                assert assoc in said.up

    run(main())


def test_a_killed_process_is_noticed(run: Run) -> None:
    program = f"""
import asyncio
from tests.unit.transport.support import Recorder, transport
async def main():
    async with transport("kernel") as made:
        said = Recorder()
        client = await made.endpoint(said, addresses=["{HOST}"])
        client.connect(["{HOST}"], PORT)
        await asyncio.Event().wait()
asyncio.run(main())
"""

    async def main() -> None:
        async with transport("kernel") as made:
            heard = Recorder()
            server = await made.endpoint(heard, addresses=[HOST])
            code = program.replace("PORT", str(server.port))
            with subprocess.Popen([sys.executable, "-c", code], cwd=Path(rserpool.__file__).parent.parent) as child:
                await heard.until(lambda: bool(heard.up))
                child.kill()
                await heard.until(lambda: bool(heard.down))

    run(main())


@pytest.mark.usefixtures("encapsulation")
def test_the_kernel_serves_usrsctp(run: Run) -> None:
    """The kernel learns the UDP port of a peer from its packets."""

    async def main() -> None:
        async with transport("kernel") as near, transport("usrsctp") as far:
            heard, said = Recorder(echo=True), Recorder()
            server = await near.endpoint(heard, addresses=["10.44.0.1"])
            client = await far.endpoint(said, addresses=["10.45.0.1"])
            assoc = client.connect(["10.44.0.1"], server.port, udp_port=ENCAPSULATION)
            await said.until(lambda: assoc in said.up)
            for size in (16, 60_000):
                assert client.send(assoc, message(size), 0x8000000C)
            await said.until(lambda: len(said.messages) == 2)
            assert said.messages == [(assoc, message(16), 0x8000000C), (assoc, message(60_000), 0x8000000C)]
            client.shutdown(assoc)
            await heard.until(lambda: heard.reasons == [Down.SHUTDOWN])
            await said.until(lambda: said.reasons == [Down.SHUTDOWN])

    run(main())


@pytest.mark.usefixtures("encapsulation")
def test_usrsctp_serves_the_kernel(run: Run) -> None:
    async def main() -> None:
        async with transport("usrsctp") as near, transport("kernel") as far:
            heard, said = Recorder(echo=True), Recorder()
            server = await near.endpoint(heard, addresses=["10.44.0.1"])
            client = await far.endpoint(said, addresses=["10.45.0.1"])
            assoc = client.connect(["10.44.0.1"], server.port, udp_port=server.port)
            await said.until(lambda: assoc in said.up)
            for size in (16, 60_000):
                assert client.send(assoc, message(size), 12)
            await said.until(lambda: len(said.messages) == 2)
            (peer,) = heard.up.values()
            assert ([str(a) for a in peer.addresses], peer.port) == (["10.45.0.1"], client.port)
            client.abort(assoc)
            await heard.until(lambda: heard.reasons == [Down.ABORTED])

    run(main())


@pytest.mark.usefixtures("encapsulation")
def test_a_peer_that_restarts_and_then_vanishes(run: Run) -> None:
    async def main() -> None:
        async with transport("kernel", HASTY) as near, transport("usrsctp") as far:
            heard, said = Recorder(), Recorder()
            server = await near.endpoint(heard, addresses=["10.44.0.1"])
            client = await far.endpoint(said, addresses=["10.45.0.1"])
            client.connect(["10.44.0.1"], server.port, udp_port=ENCAPSULATION)
            await heard.until(lambda: bool(heard.up))
            port = client.port
            for restarts in (1, 2):
                vanish(client)  # type: ignore[arg-type]
                client = await far.endpoint(said, addresses=["10.45.0.1"], port=port)
                client.connect(["10.44.0.1"], server.port, udp_port=ENCAPSULATION)
                await heard.until(lambda: len(heard.restarted) == restarts)  # noqa: B023
            vanish(client)  # type: ignore[arg-type]
            (assoc,) = heard.up
            assert server.send(assoc, message(), 11)
            await heard.until(lambda: bool(heard.down))
            assert heard.down == [(assoc, Down.LOST)]
            assert heard.order == ["up", "restart", "restart", "down"]

    run(main())


def test_a_message_in_pieces_is_put_together(run: Run) -> None:
    """The largest message is longer than what is read at once."""
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
def test_a_message_beyond_all_bounds_ends_its_association(run: Run, stack: str, size: int) -> None:
    async def main() -> None:
        async with transport(stack) as made:
            heard = Recorder()
            server = await made.endpoint(heard, addresses=["10.44.0.1"])
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132) as peer:
                peer.bind(("10.45.0.1", 0))
                if stack == "usrsctp":
                    peer.setsockopt(132, 132, struct.pack("=i4x128xH6x", 0, socket.htons(server.port)))
                await asyncio.to_thread(peer.connect, ("10.44.0.1", server.port))
                await asyncio.to_thread(peer.sendall, bytes(size))
                await heard.until(lambda: bool(heard.down))
            assert heard.order == ["up", "down"]
            assert heard.reasons == [Down.ABORTED]

    run(main())


def test_a_peer_that_is_gone_before_it_was_seen(run: Run) -> None:
    async def main() -> None:
        async with transport("kernel") as made:
            heard = Recorder()
            server = await made.endpoint(heard, addresses=[HOST])
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132) as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.connect((HOST, server.port))
                peer.send(message())
            await heard.until(lambda: bool(heard.down))
            assert heard.order == ["down"]
            assert heard.reasons == [Down.CANT_START]

    run(main())


def test_datagrams_leave_from_the_same_port(run: Run) -> None:
    async def main() -> None:
        async with pair("kernel") as p:
            before = p.client.port
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
                target.bind((HOST, 0))
                p.client.send_datagram(b"hello", HOST, target.getsockname()[1])  # type: ignore[attr-defined]
                assert target.recvfrom(100) == (b"hello", (HOST, before))

    run(main())

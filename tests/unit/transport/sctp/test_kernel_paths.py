"""Failing networks under kernel SCTP: two hosts with two paths between them, and peers that are cut off."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator

import pytest

from rserpool.transport.interface import FAST, Down, Endpoint
from tests.interop.network import enter
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import Recorder, message, transport

pytestmark = pytest.mark.needs_kernel

HOSTS = "left", "right"
NOBODY = "02:00:00:00:00:99"
STALL = 1.0
"""Seconds that a failover may take: one time-out of 0.1 s, and some reserve for a slow machine."""


def address(host: str, path: int) -> str:
    return f"10.{50 + path}.0.{1 + HOSTS.index(host)}"


def ip(host: str, *lines: str) -> None:
    subprocess.run(["ip", "-n", host, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def cut(path: int) -> None:
    """Drop everything on a path without taking an interface down."""
    for host, peer in (HOSTS, HOSTS[::-1]):
        ip(host, f"neigh replace {address(peer, path)} lladdr {NOBODY} nud permanent dev path{path}")


@contextlib.contextmanager
def inside(host: str) -> Iterator[None]:
    """Make the sockets of this context in the host's network namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{host}", os.O_RDONLY)
    try:
        enter(there)
        yield
    finally:
        enter(home)
        os.close(there)
        os.close(home)


@pytest.fixture
def hosts() -> Iterator[None]:
    left, right = HOSTS
    for host in HOSTS:
        subprocess.run(["ip", "netns", "add", host], check=True)
    try:
        for path in (0, 1):
            ip(left, f"link add path{path} type veth peer name path{path} netns {right}")
        for host in HOSTS:
            ip(host, *(f"addr add {address(host, path)}/24 dev path{path}" for path in (0, 1)))
            ip(host, *(f"link set {name} up" for name in ("lo", "path0", "path1")))
        yield
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], check=True)


class PingPong(Recorder):
    """Sends the next message when one has come back, and records the longest round trip."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = 0.0
        self.last = 0.0

    def start(self, endpoint: Endpoint, assoc: int) -> None:
        self.last = asyncio.get_running_loop().time()
        assert endpoint.send(assoc, message(100, len(self.messages)), 11)

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        super().on_message(endpoint, assoc, data, ppid)
        self.longest = max(self.longest, asyncio.get_running_loop().time() - self.last)
        self.start(endpoint, assoc)


@pytest.mark.usefixtures("hosts")
def test_an_association_survives_a_lost_path(run: Run) -> None:
    async def main() -> None:
        async with transport("kernel", FAST) as made:
            at_server, at_client = Recorder(echo=True), PingPong()
            with inside("right"):
                server = await made.endpoint(at_server, addresses=[address("right", path) for path in (0, 1)])
            with inside("left"):
                client = await made.endpoint(at_client, addresses=[address("left", path) for path in (0, 1)])
            assoc = client.connect([address("right", path) for path in (0, 1)], server.port)
            await at_client.until(lambda: assoc in at_client.up)
            at_client.start(client, assoc)
            await at_client.until(lambda: len(at_client.messages) > 100)
            cut(0)
            before = len(at_client.messages)
            await at_client.until(lambda: len(at_client.messages) > before + 100)
            print(f"longest round trip {at_client.longest * 1000:.0f} ms")
            assert FAST.rto_min / 2 < at_client.longest < STALL
            assert not at_client.down
            assert not at_server.down

    run(main())


@pytest.mark.usefixtures("hosts")
@pytest.mark.parametrize("busy", [True, False])
def test_a_silent_peer_is_lost_in_time(run: Run, busy: bool) -> None:
    async def main() -> None:
        async with transport("kernel", FAST) as made:
            at_server, at_client = Recorder(echo=True), Recorder()
            with inside("right"):
                server = await made.endpoint(at_server, addresses=[address("right", 0)])
            with inside("left"):
                client = await made.endpoint(at_client, addresses=[address("left", 0)])
            assoc = client.connect([address("right", 0)], server.port)
            await at_client.until(lambda: assoc in at_client.up)
            assert client.send(assoc, message(), 11)
            await at_client.until(lambda: bool(at_client.messages))
            cut(0)
            loop = asyncio.get_running_loop()
            began = loop.time()
            if busy:
                assert client.send(assoc, message(), 11)
            await at_client.until(lambda: bool(at_client.down))
            took = loop.time() - began
            print(f"found after {took * 1000:.0f} ms")
            assert at_client.down == [(assoc, Down.LOST)]
            assert took < 2 * (FAST.found_busy if busy else FAST.found_idle)

    run(main())

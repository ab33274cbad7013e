"""Our registrar and rsplib's in one operational scope: discovery by multicast or by address, a shared handlespace, and
its repair.

Argument: ``multicast`` or ``static``.
"""

import dataclasses
import socket
import struct
import sys

from tests.interop import peers, registrars
from tests.interop.elements import POLICY, POOL_ELEMENT, POOL_HANDLE, SCTP_TRANSPORT, send
from tests.interop.guest import finding, out_directory
from tests.interop.network import Network, address, wait_until
from tests.interop.peers import PoolUser, parameter
from tests.interop.registrars import Registrar

OURS, THEIRS = 0x22222222, 0x33333333
FAKE = 0x44444444
POOLS = ["EchoPool", "PingPongPool"]
PPID_ENRP = 12
HANDLE_UPDATE = 0x04
ADD, DELETE = 0, 1


class Scene:
    """Our registrar on h1, rsplib's on h2, elements at both, and a pool user at each."""

    def __init__(self, net: Network, meeting: str) -> None:
        self.net = net
        for number in (1, 2, 3, 4, 7, 8, 9):
            net.host(number)
        static = meeting == "static"
        options = registrars.static_peers("rsplib", f"{address(1)}:9901") if static else []
        self.theirs = registrars.start(net, "rsplib", 2, THEIRS, *options)
        options = registrars.static_peers("ours", f"{address(2)}:9901") if static else []
        self.ours = registrars.start(net, "ours", 1, OURS, *options)
        self.users = [self.ours.user(), self.theirs.user()]

    def listed(self, number: int, pool: str) -> list[int]:
        return sorted(self.users[number].all(pool).elements)

    def wait_everywhere(self, pool: str, elements: list[int]) -> float:
        """Wait until both registrars list exactly these elements of the pool; returns the seconds it took."""
        return wait_until(
            lambda: all(self.listed(number, pool) == elements for number in (0, 1)), f"{elements} in {pool}", every=0.02
        )


def share(scene: Scene) -> None:
    """Register elements at both registrars, compare the handlespaces, and let one element leave."""
    with finding("everywhere") as found:
        at_ours, at_theirs = peers.static(scene.ours.asap), peers.static(scene.theirs.asap)
        peers.element(scene.net, 3, 0xA1, "echo", *at_ours)
        peers.element(scene.net, 4, 0xA2, "echo", *at_theirs)
        peers.element(scene.net, 3, 0xB1, "pingpong", *at_theirs, "-policy=WeightedRoundRobin:3")
        leaving = peers.element(scene.net, 4, 0xB2, "pingpong", *at_ours, "-policy=WeightedRoundRobin:2")
        scene.wait_everywhere("EchoPool", [0xA1, 0xA2])
        found["after"] = scene.wait_everywhere("PingPongPool", [0xB1, 0xB2])
        registrars.wait_agreed(scene.users, POOLS)
        found["homes"] = {pool: [user.all(pool).homes for user in scene.users] for pool in POOLS}
    with finding("hsdump") as found:
        dumps = [registrar.dump() for registrar in (scene.ours, scene.theirs)]
        found["dumps"] = [dataclasses.asdict(dump) for dump in dumps]
    with finding("left"):
        leaving.stop()
        scene.wait_everywhere("PingPongPool", [0xB1])


class Forger:
    """A host that sends updates in other registrars' names to rsplib's registrar, which does not check the sender."""

    def __init__(self, net: Network, host: int, registrar: Registrar) -> None:
        with net.inside(host):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        name, _, port = registrar.enrp.partition(":")
        self.socket.settimeout(5)
        self.socket.connect((name, int(port)))

    def update(self, action: int, pool: str, identifier: int, home: int) -> None:
        """Send ENRP_HANDLE_UPDATE for an element with the given home (RFC 5353 2.4)."""
        where = parameter(0x0001, socket.inet_aton(address(3)))
        value = struct.pack(">IIi", identifier, home, 300_000) + parameter(SCTP_TRANSPORT, b"\x1e\x61\0\1" + where)
        value += parameter(POLICY, struct.pack(">I", 1)) + parameter(SCTP_TRANSPORT, b"\x1e\x62\0\0" + where)
        body = struct.pack(">IIHH", FAKE, 0, action, 0)
        body += parameter(POOL_HANDLE, pool.encode()) + parameter(POOL_ELEMENT, value)
        send(self.socket, struct.pack(">BBH", HANDLE_UPDATE, 0, 4 + len(body)) + body, PPID_ENRP)


def repair(scene: Scene) -> None:
    """Make the handlespaces differ in three ways and wait for their repair."""
    forger = Forger(scene.net, 7, scene.theirs)

    def seen(user: PoolUser, pool: str, identifier: int) -> bool:
        return identifier in user.all(pool).elements

    for registrar in (scene.ours, scene.theirs):
        registrar.settle()
    with finding("injected") as found:
        forger.update(ADD, "EchoPool", 0xBAD, OURS)
        wait_until(lambda: seen(scene.users[1], "EchoPool", 0xBAD), "the forged element", 1, every=0.001)
        found["repaired_after"] = scene.wait_everywhere("EchoPool", [0xA1, 0xA2])
    with finding("removed") as found:
        forger.update(DELETE, "EchoPool", 0xA1, OURS)
        wait_until(lambda: not seen(scene.users[1], "EchoPool", 0xA1), "the forged removal", 1, every=0.001)
        found["repaired_after"] = scene.wait_everywhere("EchoPool", [0xA1, 0xA2])
    with finding("removed at its home") as found:
        forger.update(DELETE, "EchoPool", 0xA2, THEIRS)
        wait_until(lambda: not seen(scene.users[1], "EchoPool", 0xA2), "the forged removal", 1, every=0.001)
        found["repaired_after"] = registrars.wait_agreed(scene.users, POOLS)
        found["listed"] = scene.listed(0, "EchoPool")
    forger.socket.close()
    with finding("again"):
        # the element re-registers every 5 s
        scene.wait_everywhere("EchoPool", [0xA1, 0xA2])


def main() -> None:
    with Network(out_directory()) as net:
        scene = None
        with finding("ready"):
            scene = Scene(net, sys.argv[1])
        if scene is None:
            return
        for part in (share, repair):
            part(scene)
        with finding("end") as found:
            found["alive"] = scene.ours.program.alive() and scene.theirs.program.alive()
            found["status"] = scene.ours.program.stop()


if __name__ == "__main__":
    main()

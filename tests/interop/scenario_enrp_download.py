"""Registrars that start late download a handlespace of 1 000 elements from ours and from rsplib's.

Argument: the home of the elements, ``ours`` or ``rsplib``.
"""

import sys
import time

from tests.interop import registrars
from tests.interop.elements import Elements, register_many
from tests.interop.guest import finding, out_directory
from tests.interop.network import Network, address, wait_until
from tests.interop.peers import PoolUser
from tests.interop.registrars import Registrar

SOURCE, SECOND, THIRD, FOURTH = 0x11111111, 0x22222222, 0x33333333, 0x44444444
POOLS = [f"Pool {number:02}" for number in range(50)]
COUNT = 1000
FIRST = 0x1000


def complete(user: PoolUser) -> bool:
    """True if a registrar lists all the elements. The last pools are checked first, because they arrive last."""
    return all(len(user.all(pool).elements) == COUNT // len(POOLS) for pool in reversed(POOLS))


class Scene:
    """The source registrar on h1, and the hosts for the others."""

    def __init__(self, net: Network, source: str) -> None:
        self.net = net
        for number in (1, 2, 3, 4, 5, 9):
            net.host(number)
        self.source = registrars.start(net, source, 1, SOURCE, *registrars.patient(source))
        self.users = [self.source.user()]
        self.source.settle()

    def late(self, name: str, implementation: str, host: int, identifier: int, *options: str) -> Registrar:
        """Start a registrar and wait until it has all elements."""
        with finding(name) as found:
            began = time.monotonic()
            started = registrars.start(
                self.net, implementation, host, identifier, *registrars.patient(implementation), *options
            )
            user = started.user()
            found["serves_after"] = round(time.monotonic() - began, 3)
            wait_until(lambda: complete(user), f"{COUNT} elements at {started.asap}", 30, every=0.05)
            found["complete_after"] = round(time.monotonic() - began, 3)
            self.users.append(user)
        return started


def main() -> None:
    source = sys.argv[1]
    other = "rsplib" if source == "ours" else "ours"
    with Network(out_directory()) as net, Elements(net, 4) as elements:
        scene = None
        with finding("ready"):
            scene = Scene(net, source)
        if scene is None:
            return
        with finding("registered") as found:
            found["seconds"] = register_many(elements.associate(scene.source.asap), POOLS, FIRST, COUNT)
            assert complete(scene.users[0])
        second = scene.late("second", other, 2, SECOND)
        second.settle()
        # its only configured peer is the second registrar, which becomes its mentor
        scene.late("third", "ours", 3, THIRD, *registrars.static_peers("ours", f"{address(2)}:9901"))
        scene.late("fourth", "rsplib", 5, FOURTH)
        with finding("agreed") as found:
            found["after"] = registrars.wait_agreed(scene.users, POOLS)
            found["homes"] = sorted({home for user in scene.users for home in user.all(POOLS[-1]).homes.values()})
        with finding("end") as found:
            found["alive"] = [program.alive() for program in net.programs]


if __name__ == "__main__":
    main()

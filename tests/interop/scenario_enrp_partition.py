"""Cuts the link between two registrars of ours and restores it, while elements and pool users reach both all the time.

RSERPOOL_CUT_SECONDS sets the duration of the cut.
"""

import os
import time

from tests.interop import peers, registrars
from tests.interop.guest import finding, out_directory
from tests.interop.network import Network, address, wait_until
from tests.interop.sessions import Sessions

SECONDS = float(os.environ.get("RSERPOOL_CUT_SECONDS") or 8)
POOL = "EchoPool"
IDENTIFIERS = (0x11111111, 0x22222222)
ELEMENTS = ([0xA1, 0xA2], [0xB1, 0xB2])
"""Identifiers of the elements that register at the first registrar and at the second."""
ALL = [*ELEMENTS[0], *ELEMENTS[1]]
REREGISTRATION_MS = 3000


class Scene:
    """The registrars on h1 and h2, each also on a second LAN, over which they reach each other."""

    def __init__(self, net: Network) -> None:
        self.net = net
        for number in (1, 2, 4, 5, 6, 7, 9):
            net.host(number)
        self.registrars = [
            registrars.start(
                net, "ours", number + 1, IDENTIFIERS[number],
                f"--enrp={address(number + 1, lan=1)}:9901",
                *registrars.static_peers("ours", f"{address(2 - number, lan=1)}:9901"),
            )
            for number in (0, 1)
        ]  # fmt: skip
        self.users = [registrar.user() for registrar in self.registrars]
        self.elements = [
            peers.element(
                net, host, identifier, "echo", *peers.static(self.registrars[identifier >= 0xB0].asap),
                rereg_ms=REREGISTRATION_MS,
            )
            for identifier, host in zip(ALL, (4, 5, 6, 7), strict=True)
        ]  # fmt: skip
        for registrar in self.registrars:
            registrar.settle()
        wait_until(lambda: self.listed() == [ALL, ALL], "all elements")

    def listed(self) -> list[list[int]]:
        return [sorted(user.all(POOL).elements) for user in self.users]


def cut(scene: Scene) -> None:
    """Cut the link between the registrars, restore it, and record what each lists."""
    left, right = (Sessions(scene.net, 9, registrar, POOL) for registrar in scene.registrars)
    seen: list[set[int]] = [set(), set()]
    with left, right:
        with finding("cut") as found:
            scene.net.link(1, 1, "down")
            end = time.monotonic() + SECONDS
            least = [len(ALL), len(ALL)]
            while time.monotonic() < end:
                for number, listed in enumerate(scene.listed()):
                    least[number] = min(least[number], len(listed))
                    seen[number] |= set(listed)
                time.sleep(0.1)
            found["least"] = least
            found["listed"] = scene.listed()
            found["homes"] = [user.all(POOL).homes for user in scene.users]
        with finding("healed") as found:
            scene.net.link(1, 1, "up")
            found["agreed_after"] = registrars.wait_agreed(scene.users, [POOL], 60)
            began = time.monotonic()
            wait_until(lambda: scene.listed() == [ALL, ALL], "all elements at both", 30, every=0.05)
            found["complete_after"] = round(found["agreed_after"] + time.monotonic() - began, 3)
            time.sleep(REREGISTRATION_MS / 1000 + 1)
            found["listed"] = scene.listed()
            found["differences"] = registrars.disagreements(scene.users, [POOL])
            found["running"] = [element.alive() for element in scene.elements]
    with finding("sessions") as found:
        found["results"] = [left.result(), right.result()]


def main() -> None:
    with Network(out_directory(), lans=2) as net:
        scene = None
        with finding("ready"):
            scene = Scene(net)
        if scene is None:
            return
        cut(scene)
        with finding("end") as found:
            found["status"] = [registrar.program.stop() for registrar in scene.registrars]


if __name__ == "__main__":
    main()

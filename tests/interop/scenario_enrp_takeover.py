"""Kills or isolates a registrar: another one takes over its elements, and a pool user that opens a session every 100 ms
notices nothing.

Arguments: one of CASES, and ``kill`` or ``cut``.
"""

import sys
import time

from tests.interop import peers, registrars
from tests.interop.guest import finding, out_directory
from tests.interop.network import Network, wait_until
from tests.interop.registrars import Registrar
from tests.interop.sessions import Sessions

POOL = "EchoPool"
VICTIM, FIRST, SECOND = 0x11111111, 0x22222222, 0x33333333
CASES = {
    "rsplib-of-two": ("rsplib", "ours"),
    "ours-of-two": ("ours", "ours"),
    "ours-of-three": ("ours", "ours", "ours"),
    "ours-of-mixed": ("ours", "ours", "rsplib"),
    "ours-of-mixed-lower": ("ours", "rsplib", "ours"),
    "rsplib-of-mixed": ("rsplib", "ours", "rsplib"),
    "ours-among-rsplib": ("ours", "rsplib", "rsplib"),
}
"""The implementations of the victim and of the survivors. The first survivor is preferred (in this profile, the lower
identifier)."""
REREGISTRATION_MS = 2000
AFTERWARDS = 8.0
"""Seconds of observation after the victim ends. Longer than the elements' registration life, which is three
re-registration intervals."""
ORPHANS = [0xA1, 0xA2, 0xA3]
OTHERS = [0xB1, 0xB2]


class Scene:
    """The registrars on h1 to h3, three elements of the victim, and one element of each survivor."""

    def __init__(self, net: Network, implementations: tuple[str, ...]) -> None:
        self.net = net
        for number in (1, 2, 3, 4, 5, 6, 9):
            net.host(number)
        # rsplib's start first: they find no peer and do not wait for a mentor's answer
        numbered = sorted(enumerate(implementations), key=lambda one: one[1] != "rsplib")
        identifiers = (VICTIM, FIRST, SECOND)
        started = {
            number: registrars.start(net, implementation, number + 1, identifiers[number])
            for number, implementation in numbered
        }
        self.victim, *self.survivors = (started[number] for number in range(len(implementations)))
        self.users = [survivor.user() for survivor in self.survivors]
        self.elements = {
            identifier: peers.element(
                net,
                host,
                identifier,
                "echo",
                *peers.static(self.registrar_of(identifier).asap),
                rereg_ms=REREGISTRATION_MS,
            )
            for identifier, host in zip(self.all(), (4, 5, 6, 4, 5), strict=False)
        }
        for survivor in (self.victim, *self.survivors):
            survivor.settle()
        wait_until(lambda: all(sorted(user.all(POOL).elements) == self.all() for user in self.users), "all elements")

    def all(self) -> list[int]:
        return ORPHANS + OTHERS[: len(self.survivors)]

    def registrar_of(self, identifier: int) -> Registrar:
        return self.victim if identifier in ORPHANS else self.survivors[OTHERS.index(identifier)]

    def homes(self, number: int) -> list[int]:
        """Homes of the orphans, as listed by one survivor."""
        homes = self.users[number].all(POOL).homes
        return [homes[identifier] for identifier in ORPHANS]

    def wait_rehomed(self, number: int) -> None:
        """Wait until a survivor lists another home for all orphans."""
        wait_until(lambda: VICTIM not in self.homes(number), "the orphans' new home", 30, every=0.02)


def end(victim: Registrar, how: str) -> None:
    """Kill the victim, or cut its link."""
    if how == "kill":
        victim.kill()
    else:
        victim.net.link(victim.host, 0, "down")


def takeover(scene: Scene, how: str) -> None:
    """End the victim and watch the survivors; then let an orphan die at its new home."""
    with finding("before") as found:
        found["homes"] = [scene.homes(number) for number in range(len(scene.users))]
    with finding("takeover") as found, Sessions(scene.net, 9, scene.survivors[0], POOL) as sessions:
        time.sleep(0.5)
        since = time.monotonic()
        end(scene.victim, how)
        took = []
        for number in range(len(scene.users)):
            scene.wait_rehomed(number)
            took.append(round(time.monotonic() - since, 3))
        found["new_home_after"] = took
        found["homes"] = [scene.homes(number) for number in range(len(scene.users))]
        found["agreed_after"] = round(registrars.wait_agreed(scene.users, [POOL], 15) + took[-1], 3)
        found["final homes"] = scene.homes(0)
        time.sleep(max(0.0, since + AFTERWARDS - time.monotonic()))
        found["listed"] = [sorted(user.all(POOL).elements) for user in scene.users]
        found["running"] = [identifier for identifier, element in scene.elements.items() if element.alive()]
    with finding("sessions") as found:
        found.update(sessions.result())
    with finding("an orphan dies") as found:
        since = time.monotonic()
        scene.elements[ORPHANS[0]].kill()
        dead = ORPHANS[0]
        wait_until(lambda: all(dead not in user.all(POOL).elements for user in scene.users), "the dead orphan to go")
        found["gone_after"] = round(time.monotonic() - since, 3)


def come_back(scene: Scene) -> None:
    """Restore the victim's link."""
    with finding("back") as found, Sessions(scene.net, 9, scene.survivors[0], POOL) as sessions:
        scene.net.link(scene.victim.host, 0, "up")
        users = [*scene.users, scene.victim.user()]
        found["agreed_after"] = registrars.wait_agreed(users, [POOL], 30)
        # an element that the isolated victim removed comes back with its next re-registration
        time.sleep(REREGISTRATION_MS / 1000 + 1)
        registrars.wait_agreed(users, [POOL], 10)
        found["listed"] = [sorted(user.all(POOL).elements) for user in users]
        found["homes"] = users[-1].all(POOL).homes
    with finding("sessions at the return") as found:
        found.update(sessions.result())


def main() -> None:
    with Network(out_directory()) as net:
        scene = None
        with finding("ready"):
            scene = Scene(net, CASES[sys.argv[1]])
        if scene is None:
            return
        takeover(scene, sys.argv[2])
        if sys.argv[2] == "cut":
            come_back(scene)
        with finding("end") as found:
            found["alive"] = [survivor.program.alive() for survivor in scene.survivors]
            found["status"] = [one.program.stop() for one in scene.survivors if one.implementation == "ours"]


if __name__ == "__main__":
    main()

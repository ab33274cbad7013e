"""A user's session while elements, links and registrars fail: two registrars, two elements and one user, all ours, each
host on two networks, over kernel SCTP. One finding for each row of docs/failures.md."""

import time
from typing import Any

from tests.interop import programs, registrars
from tests.interop.guest import finding, out_directory
from tests.interop.network import Network, address, wait_until
from tests.interop.programs import Application

POOL = "EchoPool"
REGISTRARS = {1: 0x11111111, 2: 0x22222222}
ELEMENTS = {3: 0xA3, 4: 0xA4}
HOSTS = {identifier: host for host, identifier in ELEMENTS.items()}
USER = 5
SILENCE = 0.5
"""Seconds of silence after which the user fails over to another element."""
LANS = (0, 1)


class Scene:
    """The running registrars and elements, and one user."""

    def __init__(self, net: Network) -> None:
        self.net = net
        for host in (*REGISTRARS, *ELEMENTS, USER, 9):
            net.host(host)
        self.registrars: dict[int, registrars.Registrar] = {}
        for host in REGISTRARS:
            self.start_registrar(host)
        self.known = [f"--registrar={one.asap}" for one in self.registrars.values()]
        self.elements: dict[int, Application] = {}
        for identifier in HOSTS:
            self.start_element(identifier)
        self.agreed()
        self.user = self.start_user()

    def start_registrar(self, host: int) -> None:
        other = address(3 - host)
        options = registrars.static_peers("ours", f"{other}:{registrars.ENRP_PORT}")
        tag = f"registrar{host}-{len(self.net.programs)}"
        self.registrars[host] = registrars.start(self.net, "ours", host, REGISTRARS[host], *options, tag=tag)

    def start_element(self, identifier: int) -> None:
        self.elements[identifier] = programs.element(self.net, HOSTS[identifier], identifier, "echo", POOL, *self.known)

    def start_user(self, *options: str) -> Application:
        return programs.user(self.net, USER, "echo", POOL, *self.known, f"--silence={SILENCE}", *options)

    def agreed(self) -> None:
        """Wait until every running registrar lists both elements."""
        for one in self.registrars.values():
            plain = one.user()
            wait_until(lambda plain=plain: set(plain.all(POOL).elements) == set(HOSTS), "both elements", 40, 0.05)  # type: ignore[misc]
            plain.close()

    def whole(self) -> None:
        """Wait until every registrar lists both elements and the user receives answers."""
        self.agreed()
        self.user.more("answer", 3)


class Row:
    """The application's view of one failure."""

    def __init__(self, scene: Scene, found: dict[str, Any]) -> None:
        self.scene = scene
        self.found = found
        self.answers = len(scene.user.events("answer"))
        self.failovers = len(scene.user.events("failover"))
        self.served_by = scene.user.served_by()
        self.began = time.monotonic()

    def moved(self) -> None:
        """Wait until another element answers."""
        wait_until(lambda: self.scene.user.served_by() != self.served_by, "failover", 40, 0.02)
        self.scene.user.more("answer", 3)

    def over(self) -> None:
        """Record the user's events since the beginning."""
        user = self.scene.user
        self.found["failovers"] = len(user.events("failover")) - self.failovers
        self.found["stall"] = programs.longest_stall(user.events("answer")[self.answers - 1 :])
        self.found["served_by"] = user.served_by()
        self.found["done"] = bool(user.events("done")) or not user.program.alive()


def element_rows(scene: Scene) -> None:
    """Make the element that serves the session fail, each time in another way."""
    for name in ("killed", "left", "frozen", "cable"):
        with finding(name) as found:
            row = Row(scene, found)
            victim = scene.elements[row.served_by]
            fail(scene, name, row.served_by, victim)
            row.moved()
            row.over()
            repair(scene, name, row.served_by, victim)
            scene.whole()


def fail(scene: Scene, name: str, identifier: int, victim: Application) -> None:
    if name == "killed":
        victim.program.kill()
    elif name == "left":
        victim.program.process.terminate()
    elif name == "frozen":
        victim.program.freeze()
    else:
        for lan in LANS:
            scene.net.link(HOSTS[identifier], lan, "down")


def repair(scene: Scene, name: str, identifier: int, victim: Application) -> None:
    if name == "frozen":
        victim.program.thaw()
    elif name == "cable":
        for lan in LANS:
            scene.net.link(HOSTS[identifier], lan, "up")
    else:
        victim.program.process.wait()
        scene.start_element(identifier)


def path_row(scene: Scene) -> None:
    """Cut the first of the element's two paths; the session stays with the element."""
    with finding("path") as found:
        row = Row(scene, found)
        scene.net.link(HOSTS[row.served_by], 0, "down")
        scene.user.more("answer", 20)
        row.over()
        scene.net.link(HOSTS[row.served_by], 0, "up")
        scene.whole()


def registrar_rows(scene: Scene) -> None:
    """Kill the registrars; the session does not notice, and the elements register with another one."""
    with finding("registrar") as found:
        row = Row(scene, found)
        victim = scene.registrars.pop(1)
        victim.kill()
        survivor = scene.registrars[2].user()
        wait_until(lambda: survivor.all(POOL).homes == dict.fromkeys(HOSTS, REGISTRARS[2]), "a new home", 40, 0.05)
        found["new_home_after"] = round(time.monotonic() - row.began, 3)
        survivor.close()
        scene.user.more("answer", 5)
        row.over()
        scene.whole()
    with finding("all registrars") as found:
        row = Row(scene, found)
        scene.registrars.pop(2).kill()
        scene.user.more("answer", 10)
        back = time.monotonic()
        for host in REGISTRARS:
            scene.start_registrar(host)
        scene.whole()
        found["registered_after"] = round(time.monotonic() - back, 3)
        row.over()


def main() -> None:
    with Network(out_directory(), lans=2) as net:
        scene = None
        with finding("ready"):
            scene = Scene(net)
        if scene is None:
            return
        for part in (element_rows, path_row, registrar_rows):
            part(scene)


if __name__ == "__main__":
    main()

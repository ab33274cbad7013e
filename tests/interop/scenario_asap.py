"""rsplib's pool elements and pool users at one registrar: discovery, registration, keep-alives, use and loss.

Argument: the subject (see subject.py).
"""

import re
import signal
import sys
import time

from tests.interop import peers
from tests.interop.guest import finding, out_directory
from tests.interop.network import Network, Program, wait_until
from tests.interop.subject import Subject, keep_alive_seconds

POOLS = {"echo": "EchoPool", "pingpong": "PingPongPool", "calcapp": "CalcAppPool"}
CALCAPP = ["-capcapacity=10000000", "-capcookiemaxtime=1"]


class Scene:
    """The registrar, a pool user at it, and the running elements."""

    def __init__(self, net: Network, subject: Subject) -> None:
        self.net = net
        self.subject = subject
        self.registrar = subject.start(net)
        for number in range(2, 10):
            net.host(number)
        self.user = peers.connect_when_ready(net, 9, subject.registrar, self.registrar)
        self.elements: dict[int, Program] = {}
        self.pingpong: Program

    def listed(self, pool: str) -> list[int]:
        return sorted(self.user.resolve(pool, items=20).elements)

    def pingpong_server(self) -> int:
        """Identifier of the element that last answered the ping-pong user."""
        return int(re.findall(r"from PE \$([0-9a-f]{8})", self.pingpong.text())[-1], 16)

    def wait_listed(self, pool: str, identifier: int) -> None:
        wait_until(lambda: identifier in self.listed(pool), f"{identifier:#x} in {pool}")

    def start_elements(self, host: int, digit: int, *options: str) -> dict[str, float]:
        """Start an element of each service; returns, by service, the seconds until it is resolved."""
        began = time.monotonic()
        took = {}
        for number, service in enumerate(POOLS):
            identifier = 0xE0 + 0x100 * number + digit
            extra = CALCAPP if service == "calcapp" else []
            self.elements[identifier] = peers.element(self.net, host, identifier, service, *options, *extra)
        for number, (service, pool) in enumerate(POOLS.items()):
            identifier = 0xE0 + 0x100 * number + digit
            self.wait_listed(pool, identifier)
            took[service] = round(time.monotonic() - began, 3)
        return took

    def gone(self, pool: str, identifier: int, since: float) -> float:
        """Wait until resolution no longer lists the element; returns the seconds since ``since``."""
        wait_until(lambda: identifier not in self.listed(pool), f"{identifier:#x} to leave {pool}")
        return round(time.monotonic() - since, 4)


def register(scene: Scene) -> None:
    """Register elements that find the registrar by multicast, and others that have its address."""
    with finding("unknown pool") as found:
        answer = scene.user.resolve("NoSuchPool")
        found.update(causes=answer.causes, elements=answer.elements)
    with finding("multicast") as found:
        found["after"] = scene.start_elements(2, 1)
    with finding("static") as found:
        found["after"] = scene.start_elements(3, 2, *peers.static(scene.subject.registrar))
    with finding("pools") as found:
        found.update({pool: scene.listed(pool) for pool in POOLS.values()})
        found["policy_type"] = scene.user.resolve("EchoPool").policy_type


def use(scene: Scene) -> None:
    """Run each of rsplib's pool users."""
    with finding("rspterminal") as found:
        terminal = peers.Terminal(scene.net, 6, "terminal1")
        found["by_multicast"] = terminal.exchange("hello")
        terminal.stop()
        terminal = peers.Terminal(scene.net, 6, "terminal2", *peers.static(scene.subject.registrar))
        found["by_address"] = terminal.exchange("hello again")
        terminal.stop()
    with finding("pingpongclient") as found:
        scene.pingpong = peers.pingpong_user(scene.net, 7, *peers.static(scene.subject.registrar))
        scene.pingpong.wait_for(r"(?s)(Ack #.*){5}")
        found["served_by"] = scene.pingpong_server()
    with finding("calcappclient") as found:
        user = peers.calcapp_user(scene.net, 8, *peers.static(scene.subject.registrar))
        user.wait_for(r"(?s)(Job #\d+ completed.*){2}")
        user.stop()


def survive(scene: Scene) -> None:
    """Let keep-alives pass; all elements must stay registered."""
    with finding("keep-alives") as found:
        found["seconds"] = keep_alive_seconds(scene.subject)
        time.sleep(found["seconds"])
        found["running"] = [identifier for identifier, program in scene.elements.items() if program.alive()]
        found.update({pool: scene.listed(pool) for pool in POOLS.values()})


def lose(scene: Scene) -> None:
    """Kill, freeze, thaw and stop elements."""
    with finding("killed") as found:
        victims = {"EchoPool": 0xE1, "PingPongPool": scene.pingpong_server(), "CalcAppPool": 0x2E1}
        for pool, identifier in victims.items():
            since = time.monotonic()
            scene.elements[identifier].kill()
            found[pool] = scene.gone(pool, identifier, since)
    with finding("failover") as found:
        found["left"] = victims["PingPongPool"]
        wait_until(lambda: scene.pingpong_server() != victims["PingPongPool"], "the pool user's failover")
        found["served_by"] = scene.pingpong_server()
    with finding("frozen") as found:
        since = time.monotonic()
        scene.elements[0xE2].freeze()
        found["gone_after"] = scene.gone("EchoPool", 0xE2, since)
        found["limit"] = scene.subject.keep_alive_interval * 1.5 + scene.subject.keep_alive_timeout
        found["answer"] = scene.user.resolve("EchoPool").causes
    with finding("back") as found:
        scene.elements[0xE2].thaw()
        scene.wait_listed("EchoPool", 0xE2)
    with finding("left") as found:
        since = time.monotonic()
        found["status"] = scene.elements[0xE2].stop()
        found["gone_after"] = scene.gone("EchoPool", 0xE2, since)
        for program in scene.net.programs[1:]:
            program.interrupt()


def main() -> None:
    subject = Subject(name=sys.argv[1])
    with subject.network(out_directory()) as net:
        scene = None
        with finding("ready"):
            scene = Scene(net, subject)
        if scene is None:
            return
        for part in (register, use, survive, lose):
            part(scene)
        with finding("end") as found:
            found["alive"] = scene.registrar.alive()
            found["status"] = scene.registrar.stop(signal.SIGTERM)
            found["output"] = scene.registrar.text()[-2000:]


if __name__ == "__main__":
    main()

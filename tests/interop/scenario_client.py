"""Elements and users written with the library, together with rsplib's, at a registrar of either implementation.

Argument: the registrar, ``ours`` or ``rsplib``.
"""

import re
import signal
import sys
import time

from tests.interop import peers, programs, registrars
from tests.interop.guest import finding, out_directory
from tests.interop.network import Network, Program, wait_until

REGISTRAR, OURS, THEIRS, USER, TERMINAL = 1, 2, 3, 4, 5
ECHO, PINGPONG = 0xA1, 0xA2
THEIR_ECHO, THEIR_PINGPONG = 0xB1, 0xB2
MIXED_OURS, MIXED_THEIRS = 0xC1, 0xC2
MOVES = 3
"""Failovers of each user, each from one implementation's element to the other's."""
BETWEEN = 0.05
"""Seconds between an answer and the killing of its element: half the pause between two answers. An element that dies
before it has sent the cookie for its answer rightly makes the next element repeat the number."""


class Scene:
    """The registrar, and a plain pool user that records its answers."""

    def __init__(self, net: Network, implementation: str) -> None:
        self.net = net
        for number in range(1, 10):
            net.host(number)
        self.registrar = registrars.start(net, implementation, REGISTRAR, 0x11111111)
        self.plain = self.registrar.user()
        self.at = f"--registrar={self.registrar.asap}"

    def wait_listed(self, pool: str, *identifiers: int) -> None:
        wanted = set(identifiers)
        wait_until(lambda: wanted <= set(self.plain.all(pool).elements), f"{identifiers} in {pool}", 30)

    def wait_gone(self, pool: str, identifier: int) -> None:
        wait_until(lambda: identifier not in self.plain.all(pool).elements, f"{identifier:#x} to leave {pool}", 30)


def our_elements(scene: Scene) -> None:
    """Run rsplib's users against our elements."""
    with finding("registered by multicast") as found:
        echo = programs.element(scene.net, OURS, ECHO, "echo", "EchoPool")
        scene.wait_listed("EchoPool", ECHO)
        found["homes"] = scene.plain.all("EchoPool").homes[ECHO]
    with finding("rspterminal") as found:
        terminal = peers.Terminal(scene.net, TERMINAL, "terminal", *peers.static(scene.registrar.asap))
        found["element"] = terminal.exchange("hello")
        terminal.stop()
    with finding("pingpongclient") as found:
        pingpong = programs.element(scene.net, OURS, PINGPONG, "pingpong", "PingPongPool", scene.at)
        user = peers.pingpong_user(scene.net, TERMINAL, *peers.static(scene.registrar.asap))
        user.wait_for(r"(?s)(Ack #.*){5}")
        user.stop()
        found["elements"] = sorted({int(one, 16) for one in re.findall(r"from PE \$([0-9a-f]{8})", user.text())})
        found["gap"] = "gap" in user.text()
    with finding("left") as found:
        found["statuses"] = [echo.program.stop(sig=signal.SIGTERM), pingpong.program.stop(sig=signal.SIGTERM)]
        scene.wait_gone("EchoPool", ECHO)
        scene.wait_gone("PingPongPool", PINGPONG)
        found["errors"] = [one.program.errors.read_text()[-500:] for one in (echo, pingpong)]


def their_elements(scene: Scene) -> None:
    """Run our user against rsplib's elements."""
    where = peers.static(scene.registrar.asap)
    for service, pool, identifier in (("echo", "TheirEcho", THEIR_ECHO), ("pingpong", "TheirPing", THEIR_PINGPONG)):
        with finding(f"rspserver {service}") as found:
            server = peers.element(scene.net, THEIRS, identifier, service, f"-poolhandle={pool}", *where)
            scene.wait_listed(pool, identifier)
            user = programs.user(scene.net, USER, service, pool, scene.at)
            answers = user.wait_events("answer", 10)
            found["elements"] = sorted({answer["element"] for answer in answers})
            if service == "pingpong":
                found["gaps"] = programs.gaps(answers)
            found["status"] = user.program.stop()
            server.stop()


class Mixed:
    """A ping-pong pool with one element of each implementation. They are killed in turn, and each comes back."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.running: dict[int, Program] = {}
        for identifier in (MIXED_OURS, MIXED_THEIRS):
            self.start(identifier)

    def start(self, identifier: int) -> None:
        scene = self.scene
        if identifier == MIXED_OURS:
            made = programs.element(scene.net, OURS, identifier, "pingpong", "MixedPing", scene.at)
            self.running[identifier] = made.program
        else:
            where = ["-poolhandle=MixedPing", *peers.static(scene.registrar.asap)]
            tag = f"pe{identifier:x}-{len(scene.net.programs)}"
            self.running[identifier] = peers.element(scene.net, THEIRS, identifier, "pingpong", *where, tag=tag)
        scene.wait_listed("MixedPing", identifier)

    def kill(self, identifier: int) -> None:
        self.running.pop(identifier).kill()


class OurUser:
    """A user written with the library."""

    def __init__(self, scene: Scene) -> None:
        self.user = programs.user(scene.net, USER, "pingpong", "MixedPing", scene.at)

    def answers(self, more: int) -> None:
        """Wait for ``more`` further answers."""
        self.user.more("answer", more)

    def served_by(self) -> int:
        """Identifier of the element that sent the last answer."""
        return self.user.served_by()

    def result(self) -> dict[str, object]:
        answers = self.user.events("answer")
        self.user.program.stop()
        return {"gaps": programs.gaps(answers), "answers": len(answers), "stall": programs.longest_stall(answers)}


class TheirUser:
    """rsplib's pingpongclient, which itself reports missing numbers."""

    def __init__(self, scene: Scene) -> None:
        where = [*peers.static(scene.registrar.asap), "-poolhandle=MixedPing"]
        self.client = peers.pingpong_user(scene.net, TERMINAL, *where)
        self.client.wait_for(r"Ack #")

    def answers(self, more: int) -> None:
        before = self.client.text().count("Ack #")
        wait_until(lambda: self.client.text().count("Ack #") >= before + more, f"{more} more answers", 30, 0.02)

    def served_by(self) -> int:
        return int(re.findall(r"from PE \$([0-9a-f]{8})", self.client.text())[-1], 16)

    def result(self) -> dict[str, object]:
        self.client.stop()
        text = self.client.text()
        return {"gaps": re.findall(r".*[Gg]ap.*", text), "answers": text.count("Ack #")}


def cookies(scene: Scene) -> None:
    """Move a session from rsplib's element to ours and back; the numbers must stay consecutive."""
    with finding("mixed pool"):
        mixed = Mixed(scene)
    for name, kind in (("ours", OurUser), ("rsplib", TheirUser)):
        with finding(f"failover, {name}") as found:
            found["moves"] = []
            user: OurUser | TheirUser = kind(scene)
            for _ in range(MOVES):
                found["moves"].append(move(mixed, user))
            found.update(user.result())


def move(mixed: Mixed, user: OurUser | TheirUser) -> tuple[int, int]:
    """Kill the serving element, wait for the other one, and start the first one again."""
    user.answers(8)
    before = user.served_by()
    time.sleep(BETWEEN)
    mixed.kill(before)
    wait_until(lambda: user.served_by() != before, "failover", 30, 0.02)
    user.answers(5)
    after = user.served_by()
    mixed.scene.wait_gone("MixedPing", before)
    mixed.start(before)
    return before, after


def main() -> None:
    with Network(out_directory()) as net:
        scene = None
        with finding("ready"):
            scene = Scene(net, sys.argv[1])
        if scene is None:
            return
        for part in (our_elements, their_elements, cookies):
            part(scene)


if __name__ == "__main__":
    main()

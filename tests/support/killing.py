"""Runs a download (download.py) while a random element is killed every two seconds, and a registrar every ten."""

import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tests.interop.network import wait_until
from tests.support.download import NAME, digest
from tests.support.prepared import Program

ELEMENT_EVERY, REGISTRAR_EVERY = 2.0, 10.0
"""Seconds between two kills."""
RESTART = 1.0
"""Seconds from a kill to the start of a new process: a guest's only processor would be busy with it while the others
react."""
SIZE = int(os.environ.get("RSERPOOL_DOWNLOAD_OCTETS") or 60_000_000)
LONGEST = 1.0 if "RSERPOOL_DOWNLOAD_OCTETS" in os.environ else 3.0
"""Seconds of the longest stall: one where it is measured; a machine that runs other tests may stand still for more."""
RATE = 4e6
"""Octets a second that an element sends: the file takes long enough."""
FAST = (
    "--keep-alive-interval=0.3", "--keep-alive-timeout=0.3", "--peer-heartbeat-cycle=0.3", "--max-time-last-heard=0.6",
    "--max-time-no-response=0.2", "--takeover-expiry=0.2", "--mentor-discovery-timeout=0.5",
)  # fmt: skip
"""A registrar's timers, for a local network."""

ON_ITS_WAY = 0.5
"""Seconds of data that buffers may hold, and more."""

Start = Callable[[str, int, str, list[str]], Program]
"""Starts a program of a name on a host: a module and its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where the programs run, and how much there is to do."""

    registrars: dict[int, str]
    """By host, where it serves ASAP."""
    peers: dict[int, str]
    """By host, where it meets its peer."""
    elements: tuple[int, ...]
    """Hosts of the elements."""
    user: int
    options: tuple[str, ...] = ()
    """Of every registrar."""
    local: str | None = None
    """The address of all, if there is just one."""
    size: int
    rate: float
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """The program that was killed, and when on the monotonic clock."""

    what: str
    identifier: int
    at: float


def said(program: Program, what: str) -> list[dict[str, Any]]:
    """All events of a kind that a program has printed, oldest first."""
    lines = program.output.read_text(errors="replace").splitlines(keepends=True)
    found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
    return [record for record in found if record["what"] == what]


class Scene:
    """The running programs; ``start`` starts more."""

    def __init__(self, plan: Plan, start: Start) -> None:
        self.plan = plan
        self.start = start
        self.random = random.Random(plan.seed)
        self.count = 0
        self.kills: list[Kill] = []
        self.gone: list[Callable[[], None]] = []
        """Functions that restart the programs that were killed."""
        self.registrars = {host: self._registrar(host) for host in plan.registrars}
        wait_until(lambda: all(map(serves, self.registrars.values())), "the registrars", 30)
        self.elements = dict(enumerate(map(self._element, plan.elements)))
        wait_until(lambda: all(map(registered, self.elements.values())), "the elements", 60)

    def _tag(self, role: str) -> str:
        self.count += 1
        return f"{role}-{self.count}"

    def _registrar(self, host: int) -> Program:
        plan = self.plan
        peers = ",".join(place for other, place in plan.peers.items() if other != host)
        arguments = [
            "registrar", f"--identifier={host * 0x11111111}",
            f"--asap={plan.registrars[host]}", f"--enrp={plan.peers[host]}", f"--peer={peers}", "--announce=",
            "--enrp-announce=", "--log-level=info", *FAST, *plan.options,
        ]  # fmt: skip
        return self.start(self._tag(f"registrar{host}"), host, "rserpool.cli.main", arguments)

    def _play(self, role: str, host: int, *options: str) -> Program:
        known = [f"--registrar={place}" for place in self.plan.registrars.values()]
        local = [f"--local={self.plan.local}"] if self.plan.local else []
        arguments = [role, *known, *local, *options]
        return self.start(self._tag(role), host, "tests.support.download", arguments)

    def _element(self, host: int) -> Program:
        return self._play("element", host, f"--rate={self.plan.rate}")

    def download(self) -> Program:
        """Let one user fetch the file while the others are killed. Returns its program, which has ended."""
        user = self._play("user", self.plan.user, f"--size={self.plan.size}")
        wait_until(lambda: said(user, "began") or not user.alive(), "the download's begin", 30)
        began = time.monotonic()
        victims, hosts = self._turns(range(len(self.elements))), self._turns(tuple(self.registrars))
        for due in itertools.count(ELEMENT_EVERY, ELEMENT_EVERY):
            if not wait_while(user, began + due):
                break
            if due % REGISTRAR_EVERY == 2 * ELEMENT_EVERY:
                self._kill_registrar(hosts)
            self._kill_element(victims)
            if not wait_while(user, began + due + RESTART):
                break
            while self.gone:
                self.gone.pop()()
        return user

    def _turns(self, places: range | tuple[int, ...]) -> Iterator[int]:
        """All of them in a random order, again and again."""
        while True:
            yield from self.random.sample(places, len(places))

    def _kill_element(self, turns: Iterator[int]) -> None:
        slot = next(turns)
        victim = self.elements[slot]
        wait_until(lambda: registered(victim), f"{victim.output.stem} to be registered", every=0.01)
        self._kill("element", int(said(victim, "registered")[-1]["identifier"]), victim)

        def restart() -> None:
            self.elements[slot] = self._element(self.plan.elements[slot])

        self.gone.append(restart)

    def _kill_registrar(self, turns: Iterator[int]) -> None:
        """Kill a registrar, but never the last one."""
        host = next(turns)
        wait_until(lambda: all(map(serves, self.registrars.values())), "both registrars")
        self._kill("registrar", host * 0x11111111, self.registrars[host])

        def restart() -> None:
            self.registrars[host] = self._registrar(host)

        self.gone.append(restart)

    def _kill(self, what: str, identifier: int, victim: Program) -> None:
        victim.kill()
        self.kills.append(Kill(what=what, identifier=identifier, at=time.monotonic()))


def wait_while(user: Program, due: float) -> bool:
    """Wait until that time, or until the user has ended. Returns True if it still runs."""
    while user.alive() and time.monotonic() < due:
        time.sleep(0.01)
    return user.alive()


def serves(registrar: Program) -> bool:
    return "serves ASAP" in registrar.errors.read_text(errors="replace")


def registered(element: Program) -> bool:
    return bool(said(element, "registered"))


def outcome(scene: Scene, user: Program) -> dict[str, Any]:
    """What the user experienced. ``hits`` are the kills of the serving element, except at the very end, when the rest
    of the file may be on its way already."""
    serving = said(user, "began") + said(user, "failover")
    end = max((record["at"] for record in said(user, "done")), default=float("inf")) - ON_ITS_WAY
    elements = [kill for kill in scene.kills if kill.what == "element"]
    hits = 0
    for kill in elements:
        before = [record for record in serving if record["at"] <= kill.at]
        hits += bool(before) and kill.at < end and before[-1].get("new", before[-1].get("element")) == kill.identifier
    return {
        "done": said(user, "done"),
        "expected": {"octets": scene.plan.size, "sha256": digest(NAME, scene.plan.size)},
        "hits": hits,
        "failovers": said(user, "failover"),
        "stalls": said(user, "stall"),
        "kills": [asdict(kill) for kill in scene.kills],
        "elements_killed": len(elements),
        "registrars_killed": len(scene.kills) - len(elements),
        "errors": user.errors.read_text(errors="replace")[-2000:],
    }


def judge(found: dict[str, Any]) -> None:
    """Assert what must be true of an outcome."""
    assert found["done"], found["errors"]
    (done,) = found["done"]
    assert {name: done[name] for name in found["expected"]} == found["expected"]
    assert found["elements_killed"] >= SIZE / RATE / ELEMENT_EVERY - 1
    assert found["registrars_killed"] >= SIZE / RATE / REGISTRAR_EVERY - 1
    assert done["failovers"] >= found["hits"] > 0
    assert done["longest"] < LONGEST, found["stalls"]

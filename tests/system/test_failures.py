"""A user's session during each failure, over libusrsctp: two registrars, two elements and one user in processes of
their own on the loopback interface. The rows of docs/failures.md."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rserpool import client
from rserpool.transport.interface import FAST
from tests.interop import registrars
from tests.interop.network import wait_until
from tests.interop.programs import longest_stall
from tests.support.killing import said, serves
from tests.support.ports import free_port
from tests.support.prepared import Prepared, Program
from tests.system.test_registrar import HOST

POOL = "EchoPool"
INTERVAL = 0.1
"""Seconds between two messages of the user. Every stall includes one such pause."""
SILENCE = 0.5
REGISTERED = 6.0
"""Seconds until both elements are registered again: the registrars' wait for a mentor and the elements' retries."""
NOISE = 1.0
"""Seconds of extra delay allowed for a process on a busy machine."""
TIMERS = [option for option in registrars.OURS if not option.startswith(("--transport", "--profile"))]


class Scene:
    """The running registrars and elements, and one user that receives answers."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.ports = [free_port(), free_port()]
        self.peers = [free_port(), free_port()]
        self.registrars = [self.registrar(number) for number in (0, 1)]
        wait_until(lambda: all(map(serves, self.registrars)), "the registrars")
        self.elements = {identifier: self.element(identifier) for identifier in (0xA3, 0xA4)}
        wait_until(self.agreed, "the elements", every=0.05)
        self.user = self.play("pu", f"--silence={SILENCE}")
        self.answered(3)

    def registrar(self, number: int) -> Program:
        arguments = [
            "registrar", f"--asap={HOST}:{self.ports[number]}", f"--enrp={HOST}:{self.peers[number]}",
            f"--peer={HOST}:{self.peers[1 - number]}", f"--identifier={number + 1}", "--transport=usrsctp",
            "--address-scope=loopback", "--announce=", "--enrp-announce=", *TIMERS,
        ]  # fmt: skip
        return self.start("rserpool.cli.main", arguments)

    def element(self, identifier: int) -> Program:
        return self.play("pe", f"--identifier={identifier}")

    def play(self, role: str, *options: str) -> Program:
        known = [f"--registrar={HOST}:{port}" for port in self.ports]
        return self.start("tests.interop.application", [role, "echo", f"--pool={POOL}", *known, *options])

    def start(self, module: str, arguments: list[str]) -> Program:
        return self.prepared.start(f"{arguments[0]}-{len(self.prepared.programs)}", module, arguments)

    def homes(self, number: int) -> dict[int, int]:
        """Homes of the elements, as listed by one registrar."""
        known = [f"{HOST}:{self.ports[number]}"]
        try:
            found = asyncio.run(client.resolve(POOL, registrars=known, settings=client.FAST))
        except (client.UnknownPool, client.NoRegistrar):
            return {}
        return {one.identifier: one.home_identifier for one in found}

    def agreed(self) -> bool:
        """True if each registrar lists both elements."""
        return all(self.homes(number).keys() == self.elements.keys() for number in (0, 1))

    def answered(self, times: int) -> None:
        """Wait until the user has received ``times`` further answers."""
        wanted = len(said(self.user, "answer")) + times
        wait_until(lambda: len(said(self.user, "answer")) >= wanted, "answers", every=0.02)

    def served_by(self) -> int:
        return int(said(self.user, "answer")[-1]["element"])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Prepared(tmp_path) as prepared:
        yield Scene(prepared)


@pytest.mark.conformance("ASAP-6.5.5-01")
@pytest.mark.parametrize(
    ("how", "stall"),
    [
        pytest.param(signal.SIGKILL, INTERVAL, id="killed"),
        pytest.param(signal.SIGTERM, INTERVAL, id="left"),
        pytest.param(signal.SIGSTOP, INTERVAL + FAST.found_busy, id="silent"),
    ],
)
def test_the_session_continues_with_the_other_element(scene: Scene, how: signal.Signals, stall: float) -> None:
    victim = scene.served_by()
    os.kill(scene.elements[victim].identifier, how)
    wait_until(lambda: scene.served_by() != victim, "failover", every=0.02)
    scene.answered(3)
    seen = longest_stall(said(scene.user, "answer"))
    print("stall", seen)
    assert len(said(scene.user, "failover")) == 1
    assert seen < stall + NOISE
    assert scene.user.alive()


@pytest.mark.conformance("ASAP-3.6-08", "REQ-3237-2.1-01")
def test_a_dead_registrar_is_replaced_and_the_session_does_not_notice(scene: Scene) -> None:
    victim = next(iter(scene.homes(0).values())) - 1
    survivor = 1 - victim
    began = time.monotonic()
    scene.registrars[victim].kill()
    there = dict.fromkeys(scene.elements, survivor + 1)
    wait_until(lambda: scene.homes(survivor) == there, "a new home", every=0.01)
    print("new home after", round(time.monotonic() - began, 3))
    scene.answered(10)
    seen = longest_stall(said(scene.user, "answer"))
    print("stall", seen)
    assert not said(scene.user, "failover")
    assert seen < INTERVAL + NOISE


@pytest.mark.conformance("ASAP-3.6-13", "ASAP-3.6-14")
def test_without_any_registrar_the_session_continues_and_the_elements_re_register(scene: Scene) -> None:
    for registrar in scene.registrars:
        registrar.kill()
    scene.answered(10)
    back = time.monotonic()
    scene.registrars = [scene.registrar(number) for number in (0, 1)]
    wait_until(scene.agreed, "both elements", 40, every=0.02)
    took = time.monotonic() - back
    print("registered after", round(took, 3))
    scene.answered(3)
    seen = longest_stall(said(scene.user, "answer"))
    print("stall", seen)
    assert not said(scene.user, "failover")
    assert seen < INTERVAL + NOISE
    assert took < REGISTERED + NOISE

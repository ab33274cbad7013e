"""The simulation of 200 scopes, and whether it notices what is broken."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import Pool

import pytest

from rserpool.protocol.asap import AsapRegistrar
from rserpool.protocol.mirror import Mirror
from rserpool.protocol.tables import Tables
from rserpool.protocol.takeover import Takeovers
from tests.sim.__main__ import one
from tests.sim.clock import Clock
from tests.sim.ledger import Violation
from tests.sim.scenario import Failure, Scenario, run
from tests.sim.world import shape

SEEDS = 200
FEW = 12
"""Seeds among which one must find what a test breaks."""


def test_200_seeds() -> None:
    with Pool(2) as pool:
        failed = [what for _, what in pool.imap_unordered(one, range(SEEDS), chunksize=5) if what]
    assert not failed, "\n\n".join(failed)


def test_one_seed_is_one_history() -> None:
    first, again = run(3), run(3)
    assert first.history.count > 500
    assert (first.history.digest, first.history.count) == (again.history.digest, again.history.count)
    assert run(4).history.digest != first.history.digest


def test_history_does_not_depend_on_the_process() -> None:
    digests = set()
    for salt in ("1", "2"):
        command = [sys.executable, "-m", "tests.sim", "--seed", "3"]
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        told = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment, check=True).stdout
        digests.add(told.split("history ")[1])
    assert len(digests) == 1


def test_clock_keeps_the_order() -> None:
    clock = Clock()
    seen: list[str] = []
    clock.after(2, seen.append, "c")
    clock.after(1, seen.append, "a")
    clock.after(1, seen.append, "b")
    assert clock.run(1_500_000) == 2
    assert (seen, clock.now) == (["a", "b"], 1_500_000)
    clock.run(9_000_000)
    assert seen == ["a", "b", "c"]


def nothing(*_: object) -> None:
    """Instead of what should be done."""


def found(changes: dict[str, object]) -> str:
    """What the first of a few seeds to fail says, of worlds changed so that the fault matters."""
    for seed in range(FEW):
        try:
            Scenario(seed, replace(shape(seed), **changes)).run()  # type: ignore[arg-type]
        except Failure as failure:
            if not isinstance(failure.__cause__, Violation):
                raise
            return str(failure)
    return ""


CALM: dict[str, object] = {"calm": 1.0, "registrars": 7, "slowest": 0.4, "phases": 5}
WILD: dict[str, object] = {"calm": 0.0, "phases": 4, "elements": 20}
LOSSES: dict[str, object] = {
    **WILD,
    "elements": 40,
    "disturbances": 30,
    "kinds": ("associations are lost", "elements die", "a registrar stands still"),
}

BROKEN: dict[str, tuple[type, str, Callable[..., object], dict[str, object]]] = {
    "never sweeps": (Tables, "_sweep", lambda tables, peer: tables.interrupted(peer), LOSSES),
    "never audits": (Tables, "compare", nothing, LOSSES),
    "tells no peer of its elements": (Mirror, "tell", nothing, {}),
    "takes over without asking": (Takeovers, "_votes", lambda takeovers, identifier: False, CALM),
    "never takes over": (Takeovers, "_won", nothing, CALM),
    "keeps its elements, alive or dead": (AsapRegistrar, "_remove", lambda asap, handle, identifier, **_: [], WILD),
}


@pytest.mark.parametrize("changes", [CALM, WILD, LOSSES])
def test_a_registrar_in_order_is_not_found(changes: dict[str, object]) -> None:
    assert not found(changes)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_registrar_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, instead, changes = BROKEN[fault]
    monkeypatch.setattr(owner, name, instead)
    assert found(changes), f"{FEW} seeds do not notice a registrar that {fault}"

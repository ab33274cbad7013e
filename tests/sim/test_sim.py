"""Tests that simulated scopes recover, and that the simulation notices broken protocol code."""

import os
import subprocess
import sys
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from multiprocessing import Pool
from typing import Any

import pytest

from rserpool.model.association_ends import Down
from rserpool.protocol.client import hunt
from rserpool.protocol.client.candidate_list import FOREVER, Candidate
from rserpool.protocol.client.context import NodeContext
from rserpool.protocol.client.element_table import TABLE, ElementEvent, ElementReaction
from rserpool.protocol.client.events import ElementState
from rserpool.protocol.client.hunt import Hunt
from rserpool.protocol.client.user import User
from rserpool.protocol.registrar.elements import Elements
from rserpool.protocol.registrar.enrp.checksum_audit import ChecksumAudit
from rserpool.protocol.registrar.enrp.handle_tables import HandleTables
from rserpool.protocol.registrar.enrp.handle_updates import HandleUpdates
from rserpool.protocol.registrar.enrp.takeover import Takeovers
from rserpool.protocol.registrar.slices import Slices
from rserpool.protocol.session import user_table as session_table
from rserpool.protocol.session.outbox import Outbox
from rserpool.protocol.session.user_session import Report, UserSession, UserSessionAction
from rserpool.protocol.session.user_table import UserSessionEvent, UserSessionReaction, UserSessionState
from rserpool.protocol.table import Transition
from rserpool.settings.client import FAST
from tests.sim.__main__ import one
from tests.sim.clock import Clock
from tests.sim.ledger import Violation
from tests.sim.simulated_run import Failure, SimulatedRun, run
from tests.sim.world import PATIENT, USE, shape

SEEDS = 90
SLICED = 30
"""Seeds in which each slice of a walk over elements has one element."""
FEW = 12
"""Seeds of which at least one must detect the fault of a test."""
IN_ORDER = 4
"""Seeds of each kind of world without a fault."""


def test_seeds() -> None:
    with Pool(2) as pool:
        failed = [what for _, what in pool.imap_unordered(one, range(SEEDS), chunksize=5) if what]
    assert not failed, "\n\n".join(failed)


def test_walks_may_be_cut_anywhere() -> None:
    smallest = Slices(pause=0.03, taken_over=1, scanned=1, audited=1, keep_alives=1)
    for seed in range(SLICED):
        SimulatedRun(seed, replace(shape(seed), slices=smallest)).run()


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


def nothing(*_: object, **__: object) -> None:
    """Replaces a method: does nothing."""


def found(changes: dict[str, object], seeds: int = FEW) -> str:
    """The text of the first violation that a few seeds find, in worlds where the fault matters."""
    for seed in range(seeds):
        try:
            SimulatedRun(seed, replace(shape(seed), **changes)).run()  # type: ignore[arg-type]
        except Failure as failure:
            if not isinstance(failure.__cause__, Violation):
                raise
            return str(failure)
    return ""


CALM: dict[str, object] = {"calm": 1.0, "registrars": 7, "slowest": 0.4, "client": PATIENT, "phases": 5}
WILD: dict[str, object] = {"calm": 0.0, "phases": 4, "elements": 20, "kinds": (), "disturbances": 8}
LOSSES: dict[str, object] = {
    **WILD,
    "elements": 40,
    "disturbances": 30,
    "kinds": ("associations are lost", "elements die", "a registrar stands still"),
}
OURS: dict[str, object] = {**WILD, "rsplib_elements": 0.0, "per_node": 1, "client": FAST, "slowest": 0.01}
DEATHS: dict[str, object] = {**OURS, "registrars": 5, "kinds": ("a registrar dies",)}
SESSIONS: dict[str, object] = {**OURS, "users": 4, "kinds": USE, "disturbances": 25}
Break = Callable[[pytest.MonkeyPatch], None]


def method(owner: type, name: str, instead: object) -> Break:
    """Replace a method by a broken one."""
    return lambda patch: patch.setattr(owner, name, instead)


def row(table: MutableMapping[Any, Any], *rows: tuple[Any, Any]) -> Break:
    """Replace rows of a state table by broken ones."""

    def breaks(patch: pytest.MonkeyPatch) -> None:
        for key, instead in rows:
            patch.setitem(table, key, instead)

    return breaks


def stubborn(own: Hunt, now: int, pause: int) -> list[Candidate]:
    """Always tries the same registrar."""
    mine = own._allowed(now)
    favourite = min(mine, key=lambda one: one.tried if one.tried > 0 else FOREVER, default=None)
    return [favourite] if favourite is not None and favourite.usable(now) and favourite.tried + pause <= now else []


def forgetful(session: UserSession, channel: int, data: bytes, now: int) -> list[UserSessionAction]:
    """Keeps the first cookie."""
    first = session.cookie
    actions = control(session, channel, data, now)
    session.cookie = first or session.cookie
    return actions


def careless(outbox: Outbox, *messages: bytes) -> None:
    """Drops what no element took, instead of sending it to the next one."""
    outbox.clear()
    for data in messages:
        outbox.put_control(data)


def deaf(user: User, now: int, **_: object) -> None:
    """Does not renew subscriptions at the next home."""
    for query in tuple(user._queries.values()):
        user._ask(query, now, again=False)


def enduring(session: UserSession) -> int | None:
    """Waits for silent elements without end."""
    return session._timer if session.state is not UserSessionState.OPEN else None


def slanderous(
    session: UserSession, channel: int, reason: Down, now: int, *, tried: bool = True
) -> list[UserSessionAction]:
    """Reports elements that ended in order, too."""
    actions = down(session, channel, reason, now)
    return [*actions, Report(session.element)] if reason is Down.SHUTDOWN and session.element else actions


def repetitive(session: UserSession, now: int) -> list[UserSessionAction]:
    """Reports each failed element twice."""
    failed, again = session.element, session._report
    actions = fail_over(session, now)
    return [Report(failed), *actions] if again and failed is not None else actions


fail_over = UserSession._fail_over
control, down, restart = UserSession.control, UserSession.down, Outbox.restart
READY, SELECTING, ENDED = ElementState.READY, UserSessionState.SELECTING, UserSessionState.ENDED
BROKEN: dict[str, tuple[Break, dict[str, object]]] = {
    "a registrar never sweeps": (
        method(HandleTables, "_sweep", lambda tables, peer, *_: tables.cancel_download(peer)),
        LOSSES,
    ),
    "a registrar never audits": (method(ChecksumAudit, "audit", nothing), LOSSES),
    "a registrar sends no handle updates to its peers": (method(HandleUpdates, "send_all", nothing), {}),
    "a registrar takes over without asking": (method(Takeovers, "_votes", lambda takeovers, identifier: False), CALM),
    "a registrar never takes over": (method(Takeovers, "_move_elements", nothing), CALM),
    "a registrar keeps its elements, alive or dead": (
        method(Elements, "remove", lambda *_, **__: []),
        WILD,
    ),
    "an element never registers again after the loss of its home": (
        row(TABLE, ((READY, ElementEvent.HOME_LOST), Transition(ElementReaction.IGNORE, READY))),
        DEATHS,
    ),
    "a node keeps its former home": (method(NodeContext, "leave", nothing), OURS),
    "a hunt never gives a dead registrar up": (method(Hunt, "_eligible", stubborn), DEATHS),
    "a hunt tries too many at once": (lambda patch: patch.setattr(hunt, "AT_ONCE", 6), DEATHS),
    "a user watches at its first home only": (method(User, "home_found", deaf), DEATHS),
    "a session echoes its first cookie": (method(UserSession, "control", forgetful), SESSIONS),
    "a session echoes no cookie": (method(Outbox, "restart", lambda outbox, *control: restart(outbox)), SESSIONS),
    "a session loses what was not sent": (method(Outbox, "restart", careless), SESSIONS),
    "a session reports who left in order": (method(UserSession, "down", slanderous), SESSIONS),
    "a session reports a failure twice": (method(UserSession, "_fail_over", repetitive), SESSIONS),
    "a session never leaves who is silent": (method(UserSession, "deadline", property(enduring)), SESSIONS),
    "a session ends where all have failed": (
        row(
            session_table.TABLE,
            (
                (SELECTING, UserSessionEvent.NOTHING_SELECTED),
                Transition(UserSessionReaction.GIVE_UP, UserSessionState.ENDED),
            ),
        ),
        SESSIONS,
    ),
}


@pytest.mark.parametrize("changes", [CALM, WILD, LOSSES, DEATHS, SESSIONS])
def test_what_is_in_order_is_not_found(changes: dict[str, object]) -> None:
    assert not found(changes, IN_ORDER)


@pytest.mark.parametrize("fault", BROKEN)
def test_what_is_broken_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks, changes = BROKEN[fault]
    breaks(monkeypatch)
    assert found(changes), f"{FEW} seeds do not notice that {fault}"

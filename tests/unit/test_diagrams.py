"""The generator of docs/state-machines.md, and the file itself."""

import enum
import sys
from pathlib import Path

import pytest

from ci import diagrams
from rserpool.protocol.table import Transition


class Lamp(enum.Enum):
    DARK = enum.auto()
    """No light."""
    LIT = enum.auto()
    """Light."""
    BROKEN = enum.auto()


class Touch(enum.Enum):
    PRESS = enum.auto()
    """Somebody presses the switch."""
    DROP = enum.auto()


class Effect(enum.Enum):
    IGNORE = enum.auto()
    TOGGLE = enum.auto()
    """Turn the lamp
    on or off."""
    BREAK = enum.auto()


TABLE = {
    (Lamp.DARK, Touch.PRESS): Transition(Effect.TOGGLE, Lamp.LIT),
    (Lamp.LIT, Touch.PRESS): Transition(Effect.TOGGLE, Lamp.DARK),
    (Lamp.LIT, Touch.DROP): Transition(Effect.BREAK, Lamp.BROKEN),
    (Lamp.DARK, Touch.DROP): Transition(Effect.BREAK, Lamp.BROKEN),
    (Lamp.BROKEN, Touch.PRESS): Transition(Effect.IGNORE, Lamp.BROKEN),
}
MACHINE = diagrams.Machine(sys.modules[__name__], TABLE)


def test_the_file_is_what_the_tables_generate() -> None:
    assert diagrams.FILE.exists(), "run python -m ci.diagrams"
    assert diagrams.FILE.read_text() == diagrams.document(), "out of date: run python -m ci.diagrams"


def test_every_machine_is_found() -> None:
    found = {machine.module.__name__.rpartition(".")[2] for machine in diagrams.machines()}
    assert {"element_table", "user_table", "element_session"} <= found


@pytest.mark.parametrize("machine", diagrams.machines(), ids=lambda machine: machine.module.__name__)
def test_every_state_event_and_reaction_has_a_meaning(machine: diagrams.Machine) -> None:
    for kind in (machine.states, machine.events, machine.reactions):
        assert set(diagrams.meanings(kind)) == set(kind.__members__), kind.__name__


def test_a_section_shows_arrows_meanings_and_ignored_events() -> None:
    text = diagrams.section(MACHINE)
    assert "[*] --> DARK" in text
    assert "DARK --> LIT: PRESS / TOGGLE" in text
    assert "BROKEN --> [*]" in text
    assert "| DARK | PRESS | TOGGLE | LIT | Turn the lamp on or off. |" in text
    assert "- BROKEN: PRESS" in text
    assert "BROKEN | PRESS" not in text


def test_check_fails_for_another_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(diagrams, "FILE", tmp_path / "state-machines.md")
    monkeypatch.setattr(sys, "argv", ["diagrams", "--check"])
    assert diagrams.main() == 1
    monkeypatch.setattr(sys, "argv", ["diagrams"])
    assert diagrams.main() == 0
    monkeypatch.setattr(sys, "argv", ["diagrams", "--check"])
    assert diagrams.main() == 0

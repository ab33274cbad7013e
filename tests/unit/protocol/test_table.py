import ast
import enum
from pathlib import Path

import pytest

import rserpool.protocol
from rserpool.errors import LocalProtocolError
from rserpool.protocol.table import Transition, step


class Door(enum.Enum):
    OPEN = enum.auto()
    SHUT = enum.auto()


class Push(enum.Enum):
    PUSH = enum.auto()


class Move(enum.Enum):
    SWING = enum.auto()


TABLE = {(Door.OPEN, Push.PUSH): Transition(Move.SWING, Door.SHUT)}


def test_step_returns_the_transition_of_a_known_pair() -> None:
    assert step(TABLE, Door.OPEN, Push.PUSH) == (Move.SWING, Door.SHUT)


def test_step_refuses_an_absent_pair() -> None:
    with pytest.raises(LocalProtocolError, match="PUSH is impossible in state SHUT"):
        step(TABLE, Door.SHUT, Push.PUSH)


MACHINES = ("client/element.py", "session/user_session.py", "session/element_session.py")
FREE = {"__init__", "drop"}
"""Functions that set a state without a table: the first state, and Element.drop, which ends an element silently."""


@pytest.mark.parametrize("path", MACHINES)
def test_only_the_step_through_the_table_changes_a_state(path: str) -> None:
    tree = ast.parse((Path(rserpool.protocol.__path__[0]) / path).read_text())
    setters = {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and node.attr == "state" and isinstance(node.ctx, ast.Store)
    }
    assert len(setters - FREE) == 1, setters

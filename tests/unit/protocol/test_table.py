import enum

import pytest

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

"""The form of every state table: (state, event) -> Transition(action, next state).

States, events and actions are enums whose members have docstrings; docs/state-machines.md is generated from them. A
machine keeps a dict from each action to a bound method. A pair that a table lacks is a protocol error.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from rserpool.errors import LocalProtocolError

State = TypeVar("State", bound=Enum)
Event = TypeVar("Event", bound=Enum)
Action = TypeVar("Action", bound=Enum)


class Transition(NamedTuple, Generic[Action, State]):
    """One row of a table: the action to carry out and the state that follows."""

    action: Action
    next: State


def step(
    table: Mapping[tuple[State, Event], Transition[Action, State]], state: State, event: Event
) -> Transition[Action, State]:
    """Look up the transition of an event. LocalProtocolError if the event is impossible in this state."""
    found = table.get((state, event))
    if found is None:
        raise LocalProtocolError(f"{event.name} is impossible in state {state.name}")
    return found

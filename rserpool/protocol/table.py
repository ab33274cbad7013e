"""The form of every state table: (state, event) -> Transition(reaction, next state).

States, events and reactions are enums whose members have docstrings; docs/state-machines.md is generated from them. A
machine keeps a dict from each reaction to a bound method. A pair that a table lacks is a protocol error.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from rserpool.errors import LocalProtocolError

State = TypeVar("State", bound=Enum)
Event = TypeVar("Event", bound=Enum)
Reaction = TypeVar("Reaction", bound=Enum)


class Transition(NamedTuple, Generic[Reaction, State]):
    """One row of a table: the reaction to carry out and the state that follows."""

    reaction: Reaction
    next: State


def step(
    table: Mapping[tuple[State, Event], Transition[Reaction, State]], state: State, event: Event
) -> Transition[Reaction, State]:
    """Look up the transition of an event. LocalProtocolError if the event is impossible in this state."""
    found = table.get((state, event))
    if found is None:
        raise LocalProtocolError(f"{event.name} is impossible in state {state.name}")
    return found

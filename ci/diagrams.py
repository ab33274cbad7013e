"""The state diagrams of docs/state-machines.md, generated from the state tables of rserpool.protocol.

``python -m ci.diagrams`` writes the file; ``--check`` fails if it is not up to date.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import rserpool.protocol
from rserpool.protocol.table import Transition

FILE = Path(__file__).resolve().parents[1] / "docs" / "state-machines.md"
IGNORE = "IGNORE"
"""The reaction of events without effect. They are left out of the diagrams."""
TITLES = {
    "rserpool.protocol.client.element_table": "Pool element",
    "rserpool.protocol.session.user_table": "Session of a pool user",
    "rserpool.protocol.session.element_session": "Session at its pool element",
    "rserpool.protocol.registrar.enrp.peers": "Peer registrar",
    "rserpool.protocol.registrar.enrp.mentor": "Start of a registrar",
}
"""Titles and order of the tables. Other modules with a table follow under their own name."""
HEAD = """\
# State machines

The state tables in `rserpool/protocol/`, drawn. This file is generated: `python -m ci.diagrams` writes it.

A table maps (state, event) to (reaction, next state). A pair that is not listed is a protocol error. In the diagrams an
arrow reads *events / reaction*; events that a state ignores are left out.
"""

Table = Mapping[tuple[Enum, Enum], Transition[Enum, Enum]]


@dataclass(frozen=True)
class Machine:
    """One state table and the module that it stands in."""

    module: ModuleType
    table: Table

    @property
    def title(self) -> str:
        return TITLES.get(self.module.__name__, self.module.__name__)

    @property
    def states(self) -> type[Enum]:
        return type(next(iter(self.table))[0])

    @property
    def events(self) -> type[Enum]:
        return type(next(iter(self.table))[1])

    @property
    def reactions(self) -> type[Enum]:
        return type(next(iter(self.table.values())).reaction)


def is_table(value: Any) -> bool:
    """True for a dict from pairs to transitions."""
    return isinstance(value, dict) and bool(value) and all(isinstance(row, Transition) for row in value.values())


def machines() -> list[Machine]:
    """Every state table of rserpool.protocol, in the order of TITLES. A table belongs to the module of its events."""
    found: list[Machine] = []
    for info in pkgutil.walk_packages(rserpool.protocol.__path__, "rserpool.protocol."):
        module = importlib.import_module(info.name)
        found += [Machine(module, value) for value in vars(module).values() if is_table(value)]
    own = [machine for machine in found if machine.events.__module__ == machine.module.__name__]
    order = {name: position for position, name in enumerate(TITLES)}
    return sorted(own, key=lambda one: (order.get(one.module.__name__, len(order)), one.module.__name__))


def meanings(kind: type[Enum]) -> dict[str, str]:
    """The docstrings of an enum's members, by name."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    name = ""
    for node in definition.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=member)]):
                name = member
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = " ".join(text.split())
    return found


def edges(machine: Machine) -> Iterator[str]:
    """The arrows of a diagram, one for each state, next state and reaction."""
    arrows: dict[tuple[str, str, str], list[str]] = {}
    for (state, event), row in ordered(machine):
        if row.reaction.name != IGNORE:
            arrows.setdefault((state.name, row.next.name, row.reaction.name), []).append(event.name)
    for (before, after, reaction), events in arrows.items():
        yield f"    {before} --> {after}: {', '.join(events)} / {reaction}"
    left = {before for before, after, _ in arrows if before != after}
    yield from (f"    {last.name} --> [*]" for last in machine.states if last.name not in left)


def rows(machine: Machine) -> Iterator[str]:
    """The lines of the table of transitions, without ignored events."""
    meaning = meanings(machine.reactions)
    for (state, event), row in ordered(machine):
        if row.reaction.name != IGNORE:
            text = meaning.get(row.reaction.name, "")
            yield f"| {state.name} | {event.name} | {row.reaction.name} | {row.next.name} | {text} |"


def ordered(machine: Machine) -> list[tuple[tuple[Enum, Enum], Transition[Enum, Enum]]]:
    """The rows by state and event, in the order in which the enums list them."""
    states, events = list(machine.states), list(machine.events)
    return sorted(machine.table.items(), key=lambda item: (states.index(item[0][0]), events.index(item[0][1])))


def ignored(machine: Machine) -> Iterator[str]:
    """One line for each state that ignores events."""
    for state in machine.states:
        found = [
            event.name
            for event in machine.events
            if (row := machine.table.get((state, event))) is not None and row.reaction.name == IGNORE
        ]
        if found:
            yield f"- {state.name}: {', '.join(found)}"


def section(machine: Machine) -> str:
    """The chapter of one machine."""
    path = machine.module.__name__.replace(".", "/") + ".py"
    lines = [f"## {machine.title}", "", f"[`{path}`](../{path})", "", inspect.getdoc(machine.module) or "", ""]
    first = next(iter(machine.states))
    lines += ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.name}", *edges(machine), "```", ""]
    for heading, kind in (("State", machine.states), ("Event", machine.events)):
        meaning = meanings(kind)
        lines += [f"| {heading} | Meaning |", "|---|---|"]
        lines += [f"| {member.name} | {meaning.get(member.name, '')} |" for member in kind]
        lines.append("")
    lines += ["| State | Event | Reaction | Next state | Meaning |", "|---|---|---|---|---|", *rows(machine), ""]
    if without_effect := list(ignored(machine)):
        lines += ["Ignored events:", "", *without_effect, ""]
    return "\n".join(lines)


def document() -> str:
    """The whole file."""
    return "\n".join([HEAD, *map(section, machines())])


def main() -> int:
    text = document()
    if "--check" in sys.argv[1:]:
        if not FILE.exists() or FILE.read_text() != text:
            print(f"{FILE.name} is not up to date: run python -m ci.diagrams", file=sys.stderr)
            return 1
        return 0
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

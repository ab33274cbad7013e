"""The cases of bench.instr and bench.wall: those in the CASES table of each module here.

A case has a name, a function that makes its subject, and the subject three steps: ``prepare(calls)``,
``run(calls)`` and ``clean(calls)``. Only ``run`` is measured; it does the work ``calls`` times. Together the steps
leave the subject unchanged, so that it can be measured again.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass


class Subject:
    """Something to measure; override ``run``, and the others where they are needed."""

    def prepare(self, calls: int) -> None:
        """Not measured."""

    def run(self, calls: int) -> None:
        """Measured."""
        raise NotImplementedError

    def clean(self, calls: int) -> None:
        """Not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One figure. With ``instr`` bench.instr counts it too; callgrind is about fifty times slower."""

    name: str
    make: Callable[[], Subject]
    instr: bool = True


def all_cases(*patterns: str) -> list[Case]:
    """The cases whose names contain one of the patterns, or all."""
    found: list[Case] = []
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        found += getattr(importlib.import_module(f"{__name__}.{module}"), "CASES", [])
    return [case for case in found if not patterns or any(pattern in case.name for pattern in patterns)]

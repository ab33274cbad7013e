"""What is measured. Every module here with a CASES table takes part in bench.instr and bench.wall.

A case has a name, a function that makes its subject, and the subject three steps: ``prepare(calls)`` and
``clean(calls)`` around ``run(calls)``, which alone is measured and calls the thing ``calls`` times. Each step leaves
the subject as it found it, together, so that a subject can be measured again.
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
    """One figure. ``instr`` tells whether bench.instr counts it too; callgrind is some fifty times slower."""

    name: str
    make: Callable[[], Subject]
    instr: bool = True


def all_cases(*patterns: str) -> list[Case]:
    """The cases whose names contain one of the patterns, or all."""
    found: list[Case] = []
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        found += getattr(importlib.import_module(f"{__name__}.{module}"), "CASES", [])
    return [case for case in found if not patterns or any(pattern in case.name for pattern in patterns)]

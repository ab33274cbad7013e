"""The cases that bench.instr and bench.wall measure: the entries of the CASES table of each module here.

A case has a name and a function that creates its subject. A subject has three steps: ``prepare(calls)``, ``run(calls)``
and ``clean(calls)``. Only ``run`` is measured; it does the work ``calls`` times. After the three steps the subject is
in its first state, so that it can be measured again.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass


class Subject:
    """Work to measure. Override ``run``, and the other steps if needed."""

    def prepare(self, calls: int) -> None:
        """Prepare a run. Not measured."""

    def run(self, calls: int) -> None:
        """Do the work ``calls`` times. Measured."""
        raise NotImplementedError

    def clean(self, calls: int) -> None:
        """Undo what the run has changed. Not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One figure. bench.instr counts it if ``instr`` is set; callgrind is about fifty times slower than a plain run."""

    name: str
    make: Callable[[], Subject]
    instr: bool = True


def all_cases(*patterns: str) -> list[Case]:
    """Return the cases whose names contain one of the patterns; all cases without patterns."""
    found: list[Case] = []
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        found += getattr(importlib.import_module(f"{__name__}.{module}"), "CASES", [])
    return [case for case in found if not patterns or any(pattern in case.name for pattern in patterns)]

"""Compares the table of the RFCs' requirements with the tests: which rows are covered, which are not, and why.

A row is covered if a collected test names its id in ``@pytest.mark.conformance(...)``. The tests are not run. Exit
status 1 if a test names a row that does not exist.
"""

import sys
import tomllib
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

ROWS = Path("tests/conformance_rows.toml")
COVERED, OUTSIDE, OPEN = "covered", "outside", "open"


class Row(NamedTuple):
    """One requirement. ``why`` is the reason why it needs no test at present, or an empty string."""

    id: str
    level: str
    role: str
    rule: str
    why: str


class Collector:
    """A pytest plugin that records which tests name which rows."""

    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = defaultdict(list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("conformance"):
                for row in mark.args:
                    name = item.nodeid.partition("[")[0]
                    if name not in self.tests[row]:
                        self.tests[row].append(name)


def load() -> list[Row]:
    with ROWS.open("rb") as file:
        data = tomllib.load(file)
    reasons = data["reasons"]
    return [
        Row(key, row["level"], row["role"], row["rule"], reasons[row["why"]] if "why" in row else "")
        for section in data["rows"].values()
        for key, row in section.items()
    ]


def collect() -> dict[str, list[str]]:
    """The tests that name each row, by row id. SystemExit if the tests cannot be collected."""
    collector = Collector()
    status = pytest.main(["--collect-only", "-p", "no:terminal", "tests"], plugins=[collector])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit("conformance: collecting the tests failed; run `make test` to see why")
    return collector.tests


def state(row: Row, tests: dict[str, list[str]]) -> str:
    if tests.get(row.id):
        return COVERED
    return OUTSIDE if row.why else OPEN


def print_row(row: Row, tests: dict[str, list[str]]) -> None:
    named = tests.get(row.id, [])
    remark = {COVERED: ", ".join(named[:2]), OUTSIDE: row.why, OPEN: "no test"}[state(row, tests)]
    more = f" and {len(named) - 2} more" if len(named) > 2 else ""
    print(f"{state(row, tests):<8} {row.id:<16} {row.level:<10} {row.role:<7} {row.rule}")
    print(f"{'':<26} {remark}{more}")


def print_summary(rows: list[Row], tests: dict[str, list[str]]) -> None:
    print(f"\n{'':<8} {COVERED:>8} {OPEN:>8} {OUTSIDE:>8} {'rows':>8}")
    sections = dict.fromkeys(row.id.partition("-")[0] for row in rows)
    for section in (*sections, "all"):
        counts = Counter(state(row, tests) for row in rows if section in ("all", row.id.partition("-")[0]))
        print(f"{section:<8} {counts[COVERED]:>8} {counts[OPEN]:>8} {counts[OUTSIDE]:>8} {counts.total():>8}")
    reasons = Counter(row.why for row in rows if state(row, tests) == OUTSIDE)
    for reason, count in reasons.items():
        print(f"outside: {count} rows {reason}")


def main() -> int:
    rows = load()
    tests = collect()
    for row in rows:
        print_row(row, tests)
    print_summary(rows, tests)
    known = {row.id for row in rows}
    unknown = sorted(set(tests) - known)
    for name in unknown:
        print(f"conformance: {', '.join(tests[name])}: {ROWS} has no row {name!r}", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())

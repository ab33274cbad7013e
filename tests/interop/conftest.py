"""Adds the guest's log to the report of each failed test that used the guest."""

from collections.abc import Generator

import pytest

from tests.interop.guest import Report

LINES = 40


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Report):
                tail = "\n".join(value.log.splitlines()[-LINES:])
                report.sections.append((f"{value.scenario}, end of the log; all of it in {value.out}", tail))
    return report

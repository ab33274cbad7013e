"""A user's session during each failure, over kernel SCTP: the rows of docs/failures.md."""

import pytest

from tests.interop.guest import Report
from tests.interop.subjects import enrp_scenario

TIMEOUT = 150
INTERVAL = 0.1
"""Seconds between two messages of the user. Every stall includes one such pause."""
SILENCE = 0.5
NOISE = 1.0
"""Seconds of extra delay allowed for a guest on a busy machine."""

pytestmark = pytest.mark.timeout(TIMEOUT + 60)


@pytest.fixture(scope="module")
def report() -> Report:
    return enrp_scenario("scenario_failures", timeout=TIMEOUT)


@pytest.mark.conformance("ASAP-6.5.5-01")
@pytest.mark.parametrize(
    ("row", "stall"),
    [("killed", INTERVAL), ("left", INTERVAL), ("frozen", INTERVAL + SILENCE), ("cable", INTERVAL + 0.6)],
)
def test_the_session_continues_with_the_other_element(report: Report, row: str, stall: float) -> None:
    found = report[row]
    assert found["failovers"] == 1
    assert found["stall"] < stall + NOISE
    assert not found["done"]


def test_the_loss_of_one_path_causes_no_failover(report: Report) -> None:
    found = report["path"]
    assert found["failovers"] == 0
    assert found["stall"] < INTERVAL + 0.3 + NOISE


@pytest.mark.conformance("ASAP-3.6-08", "REQ-3237-2.1-01")
def test_a_dead_registrar_is_replaced_and_the_session_does_not_notice(report: Report) -> None:
    found = report["registrar"]
    assert (found["failovers"], found["done"]) == (0, False)
    assert found["stall"] < INTERVAL + NOISE
    assert found["new_home_after"] < 5


@pytest.mark.conformance("ASAP-3.6-13", "ASAP-3.6-14")
def test_without_any_registrar_the_session_continues_and_the_elements_re_register(report: Report) -> None:
    found = report["all registrars"]
    assert (found["failovers"], found["done"]) == (0, False)
    assert found["stall"] < INTERVAL + NOISE
    assert found["registered_after"] < 15

"""Elements and users written with the library, together with rsplib's, at our registrar and at rsplib's."""

import pytest

from tests.interop.guest import Report
from tests.interop.subjects import enrp_scenario

TIMEOUT = 120
OURS, THEIRS = 0xC1, 0xC2

pytestmark = pytest.mark.timeout(TIMEOUT + 60)


@pytest.fixture(scope="module", params=["ours", "rsplib"])
def report(request: pytest.FixtureRequest) -> Report:
    return enrp_scenario("scenario_client", request.param, timeout=TIMEOUT)


@pytest.mark.conformance("ASAP-3.6-03", "ASAP-3.6-08", "ASAP-2.2.1-02", "ASAP-3.1-01")
def test_an_element_finds_its_registrar_by_multicast(report: Report) -> None:
    assert report["registered by multicast"]["homes"] == 0x11111111


def test_an_element_serves_rspterminal(report: Report) -> None:
    assert report["rspterminal"]["element"] == 0xA1


@pytest.mark.conformance("ASAP-3.8-01", "ASAP-5-03")
def test_an_element_serves_pingpongclient(report: Report) -> None:
    assert report["pingpongclient"] | {"elements": [0xA2], "gap": False} == report["pingpongclient"]


@pytest.mark.conformance("ASAP-3.2-02", "ASAP-3.2-03")
def test_sigterm_deregisters_an_element(report: Report) -> None:
    assert report["left"]["statuses"] == [-15, -15]
    assert report["left"]["errors"] == ["", ""]


def test_a_user_is_served_by_rspserver(report: Report) -> None:
    assert report["rspserver echo"]["elements"] == [0xB1]
    assert report["rspserver pingpong"]["elements"] == [0xB2]
    assert report["rspserver pingpong"]["gaps"] == []


@pytest.mark.conformance("ASAP-2.2.12-01", "ASAP-3.8-03", "REQ-3237-2.1-01")
@pytest.mark.parametrize("user", ["ours", "rsplib"])
def test_a_session_moves_between_both_kinds_of_elements_and_back(report: Report, user: str) -> None:
    found = report[f"failover, {user}"]
    assert {tuple(move) for move in found["moves"]} == {(OURS, THEIRS), (THEIRS, OURS)}
    assert found["gaps"] == []
    assert found["answers"] >= 39


@pytest.mark.conformance("SEC-5355-2.9-01")
def test_a_failover_takes_hardly_longer_than_the_pause_between_two_messages(report: Report) -> None:
    assert report["failover, ours"]["stall"] < 1.0

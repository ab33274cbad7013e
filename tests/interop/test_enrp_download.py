"""Registrars that start late receive all of 1 000 elements from ours or from rsplib's, before they serve or soon
after."""

import pytest

from rserpool.messages import HandleTableRequest, decode
from tests.interop import pcap
from tests.interop.guest import Report
from tests.interop.registrars import MENTOR, NO_RESPONSE
from tests.interop.scenario_enrp_download import SECOND, SOURCE
from tests.interop.subjects import enrp_scenario

TIMEOUT = 100
# Our registrar needs up to 3 s to start in the guest.
START = 3.0

pytestmark = pytest.mark.timeout(TIMEOUT + 60)


@pytest.fixture(scope="module", params=["ours", "rsplib"])
def report(request: pytest.FixtureRequest) -> Report:
    return enrp_scenario("scenario_enrp_download", request.param, timeout=TIMEOUT)


@pytest.mark.conformance("ENRP-3.2.3-02", "ENRP-3.2.3-03", "ENRP-3.2.3-05")
@pytest.mark.parametrize("late", ["second", "third", "fourth"])
def test_a_late_registrar_has_all_elements(report: Report, late: str) -> None:
    assert report[late]["complete_after"] < START + MENTOR + NO_RESPONSE


def test_all_four_registrars_agree(report: Report) -> None:
    assert report["agreed"]["after"] < 2
    assert report["agreed"]["homes"] == [SOURCE]


@pytest.mark.conformance("ENRP-3.2.2.1-01", "ENRP-3.2.3-01")
def test_the_third_registrar_downloads_the_whole_table_from_the_second(report: Report) -> None:
    asked = [
        message.receiver_identifier
        for one in pcap.messages(report.out / "capture.pcap")
        if one.source == "10.44.0.3" and isinstance(message := decode(one.data, one.protocol), HandleTableRequest)
        if not message.own_only
    ]
    assert len(asked) > 1, "a thousand elements need several messages"
    assert set(asked) == {SECOND}


def test_all_registrars_survive(report: Report) -> None:
    assert all(report["end"]["alive"])


def test_tshark_decodes_all_that_our_registrars_sent(report: Report) -> None:
    ours = (1, 3) if report.scenario.endswith("ours") else (2, 3)
    for host in ours:
        assert pcap.malformed(report.out / "capture.pcap", f"ip.src == 10.44.0.{host}") == []

"""Two registrars of ours that cannot reach each other for a while, although all elements and users reach both."""

import pytest

from tests.interop import pcap
from tests.interop.guest import Report
from tests.interop.registrars import KEEP_ALIVE, LAST_HEARD, REPAIR_BOUND
from tests.interop.scenario_enrp_partition import ALL, SECONDS
from tests.interop.sessions import INTERVAL
from tests.interop.subjects import enrp_scenario

TIMEOUT = 100 + round(SECONDS)

pytestmark = pytest.mark.timeout(TIMEOUT + 60)


@pytest.fixture(scope="module")
def report() -> Report:
    return enrp_scenario("scenario_enrp_partition", timeout=TIMEOUT)


def test_both_sides_keep_serving(report: Report) -> None:
    assert min(report["cut"]["least"]) >= 1
    for sessions in report["sessions"]["results"]:
        assert sessions["failures"] == []
        assert sessions["held"] > SECONDS / INTERVAL * 0.8
        assert sessions["longest_gap"] < KEEP_ALIVE, "a session waited for a keep-alive time-out"


def test_every_element_is_listed_on_at_least_one_side(report: Report) -> None:
    left, right = report["cut"]["listed"]
    assert sorted({*left, *right}) == ALL


def test_both_agree_soon_after_the_link_heals(report: Report) -> None:
    assert report["healed"]["agreed_after"] < LAST_HEARD + REPAIR_BOUND
    assert report["healed"]["complete_after"] < LAST_HEARD + 2 * REPAIR_BOUND


def test_no_element_is_lost_after_the_link_heals(report: Report) -> None:
    found = report["healed"]
    assert found["listed"] == [ALL, ALL]
    assert found["differences"] == {}
    assert all(found["running"])


def test_both_end_cleanly(report: Report) -> None:
    assert report["end"]["status"] == [0, 0]


def test_tshark_decodes_all_that_was_sent(report: Report) -> None:
    for capture, sent in (("capture.pcap", "ip.addr == 10.44.0.0/24"), ("capture1.pcap", "ip.addr == 10.45.0.0/24")):
        assert pcap.malformed(report.out / capture, sent) == []
    assert pcap.enrp_types(report.out / "capture1.pcap", "sctp")

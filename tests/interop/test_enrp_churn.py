"""Elements that come and go at two registrars of ours and one of rsplib's: afterwards all three agree."""

import pytest

from tests.interop import pcap
from tests.interop.guest import Report
from tests.interop.registrars import REPAIR_BOUND
from tests.interop.scenario_enrp_churn import COUNT, IDENTIFIERS, PAUSE, POOLS, SECONDS
from tests.interop.subjects import enrp_scenario

TIMEOUT = 100 + round(SECONDS)
KINDS = {"came", "changed", "left", "closed", "aborted", "moved"}
OURS = ("10.44.0.1", "10.44.0.3")
RSPLIB = IDENTIFIERS[1]

pytestmark = pytest.mark.timeout(TIMEOUT + 120)


@pytest.fixture(scope="module")
def report() -> Report:
    return enrp_scenario("scenario_enrp_churn", timeout=TIMEOUT)


def test_every_kind_of_change_happened(report: Report) -> None:
    changes = report["churn"]["changes"]
    assert changes.keys() == KINDS
    assert sum(changes.values()) > SECONDS / PAUSE / 4


def test_no_registration_was_refused_and_no_association_lost(report: Report) -> None:
    assert report["churn"]["lost"] == []
    assert report["renewed"]["lost"] == []


@pytest.mark.conformance("ENRP-3-01")
def test_all_three_registrars_agree_after_the_changes(report: Report) -> None:
    assert report["rest"]["agreed_after"] < 2 * REPAIR_BOUND


def test_only_rsplib_forgets_an_element_that_moved_to_it(report: Report) -> None:
    """rsplib obeys the old home's removal although it is the element's home by then."""
    missing = report["rest"]["missing"]
    assert set(missing) <= {RSPLIB}
    assert len(missing) <= COUNT / 5


def test_all_registrars_list_exactly_the_registered_elements(report: Report) -> None:
    found = report["renewed"]
    assert sum(len(found["expected"][pool]) for pool in POOLS) > 0
    for listed in found["listed"]:
        assert listed == found["expected"]


def test_hsdump_prints_the_same_handlespace_for_all(report: Report) -> None:
    first, *others = report["hsdump"]["dumps"]
    assert first["index"]
    assert all(other == first for other in others)


def test_all_registrars_survive_and_ours_end_cleanly(report: Report) -> None:
    assert report["end"]["alive"] == [True] * 3
    assert report["end"]["status"] == [0, 0]


def test_tshark_decodes_all_that_our_registrars_sent(report: Report) -> None:
    for sender in OURS:
        assert pcap.malformed(report.out / "capture.pcap", f"ip.src == {sender}") == []

"""Our registrar and rsplib's in one operational scope: both answer from the same handlespace, and repair it."""

import pytest

from rserpool.messages import decode
from tests.interop import pcap
from tests.interop.guest import Report
from tests.interop.registrars import REPAIR_BOUND
from tests.interop.scenario_enrp import OURS, THEIRS
from tests.interop.subjects import OURS as OUR_ADDRESS
from tests.interop.subjects import SENT, enrp_scenario

TIMEOUT = 100
PRESENCE, TABLE_REQUEST, TABLE_RESPONSE, UPDATE, LIST_REQUEST, LIST_RESPONSE = range(1, 7)
# Round trips and polling add to the bound.
SLACK = 0.3

pytestmark = pytest.mark.timeout(TIMEOUT + 60)


@pytest.fixture(scope="module", params=["multicast", "static"])
def report(request: pytest.FixtureRequest) -> Report:
    return enrp_scenario("scenario_enrp", request.param, timeout=TIMEOUT)


@pytest.mark.conformance("ENRP-3.3.1-01", "ENRP-3.3.1-06")
def test_elements_registered_at_one_registrar_are_resolved_at_both(report: Report) -> None:
    homes = report["everywhere"]["homes"]
    assert homes["EchoPool"] == [{str(0xA1): OURS, str(0xA2): THEIRS}] * 2
    assert homes["PingPongPool"] == [{str(0xB1): THEIRS, str(0xB2): OURS}] * 2


def test_hsdump_prints_the_same_handlespace_for_both(report: Report) -> None:
    ours, theirs = report["hsdump"]["dumps"]
    assert len([line for line in ours["ownership"] if "-> " in line]) == 4
    assert len([line for line in ours["index"] if "userT" in line]) == 4
    assert ours == theirs


@pytest.mark.conformance("ENRP-3.3.2-01", "ENRP-3.3.2-03")
def test_an_element_that_deregisters_is_removed_from_both(report: Report) -> None:
    assert report["left"]["took"] < 1


@pytest.mark.parametrize("how", ["injected", "removed", "removed at its home"])
def test_a_difference_is_repaired_within_two_presence_cycles(report: Report, how: str) -> None:
    assert 0 < report[how]["repaired_after"] < REPAIR_BOUND + SLACK


def test_an_element_lost_by_its_home_is_removed_until_it_registers_again(report: Report) -> None:
    assert report["removed at its home"]["listed"] in ([0xA1], [0xA1, 0xA2]), "the element may have re-registered"
    assert report["again"]["took"] < 10


def test_both_registrars_live_and_ours_ends_cleanly(report: Report) -> None:
    assert report["end"]["alive"]
    assert report["end"]["status"] == 0


def test_tshark_decodes_all_that_our_registrar_sent(report: Report) -> None:
    capture = report.out / "capture.pcap"
    sent = pcap.enrp_types(capture, SENT)
    assert {PRESENCE, TABLE_REQUEST, TABLE_RESPONSE, UPDATE, LIST_REQUEST, LIST_RESPONSE} <= sent.keys()
    assert pcap.malformed(capture, SENT) == []


def test_every_captured_message_decodes_and_ours_encode_to_the_same_octets(report: Report) -> None:
    for one in pcap.messages(report.out / "capture.pcap"):
        record = decode(one.data, one.protocol)
        if one.source == OUR_ADDRESS:
            assert record.encode() == one.data

"""rsplib's unmodified pool elements and pool users at our registrar, and at rsplib's own as the control."""

import itertools
import os

import pytest

from rserpool.messages import decode
from tests.interop import pcap
from tests.interop.guest import Report
from tests.interop.peers import parameters
from tests.interop.subjects import OURS, SENT, SUBJECTS, scenario

POOLS = {"EchoPool": [0xE1, 0xE2], "PingPongPool": [0x1E1, 0x1E2], "CalcAppPool": [0x2E1, 0x2E2]}
KEEP_ALIVE, ANNOUNCE, RESOLUTION_RESPONSE, REGISTRATION_RESPONSE = 0x07, 0x0A, 0x06, 0x03
TIMEOUT = 100 + round(float(os.environ.get("RSERPOOL_KEEP_ALIVE_SECONDS") or 0))

pytestmark = pytest.mark.timeout(TIMEOUT + 60)


@pytest.fixture(scope="module", params=SUBJECTS)
def report(request: pytest.FixtureRequest) -> Report:
    return scenario("scenario_asap", request.param, timeout=TIMEOUT)


def test_registrar_starts(report: Report) -> None:
    assert report["ready"]["took"] < 10


@pytest.mark.conformance("ASAP-2.2.6-06", "ASAP-2.2.6-03", "PAR-3.12.11-01")
def test_unknown_pool_is_cause_9(report: Report) -> None:
    assert report["unknown pool"]["causes"] == [9]
    assert report["unknown pool"]["elements"] == []


@pytest.mark.conformance("REQ-5351-3.2-01")
def test_elements_find_the_registrar_by_multicast(report: Report) -> None:
    assert report["multicast"]["after"].keys() == {"echo", "pingpong", "calcapp"}


def test_elements_find_the_registrar_by_address(report: Report) -> None:
    assert report["static"]["after"].keys() == {"echo", "pingpong", "calcapp"}


@pytest.mark.conformance("ASAP-3.1-23", "ASAP-3.1-25")
def test_each_element_is_in_its_pool(report: Report) -> None:
    found = report["pools"]
    assert {pool: found[pool] for pool in POOLS} == POOLS
    assert found["policy_type"] == 1


def test_rspterminal_gets_echoes(report: Report) -> None:
    found = report["rspterminal"]
    assert found["by_multicast"] in POOLS["EchoPool"]
    assert found["by_address"] in POOLS["EchoPool"]


def test_pingpongclient_gets_service(report: Report) -> None:
    assert report["pingpongclient"]["served_by"] in POOLS["PingPongPool"]


def test_calcappclient_gets_jobs_done(report: Report) -> None:
    assert report["calcappclient"]["error"] is None


@pytest.mark.conformance("ASAP-3.5-11")
def test_elements_survive_the_keep_alives(report: Report) -> None:
    found = report["keep-alives"]
    assert {pool: found[pool] for pool in POOLS} == POOLS
    assert sorted(found["running"]) == sorted(itertools.chain(*POOLS.values()))


@pytest.mark.conformance("REQ-3237-2.9-01")
@pytest.mark.parametrize("pool", POOLS)
def test_a_killed_element_is_removed_before_a_keep_alive_is_sent(report: Report, pool: str) -> None:
    assert report["killed"][pool] < 0.5


def test_the_pool_user_of_a_killed_element_continues_with_the_other(report: Report) -> None:
    found = report["failover"]
    assert {found["left"], found["served_by"]} == set(POOLS["PingPongPool"])


@pytest.mark.conformance("REQ-3237-2.9-01", "ASAP-3.5-12")
def test_a_frozen_element_is_removed_after_keep_alive_interval_and_time_out(report: Report) -> None:
    found = report["frozen"]
    assert found["gone_after"] < found["limit"] + 0.2
    assert found["answer"] == [9]


def test_a_thawed_element_comes_back(report: Report) -> None:
    assert report["back"]["error"] is None


@pytest.mark.conformance("ASAP-3.2-08")
def test_an_element_that_deregisters_is_removed_at_once(report: Report) -> None:
    assert report["left"]["gone_after"] < 0.5


def test_registrar_ends_cleanly(report: Report) -> None:
    assert report["end"]["alive"]
    assert report["end"]["status"] == 0


def test_tshark_decodes_all_that_the_registrar_sent(report: Report) -> None:
    capture = report.out / "capture.pcap"
    sent = pcap.asap_types(capture, SENT)
    assert {KEEP_ALIVE, ANNOUNCE, RESOLUTION_RESPONSE, REGISTRATION_RESPONSE} <= sent.keys()
    assert pcap.malformed(capture, SENT) == []


def test_every_captured_message_decodes_and_ours_encode_to_the_same_octets(report: Report) -> None:
    captured = list(pcap.messages(report.out / "capture.pcap"))
    assert len(captured) > 100
    for one in captured:
        record = decode(one.data, one.protocol)
        if one.source == OURS and "rsplib" not in report.scenario:
            assert record.encode() == one.data


@pytest.mark.conformance("PAR-3-01")
def test_no_reserved_parameter_type_is_sent(report: Report) -> None:
    for one in pcap.messages(report.out / "capture.pcap"):
        if one.source == OURS:
            fixed = 8 if one.data[0] in (KEEP_ALIVE, ANNOUNCE) else 4
            kinds = [kind for kind, _ in parameters(one.data[fixed:])]
            assert not {0, 0xFFFF} & set(kinds)
            assert kinds or one.data[0] == ANNOUNCE

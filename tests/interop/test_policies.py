"""Our registrar accepts each of rspserver's policies and selects as its RFC or draft demands."""

import itertools
from collections import Counter

import pytest

from tests.interop import pcap
from tests.interop.guest import Report
from tests.interop.scenario_policies import HEADS, POLICIES
from tests.interop.subjects import SENT, SUBJECTS, scenario

TYPES = {
    "RoundRobin": 1,
    "WeightedRoundRobin": 2,
    "Random": 3,
    "WeightedRandom": 4,
    "Priority": 5,
    "LeastUsed": 0x40000001,
    "LeastUsedDegradation": 0x40000002,
    "PriorityLeastUsed": 0x40000003,
    "RandomizedLeastUsed": 0x40000004,
    "RandomizedPriorityLeastUsed": 0xB0001001,
    "PriorityLeastUsedDegradation": 0xB0001003,
    "WeightedRandomDPF": 0xB0002001,
    "LeastUsedDPF": 0xB0002002,
    "LeastUsedDegradationDPF": 0xB0002003,
}
# The first element's counter grew while it was alone in the pool, and the other element catches up.
SETTLED = 300
# Share of answers in which element 1 comes first, and the permitted deviation: 5 standard deviations.
EXACTLY_HALF, HALF, THREE_QUARTERS = (0.5, 0.005), (0.5, 0.145), (0.75, 0.125)
TWO_THIRDS, ALWAYS = (0.667, 0.005), (1.0, 0.0)
SHARES = {
    "RoundRobin": EXACTLY_HALF,
    "WeightedRoundRobin": (0.75, 0.005),
    "Random": HALF,
    "WeightedRandom": THREE_QUARTERS,
    "WeightedRandomDPF": THREE_QUARTERS,
    "Priority": ALWAYS,
    "LeastUsed": EXACTLY_HALF,
    "LeastUsedDegradation": TWO_THIRDS,
    "LeastUsedDPF": EXACTLY_HALF,
    "LeastUsedDegradationDPF": TWO_THIRDS,
    "PriorityLeastUsed": ALWAYS,
    "PriorityLeastUsedDegradation": TWO_THIRDS,
    "RandomizedLeastUsed": HALF,
    "RandomizedPriorityLeastUsed": HALF,
}


@pytest.fixture(scope="module", params=SUBJECTS)
def report(request: pytest.FixtureRequest) -> Report:
    return scenario("scenario_policies", request.param)


@pytest.mark.conformance("PAR-3.8-01", "ASAP-3.1-23")
@pytest.mark.parametrize("policy", POLICIES)
def test_policy_is_accepted(report: Report, policy: str) -> None:
    assert report[policy]["policy_type"] == TYPES[policy]


@pytest.mark.conformance(
    "POL-4.1-04", "POL-4.2-01", "POL-4.4-01", "POL-4.5-01", "POL-5.1-03", "POL-5.2-03", "POL-5.3-01", "POL-5.4-01"
)
@pytest.mark.parametrize("policy", POLICIES)
def test_policy_shares_the_first_places_as_expected(report: Report, policy: str) -> None:
    heads = [one for (one,) in report[policy]["heads"]]
    share, tolerance = SHARES[policy]
    assert len(heads) == HEADS
    assert Counter(heads[-SETTLED:])[1] / SETTLED == pytest.approx(share, abs=tolerance)


@pytest.mark.conformance("POL-4.3-02", "POL-4.4-02", "POL-5.1-02", "POL-5.3-02")
@pytest.mark.parametrize("policy", POLICIES)
def test_no_element_twice_in_an_answer(report: Report, policy: str) -> None:
    assert all(sorted(pair) == [1, 2] for pair in report[policy]["pairs"])


@pytest.mark.conformance("POL-4.1-02", "POL-4.1-03")
def test_round_robin_rotates_the_list(report: Report) -> None:
    pairs = report["RoundRobin"]["pairs"]
    assert all(first == second[::-1] for first, second in itertools.pairwise(pairs))


@pytest.mark.conformance("POL-4.5-01", "POL-5.3-04")
@pytest.mark.parametrize("policy", ["Priority", "PriorityLeastUsed"])
def test_priorities_order_the_answer(report: Report, policy: str) -> None:
    assert all(pair == [1, 2] for pair in report[policy]["pairs"])


def test_an_element_with_another_policy_is_not_in_the_pool(report: Report) -> None:
    assert sorted(report["other policy"]["elements"]) == [1, 2]


def test_registrar_survives(report: Report) -> None:
    assert report["end"]["alive"]


def test_tshark_decodes_all_that_the_registrar_sent(report: Report) -> None:
    if "rsplib" in report.scenario:
        pytest.skip("rsplib's answer to another policy has no cause information, which tshark calls malformed")
    assert pcap.malformed(report.out / "capture.pcap", SENT) == []

"""After a registrar ends, another one takes over its elements, and no pool user's session fails."""

import pytest

from tests.interop import pcap
from tests.interop.guest import Report
from tests.interop.registrars import TAKEOVER_BOUND
from tests.interop.scenario_enrp_takeover import AFTERWARDS, CASES, FIRST, ORPHANS, OTHERS, SECOND, VICTIM
from tests.interop.sessions import INTERVAL
from tests.interop.subjects import enrp_scenario

TIMEOUT = 100
SOON = 1.5
"""Seconds of the shortest failure detection in this test: by a keep-alive."""
KEEP_ALIVE, HOME = 0x07, 1
INIT_TAKEOVER, TAKEOVER_SERVER = 7, 9
RUNS = [
    ("rsplib-of-two", "kill"),
    ("ours-of-two", "kill"),
    ("ours-of-two", "cut"),
    ("ours-of-three", "kill"),
    ("ours-of-mixed-lower", "cut"),
    ("ours-among-rsplib", "kill"),
    ("rsplib-of-mixed", "kill"),
    ("ours-of-mixed", "kill"),
]

pytestmark = pytest.mark.timeout(TIMEOUT + 60)


@pytest.fixture(scope="module", params=RUNS, ids="-".join)
def report(request: pytest.FixtureRequest) -> Report:
    return enrp_scenario("scenario_enrp_takeover", *request.param, timeout=TIMEOUT)


@pytest.fixture
def implementations(report: Report) -> tuple[str, ...]:
    return CASES[report.scenario.removeprefix("scenario_enrp_takeover-").rpartition("-")[0]]


def members(implementations: tuple[str, ...]) -> list[int]:
    return ORPHANS + OTHERS[: len(implementations) - 1]


def test_the_victim_is_the_home_of_its_elements_before_it_ends(report: Report) -> None:
    assert all(homes == [VICTIM] * 3 for homes in report["before"]["homes"])


@pytest.mark.conformance("ENRP-3.4.3-04", "ENRP-3.5.2-03", "ENRP-3.5.2-06")
def test_all_survivors_know_the_new_home_within_the_bound(report: Report) -> None:
    assert max(report["takeover"]["new_home_after"]) < TAKEOVER_BOUND
    assert report["takeover"]["agreed_after"] < TAKEOVER_BOUND + 1


def test_all_orphans_have_one_new_home(report: Report) -> None:
    homes = report["takeover"]["final homes"]
    assert len(set(homes)) == 1
    assert set(homes) <= {FIRST, SECOND}


def test_no_element_is_lost(report: Report, implementations: tuple[str, ...]) -> None:
    found = report["takeover"]
    assert all(listed == members(implementations) for listed in found["listed"])
    assert found["running"] == members(implementations)


@pytest.mark.conformance("REQ-3237-2.9-01")
def test_no_session_fails(report: Report) -> None:
    found = report["sessions"]
    assert found["failures"] == []
    assert found["held"] >= AFTERWARDS / INTERVAL * 0.8
    assert found["longest_gap"] < SOON, "a session waited for a keep-alive time-out"


@pytest.mark.conformance("ENRP-3.5.2-04")
def test_keep_alives_tell_the_elements_of_their_new_home(report: Report) -> None:
    home = report["takeover"]["final homes"][0]
    sender = f"10.44.0.{2 if home == FIRST else 3}"
    chosen = f"ip.src == {sender} && asap.message_type == {KEEP_ALIVE} && asap.message_flags == {HOME}"
    named = pcap.fields(report.out / "capture.pcap", chosen, "asap.pe_identifier")
    assert {int(identifier, 16) for (row,) in named for identifier in row.split(",")} >= set(ORPHANS)


def test_the_new_home_removes_an_orphan_that_dies(report: Report) -> None:
    assert report["an orphan dies"]["gone_after"] < SOON


def test_a_victim_that_was_cut_off_comes_back_and_agrees(report: Report, implementations: tuple[str, ...]) -> None:
    if not report.scenario.endswith("cut"):
        pytest.skip("it was killed")
    found = report["back"]
    assert all(listed == members(implementations)[1:] for listed in found["listed"])
    assert not set(found["homes"].values()) - {VICTIM, FIRST, SECOND}
    assert report["sessions at the return"]["failures"] == []


def test_survivors_live_and_ours_end_cleanly(report: Report) -> None:
    assert all(report["end"]["alive"])
    assert not any(report["end"]["status"])


@pytest.mark.conformance("ENRP-3.5.1-01", "ENRP-3.5.2-01")
def test_tshark_decodes_all_that_our_registrars_sent(report: Report, implementations: tuple[str, ...]) -> None:
    capture = report.out / "capture.pcap"
    for number, implementation in enumerate(implementations, 1):
        if implementation == "ours":
            assert pcap.malformed(capture, f"ip.src == 10.44.0.{number}") == []
    if implementations[1:] in (("ours",), ("ours", "ours")):
        sent = pcap.enrp_types(capture, "ip.src != 10.44.0.1")
        assert sent[INIT_TAKEOVER] or len(implementations) == 2
        assert sent[TAKEOVER_SERVER] or len(implementations) == 2

"""Our rspregistrar and rsplib's, started with the same command line, compared with each other."""

import pytest

from tests.interop.guest import Report
from tests.interop.subjects import enrp_scenario

TIMEOUT = 120
pytestmark = pytest.mark.timeout(2 * TIMEOUT + 60)

Reports = tuple[Report, Report]


@pytest.fixture(scope="module")
def reports() -> Reports:
    """The report of our registrar and the report of rsplib's."""
    ours, rsplibs = (enrp_scenario("scenario_rspregistrar", name, timeout=TIMEOUT) for name in ("ours", "rsplib"))
    return ours, rsplibs


@pytest.mark.parametrize("name", ["elements", "peer", "terminal"])
def test_elements_users_and_the_peer_get_the_same_from_both(reports: Reports, name: str) -> None:
    ours, rsplibs = reports
    values = [{key: value for key, value in report[name].items() if key != "took"} for report in (ours, rsplibs)]
    assert values[0] == values[1]


def test_answers_are_alike(reports: Reports) -> None:
    ours, rsplibs = reports
    for key in ("unnumbered", "begins_after_two", "unknown"):
        assert ours["answers"][key] == rsplibs["answers"][key]
    assert ours["answers"]["unnumbered"] == 2
    assert ours["answers"]["begins_after_two"]


def test_idle_associations_end(reports: Reports) -> None:
    # rsplib's registrar accepts the option and ignores it.
    assert reports[0]["idle"]["at_least"]


def test_the_monitor_shows_the_same_for_both(reports: Reports) -> None:
    ours, rsplibs = reports
    assert ours["deregistered"]["monitor"] == rsplibs["deregistered"]["monitor"] != []


def test_the_banner_has_the_same_items_in_the_same_order(reports: Reports) -> None:
    ours, rsplibs = (report["end"]["banner"] for report in reports)
    respelled = {label.replace("Cylce", "Cycle"): value for label, value in rsplibs.items()}
    assert list(ours) == list(respelled)
    # Heartbeat intervals and file names differ between the two.
    differing = {label for label in ours if ours[label] != respelled[label]}
    assert differing <= {"Endpoint Monitoring SCTP Heartbeat Interval", "Scalar File"}


def test_both_end_cleanly(reports: Reports) -> None:
    for report in reports:
        assert report["end"]["status"] == 0
        assert report["end"]["terminated"]


def test_statistics_have_the_same_columns(reports: Reports) -> None:
    ours, rsplibs = (report["statistics"] for report in reports)
    assert ours["head"] == rsplibs["head"]
    assert ours["numbers"]
    assert rsplibs["numbers"]
    for report in (ours["last"], rsplibs["last"]):
        assert (report["Peers"], report["Pools"]) == (1, 1)
        assert report["Registrations"] - report["Reregistrations"] == 3


def test_the_action_log_has_the_same_columns_and_words(reports: Reports) -> None:
    ours, rsplibs = (report["actions"] for report in reports)
    assert ours["head"] == rsplibs["head"]
    assert set(ours["columns"]) <= set(rsplibs["columns"]) | {15, 16}
    words = [{(action, reason) for _, action, reason in report["actions"]["kinds"]} for report in reports]
    assert words[1] <= words[0]


def test_scalars_have_the_same_labels(reports: Reports) -> None:
    ours, rsplibs = reports
    assert ours["scalars"]["labels"] == rsplibs["scalars"]["labels"]
    for report in reports:
        totals = report["scalars"]["totals"]
        assert totals["Deregistrations"] == 1
        assert totals["Registrations"] - totals["Reregistrations"] == 3


def test_the_log_has_the_same_form(reports: Reports) -> None:
    for report in reports:
        assert report["log"]["first"]
        assert report["log"]["second"]

"""The ENRP scenarios, octet for octet, over kernel SCTP, in both profiles."""

from functools import cache

import pytest

from tests.interop import guest, pcap
from tests.interop.guest import Report
from tests.scenarios.enrp import ENRP_ROWS, profiles_of

TIMEOUT = 120

pytestmark = pytest.mark.timeout(TIMEOUT + 60)


@cache
def report_of(profile: str) -> Report:
    if why := guest.lacking("tcpdump", "tshark"):
        pytest.skip(why)
    return guest.run("scenario_octets", "enrp", profile, timeout=TIMEOUT, dummies=1)


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        pytest.param(scenario.__name__, profile, marks=pytest.mark.conformance(*rows))
        for profile in ("rfc", "rsplib")
        for scenario, rows in ENRP_ROWS.items()
        if profile in profiles_of(scenario)
    ],
)
def test_scenario(name: str, profile: str) -> None:
    assert report_of(profile)[name]["error"] is None


@pytest.mark.parametrize("profile", ["rfc", "rsplib"])
def test_tshark_decodes_all_that_the_registrar_sent(profile: str) -> None:
    capture = report_of(profile).out / "capture.pcap"
    sent = "sctp.srcport == 9901"
    assert set(range(1, 11)) <= pcap.enrp_types(capture, sent).keys()
    assert pcap.malformed(capture, sent) == []

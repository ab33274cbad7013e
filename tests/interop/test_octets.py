"""The ASAP scenarios, octet for octet, over kernel SCTP."""

import pytest

from tests.interop import guest, pcap
from tests.interop.guest import Report
from tests.scenarios.asap import ASAP_ROWS

TIMEOUT = 120

pytestmark = pytest.mark.timeout(TIMEOUT + 60)


@pytest.fixture(scope="module")
def report() -> Report:
    if why := guest.lacking("tcpdump", "tshark"):
        pytest.skip(why)
    return guest.run("scenario_octets", "asap", "rfc", timeout=TIMEOUT, dummies=1)


@pytest.mark.parametrize(
    "name",
    [pytest.param(scenario.__name__, marks=pytest.mark.conformance(*rows)) for scenario, rows in ASAP_ROWS.items()],
)
def test_scenario(report: Report, name: str) -> None:
    assert report[name]["error"] is None


def test_tshark_decodes_all_that_the_registrar_sent(report: Report) -> None:
    capture = report.out / "capture.pcap"
    sent = "sctp.srcport == 3863"
    assert {0x03, 0x04, 0x06, 0x07, 0x0E} <= pcap.asap_types(capture, sent).keys()
    assert pcap.malformed(capture, sent) == []

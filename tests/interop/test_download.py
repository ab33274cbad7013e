"""A download from a DownloadPool, over kernel SCTP, while elements and registrars are killed.

RSERPOOL_DOWNLOAD_OCTETS sets the file's size.
"""

import pytest

from tests.interop.guest import Report
from tests.interop.subjects import enrp_scenario
from tests.support import killing

TIMEOUT = 120 + round(4 * killing.SIZE / killing.RATE)

pytestmark = pytest.mark.timeout(TIMEOUT + 60)


@pytest.fixture(scope="module")
def report() -> Report:
    return enrp_scenario("scenario_download", timeout=TIMEOUT)


@pytest.mark.conformance("ASAP-3.8-03", "ASAP-3.8-04", "REQ-3237-2.1-01")
def test_a_file_arrives_complete_and_without_a_long_stall(report: Report) -> None:
    killing.judge(report["download"])

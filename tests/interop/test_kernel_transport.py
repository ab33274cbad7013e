"""The transports' conformance suite over kernel SCTP, in a guest."""

import sys
from xml.etree import ElementTree

import pytest

from tests.interop import guest

SUITE = guest.ROOT / "tests/unit/transport"
TIMEOUT = 150

pytestmark = [
    pytest.mark.timeout(TIMEOUT + 60),
    pytest.mark.skipif(bool(guest.lacking()), reason=guest.lacking()),
]


@pytest.fixture(scope="module")
def report() -> guest.Report:
    out = guest.ROOT / "out/interop/kernel_transport"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--transport=kernel", str(SUITE)]
    command += [f"--junitxml={out}/results.xml"]
    return guest.run_command(command, "kernel_transport", timeout=TIMEOUT, memory="1G", dummies=2)


def test_the_suite_passes_over_kernel_sctp(report: guest.Report) -> None:
    results = report.out / "results.xml"
    assert results.exists(), "the suite did not end"
    cases = ElementTree.parse(results).getroot().findall(".//testcase")
    skipped = {str(reason.get("message")) for case in cases for reason in case.iter("skipped")}
    ran = [case for case in cases if case.find("skipped") is None]
    bad = [case.get("name") for case in ran if any(child.tag in ("failure", "error") for child in case)]
    assert bad == []
    assert skipped <= {"only kernel was asked for"}
    assert len(ran) > 10
    assert report.status == 0

"""A download from a DownloadPool, over libusrsctp on the loopback interface, while elements and registrars are killed.

RSERPOOL_DOWNLOAD_OCTETS sets the file's size.
"""

from pathlib import Path

import pytest

from tests.support import killing
from tests.support.ports import free_port
from tests.support.prepared import Prepared
from tests.system.test_registrar import HOST

TIMEOUT = 120 + 4 * killing.SIZE / killing.RATE

pytestmark = pytest.mark.timeout(TIMEOUT)


def places() -> dict[int, str]:
    return {number: f"{HOST}:{free_port()}" for number in (1, 2)}


@pytest.mark.conformance("ASAP-3.8-03", "ASAP-3.8-04", "REQ-3237-2.1-01")
def test_a_file_arrives_complete_and_without_a_long_stall(tmp_path: Path) -> None:
    plan = killing.Plan(
        registrars=places(),
        peers=places(),
        elements=(3, 4, 5, 6),
        user=7,
        options=("--transport=usrsctp", "--address-scope=loopback"),
        local=HOST,
        size=killing.SIZE,
        rate=killing.RATE,
    )
    with Prepared(tmp_path) as prepared:
        scene = killing.Scene(plan, lambda tag, host, module, arguments: prepared.start(tag, module, arguments))
        killing.judge(killing.outcome(scene, scene.download()))

"""Custom policies loaded from entry points, in a registrar's process and in a user's."""

import os
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from rserpool import policies
from rserpool.blocking import PoolElement
from rserpool.messages import Policy, TCPTransport
from tests.support.processes import HOST, PATIENCE, REGISTRAR, Process

pytest.importorskip("rserpool._fast.io.usrsctp.socket", reason="libusrsctp-dev is missing (ci/setup)")

ROOT = Path(__file__).parents[2]
PLUGIN = """
from rserpool.policies import CustomPolicy
def select(candidates, items, state, random):
    return sorted(range(len(candidates)), key=lambda i: candidates[i].values[0])
NEAREST = CustomPolicy(name="nearest", policy_type=0x80000777, values=("metres",), select=select)
"""
NEAREST = 0x80000777
QUIET = ("-minaddressscope=loopback", "-asapannounce=off", "-enrpannounce=off", "-loglevel=4", "-logcolor=off")
RSPREGISTRAR = ("-m", "rserpool.cli.rspregistrar", f"-asap={HOST}", f"-enrp={HOST}", "-transport=usrsctp", *QUIET)


@pytest.fixture
def plugged(tmp_path: Path) -> str:
    """Return a PYTHONPATH with a distribution that has one working and one broken entry point."""
    (tmp_path / "nearest_plugin.py").write_text(PLUGIN)
    info = tmp_path / "nearest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nearest\nVersion: 1.0\n")
    entries = "a = nearest_plugin:NEAREST\nb = nearest_plugin:FURTHEST\n"
    (info / "entry_points.txt").write_text(f"[rserpool.policies]\n{entries}")
    return os.pathsep.join((str(tmp_path), str(ROOT)))


def test_a_registrar_and_a_user_with_a_plugin(plugged: str) -> None:
    program = (sys.executable, "-m", "rserpool.cli.main")
    with Process(*program, *REGISTRAR, PYTHONPATH=plugged) as registrar:
        where = f"{HOST}:" + registrar.wait_for(r"serves ASAP at \S+, port (\d+)")[1]
        registrar.wait_for("INFO policy nearest, type 0x80000777, is provided by a plug-in")
        registrar.wait_for("ERROR policy plug-in b of nearest is not used: AttributeError: .*FURTHEST")
        elements = []
        for identifier, metres in ((1, 300), (2, 20), (3, 100)):
            service = TCPTransport(port=80, address=ip_address(HOST))
            policy = Policy(policy_type=NEAREST, data=metres.to_bytes(4, "big"))
            element = PoolElement("Near", service, policy=policy, identifier=identifier, registrars=[where])
            elements.append(element.open())
        shown = subprocess.run(
            [*program, "resolve", "Near", f"--registrar={where}"],
            capture_output=True, text=True, timeout=PATIENCE, check=True, env={**os.environ, "PYTHONPATH": plugged},
        )  # fmt: skip
        listed = [line.split(" ", 1) for line in shown.stdout.splitlines()]
        assert [int(identifier, 0) for identifier, _ in listed] == [2, 3, 1]
        assert [rest for _, rest in listed] == [f"tcp 127.0.0.1 80 nearest {metres:#x}" for metres in (20, 100, 300)]
        assert "plug-in b of nearest" in shown.stderr
        for element in elements:
            element.close()
        assert registrar.end() == 0
    assert policies.registered() == (), "the test's own process has no such policy"


def test_rspregistrar_loads_plugins(plugged: str) -> None:
    with Process(sys.executable, *RSPREGISTRAR, PYTHONPATH=plugged) as registrar:
        registrar.wait_for("policy nearest, type 0x80000777, is provided by a plug-in")
        registrar.wait_for("policy plug-in b of nearest is not used")

"""The lab itself: its guests offer root, SCTP and multicast, and always end."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.interop import guest

pytestmark = pytest.mark.skipif(bool(guest.lacking()), reason=guest.lacking())


@pytest.fixture(scope="module")
def report() -> guest.Report:
    return guest.run("scenario_lab", "an argument", timeout=60, dummies=2)


def uml_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([guest.UML_RUN, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_guest_has_root_kernel_sctp_and_dummy_interfaces(report: guest.Report) -> None:
    found = report["guest"]
    assert found["user"] == 0
    assert "SCTP" in found["protocols"]
    assert {"dum0", "dum1", "lo"} <= set(found["interfaces"])
    assert found["arguments"] == ["an argument"]


def test_sctp_and_multicast_work(report: guest.Report) -> None:
    assert report["sctp"]["error"] is None
    assert report["multicast"]["error"] is None


def test_only_the_out_directory_is_written_on_the_host(report: guest.Report) -> None:
    assert report["files"]["error"] is None
    assert (report.out / "kept").read_text() == "kept"
    assert not (guest.ROOT / "vanishes").exists()


def test_a_failed_finding_fails_its_test(report: guest.Report) -> None:
    with pytest.raises(AssertionError, match="meant to fail"):
        report["a failure"]
    with pytest.raises(AssertionError, match="ended with status 0 before it came to 'more'"):
        report["more"]


@pytest.mark.parametrize("status", [0, 42])
def test_uml_run_returns_the_commands_status_and_streams(status: int) -> None:
    done = uml_run("--", "sh", "-c", f"echo out; echo err >&2; exit {status}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "out\n", "err\n")


def test_a_command_that_ignores_signals_is_ended_at_the_time_out() -> None:
    began = time.monotonic()
    assert uml_run("--timeout", "2", "--", "bash", "-c", 'trap "" TERM; while :; do sleep 1; done').returncode == 124
    assert time.monotonic() - began < 30


def test_a_kernel_panic_is_status_125_and_shows_the_console() -> None:
    done = uml_run("--", "sh", "-c", "echo c >/proc/sysrq-trigger; sleep 5")
    assert done.returncode == 125
    assert "Kernel panic" in done.stderr


def test_nothing_survives_when_uml_run_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # the killed uml-run leaves its directory here
    mark = f"survivor-{time.monotonic_ns()}"
    command = [sys.executable, "-c", f"import time; print('{mark}', flush=True); time.sleep(60)"]
    process = subprocess.Popen([guest.UML_RUN, "--", *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == mark
    guests = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    process.kill()
    process.wait()
    process.stdout.close()
    for _ in range(100):
        alive = subprocess.run(
            ["ps", "-o", "stat=", "-p", ",".join(guests)], capture_output=True, text=True, check=False
        )
        if not [state for state in alive.stdout.split() if not state.startswith("Z")]:
            return
        time.sleep(0.1)
    raise AssertionError(f"still running: {alive.stdout}")

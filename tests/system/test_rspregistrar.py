"""rspregistrar as a process, over libusrsctp on the loopback interface."""

import asyncio
import bz2
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from rserpool.client import PoolElement, PoolUser
from rserpool.messages import TCPTransport
from rserpool.registrar.instruments import csp
from tests.support.ports import free_port
from tests.support.processes import until
from tests.system.test_registrar import HOST, PATIENCE

SERVICE = TCPTransport(port=80, address=ip_address(HOST))
PROGRAM = [sys.executable, "-m", "rserpool.cli.rspregistrar"]

if not any(Path("rserpool/_fast/io/usrsctp").glob("socket*.so")):
    pytest.skip("libusrsctp-dev is missing (ci/setup)", allow_module_level=True)


def here(port: int) -> list[str]:
    """Options of a registrar that serves only this machine."""
    return [f"-asap={HOST}:{port}", f"-enrp={HOST}", "-transport=usrsctp", "-minaddressscope=loopback",
            "-asapannounce=off", "-enrpannounce=off"]  # fmt: skip


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program until it exits."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=PATIENCE, env=environment, check=False
    )


class Running:
    """A registrar process. It is ready as soon as its log says so."""

    def __init__(self, directory: Path, *arguments: str, **variables: str) -> None:
        self.port = free_port()
        self.where = f"{HOST}:{self.port}"
        self.log = directory / "log"
        options = [*here(self.port), f"-logfile={self.log}", "-loglevel=3", "-logcolor=off", *arguments]
        self.process = subprocess.Popen(
            [*PROGRAM, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **variables},
        )  # fmt: skip
        until(self.serves, f"the registrar to serve with {options}")

    def serves(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        return self.log.exists() and "serves ASAP" in self.log.read_text()

    def end(self, name: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal that ends it; returns the exit status and the output."""
        self.process.send_signal(name)
        printed, errors = self.process.communicate(timeout=PATIENCE)
        assert errors == ""
        return self.process.returncode, printed


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(*arguments: str, **variables: str) -> Running:
        started.append(Running(tmp_path, *arguments, **variables))
        return started[-1]

    yield start
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            one.process.kill()
        one.process.communicate(timeout=PATIENCE)


def play(where: str) -> None:
    """Register an element, resolve its pool, and deregister it."""

    async def course() -> None:
        async with (
            asyncio.timeout(PATIENCE),
            PoolElement("Pool", SERVICE, registrars=[where], identifier=9),
            PoolUser(registrars=[where]) as user,
        ):
            (found,) = await user.resolve("Pool")
            assert found.identifier == 9

    asyncio.run(course())


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_parameters_and_ends_by_signal(running: Callable[..., Running], name: signal.Signals) -> None:
    registrar = running("-identifier=0xab")
    status, printed = registrar.end(name)
    assert status == 0
    lines = printed.splitlines()
    assert "Version 1.00" in lines[0]
    assert f"ASAP Address:           {{127.0.0.1}} {registrar.port}/SCTP" in lines
    assert "Server ID:              $000000ab" in lines
    assert lines[-1] == "Terminated!"
    first, second, *_ = registrar.log.read_text().splitlines()
    assert re.match(r"\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d\.\d{4}: P\d+\.[0-9a-f]+@\S+ \S+:\d+ \w+\(\)$", first)
    assert re.match(r"\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d\.\d{4}: ", second)


def test_quiet_prints_nothing(running: Callable[..., Running]) -> None:
    assert running("-quiet").end() == (0, "")


def test_statistics_action_log_and_scalars(running: Callable[..., Running], tmp_path: Path) -> None:
    registrar = running(
        f"-statsfile={tmp_path}/stats", "-statsinterval=50", f"-actionlogfile={tmp_path}/actions.bz2",
        f"-scalar={tmp_path}/scalars", "-object=mine", "-profile=rfc",
    )  # fmt: skip
    play(registrar.where)
    until(lambda: (tmp_path / "stats").read_text().count("\n") > 3, "statistics")
    assert registrar.end()[0] == 0
    head, *lines = (tmp_path / "stats").read_text().splitlines()
    rows = [dict(zip(head.split(), line.split()[1:], strict=True)) for line in lines]
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))
    assert rows[0]["Registrations"] == "0"
    assert (rows[-1]["Registrations"], rows[-1]["Deregistrations"], rows[-1]["HandleResolutions"]) == ("1", "1", "1")
    assert float(rows[-1]["RelTime"]) > float(rows[0]["RelTime"])
    actions = bz2.decompress((tmp_path / "actions.bz2").read_bytes()).decode().splitlines()
    seen = [(line.split()[3], line.split()[5]) for line in actions[1:]]
    for expected in (("Recv", "Registration"), ("Send", "RegistrationResponse"), ("Recv", "HandleResolution"),
                     ("Send", "HandleResolutionResponse"), ("Send", "DeregistrationResponse")):  # fmt: skip
        assert tuple(f'"{word}"' for word in expected) in seen
    scalars = (tmp_path / "scalars").read_text()
    assert scalars.startswith('run 1 "scenario"\nscalar "mine" "Registrar Total Registrations"               1\n')
    (average,) = re.findall(r'"Registrar Average Number Of Pool Elements" +(\S+)', scalars)
    assert 0 < float(average) < 1


def test_high_log_levels_log_messages_that_the_fast_lane_skips(running: Callable[..., Running]) -> None:
    registrar = running("-loglevel=9", "-profile=rfc")
    play(registrar.where)
    registrar.end()
    assert re.search(r': message: "Recv" "ASAP" "Deregistration" .* "Pool" 0x9 ', registrar.log.read_text())


def test_statistics_without_an_interval_are_one_line(running: Callable[..., Running], tmp_path: Path) -> None:
    registrar = running(f"-statsfile={tmp_path}/stats", "-profile=rfc")
    play(registrar.where)
    registrar.end()
    head, line = (tmp_path / "stats").read_text().splitlines()
    assert dict(zip(head.split(), line.split()[1:], strict=True))["Registrations"] == "1"


def test_status_reports(running: Callable[..., Running]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as monitor:
        monitor.bind((HOST, 0))
        monitor.settimeout(PATIENCE)
        registrar = running(f"-cspserver={HOST}:{monitor.getsockname()[1]}", "-cspinterval=50", "-identifier=0xab")
        first = csp.decode(monitor.recv(65536))
        assert first.sender == csp.Component(group=csp.Group.REGISTRAR, identifier=0xAB)
        assert (first.interval, first.status) == (50_000, "0[0] PEs in 0 Pools, 0 Peers")
        registrar.end()
        last = first
        while not last.final:
            last = csp.decode(monitor.recv(65536))
        assert last.uptime > first.uptime


def test_the_environment_turns_status_reports_on(running: Callable[..., Running]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as monitor:
        monitor.bind((HOST, 0))
        monitor.settimeout(PATIENCE)
        running(CSP_SERVER=f"{HOST}:{monitor.getsockname()[1]}", CSP_INTERVAL="1")
        assert csp.decode(monitor.recv(65536)).interval == 250_000


def daemon(directory: Path, *arguments: str) -> tuple[int, str]:
    """Start a registrar in the background; returns the parent's exit status and error output. The child keeps its
    inherited streams."""
    with (directory / "errors").open("w+") as errors:
        ended = subprocess.run([*PROGRAM, *arguments], stdout=errors, stderr=errors, timeout=PATIENCE, check=False)
        errors.seek(0)
        return ended.returncode, errors.read()


def alive(process: int) -> bool:
    """True if the process runs. A zombie counts as ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_daemon_mode(tmp_path: Path) -> None:
    port, pid_file, log = free_port(), tmp_path / "pid", tmp_path / "log"
    options = ["-profile=rfc", "-quiet", f"-daemonpidfile={pid_file}", f"-logfile={log}", "-loglevel=3"]
    assert daemon(tmp_path, *here(port), *options) == (0, "")
    child = int(pid_file.read_text())
    try:
        assert "serves ASAP" in log.read_text()
        os.kill(child, signal.SIGHUP)
        play(f"{HOST}:{port}")
        os.kill(child, signal.SIGTERM)
        until(lambda: not alive(child), "the end of the daemon")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_a_daemon_that_cannot_serve_fails_in_the_foreground(running: Callable[..., Running], tmp_path: Path) -> None:
    taken = running().port
    status, errors = daemon(tmp_path, *here(taken), "-quiet", f"-daemonpidfile={tmp_path}/pid")
    assert status == 1
    assert str(taken) in errors
    assert not (tmp_path / "pid").exists()


def test_a_pid_file_that_cannot_be_written(tmp_path: Path) -> None:
    status, errors = daemon(tmp_path, *here(free_port()), "-quiet", f"-daemonpidfile={tmp_path}/nowhere/pid")
    assert status == 1
    assert "nowhere/pid" in errors


def test_the_failure_test_restarts_the_registrar_repeatedly(running: Callable[..., Running], tmp_path: Path) -> None:
    scalars = tmp_path / "scalars"
    registrar = running("-uptime=0.05", "-downtime=0.01", f"-scalar={scalars}", f"-statsfile={tmp_path}/stats")
    until(lambda: "run 3 " in scalars.read_text(), "three runs")
    status, printed = registrar.end()
    assert status == 0
    assert "Uptime   = 0.050 [s]\nDowntime = 0.010 [s]\n\nRun #1: " in printed
    assert re.findall(r"Run #(\d+)", printed)[:3] == ["1", "2", "3"]
    assert printed.endswith("Terminated!\n")
    lines = (tmp_path / "stats").read_text().splitlines()
    assert [line.split()[0] for line in lines[1:6:2]] == ["000001", "000002", "000003"]


def test_the_service_manager_is_notified(running: Callable[..., Running], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        registrar = running(NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert manager.recv(100) == b"READY=1"
        registrar.end()
        assert manager.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-foo"], "-foo"),
        (["-identifier=xyz"], "-identifier=xyz"),
        (["-asap=nowhere.invalid:1"], "nowhere.invalid"),
        (["-logfile=/nowhere/log"], "/nowhere/log"),
        (["-statsfile=/nowhere/stats"], "/nowhere/stats"),
        (["-asap=192.0.2.1:4000", "-transport=usrsctp", "-asapannounce=off"], "192.0.2.1"),
    ],
)
def test_a_usage_error_prints_one_line_and_exits_with_status_1(arguments: list[str], named: str) -> None:
    ended = run(*arguments, "-logquiet")
    assert ended.returncode == 1
    assert ended.stderr.startswith("ERROR: ")
    assert named in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("argument", ["-help", "--help"])
def test_help(argument: str) -> None:
    shown = run(argument)
    assert shown.returncode == 0
    assert "-peerheartbeatcycle=milliseconds" in shown.stdout


def test_a_random_port_is_in_its_range(tmp_path: Path) -> None:
    options = ["-transport=usrsctp", "-minaddressscope=loopback", "-asapannounce=off", "-quiet"]
    for number in range(3):
        log = tmp_path / f"log{number}"
        pid = tmp_path / f"pid{number}"
        more = ["-asap=127.0.0.1", f"-logfile={log}", "-loglevel=3", f"-daemonpidfile={pid}"]
        assert daemon(tmp_path, *options, *more) == (0, "")
        os.kill(int(pid.read_text()), signal.SIGTERM)
        (port,) = re.findall(r"serves ASAP at 127\.0\.0\.1, port (\d+)", log.read_text())
        assert 10_000 <= int(port) <= 59_999

"""The registrar as a process, over libusrsctp on the loopback interface."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from rserpool.client import PoolElement, PoolUser, UnknownPool
from rserpool.messages import Policy, PolicyType, TCPTransport
from tests.support.ports import free_port

HOST = "127.0.0.1"
PATIENCE = 60
SERVICE = TCPTransport(port=80, address=ip_address(HOST))

if not any(Path("rserpool/_fast/io/usrsctp").glob("socket*.so")):
    pytest.skip("libusrsctp-dev is missing (ci/setup)", allow_module_level=True)


def program(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``rserpool`` until it exits."""
    command = [sys.executable, "-m", "rserpool.cli.main", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment, check=False)


class Running:
    """A registrar process that is ready to serve."""

    def __init__(self, *flags: str) -> None:
        self.port = free_port()
        self.where = f"{HOST}:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rserpool.cli.main", "registrar", f"--asap={self.where}", "--transport=usrsctp",
             "--address-scope=loopback", "--announce=", f"--enrp={HOST}:0", *flags],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.log = ""
        while "serves ASAP" not in self.log:
            line = self.process.stderr.readline()
            assert line, f"the registrar ended: {self.log}"
            self.log += line

    def end(self, name: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal that ends it; returns the exit status."""
        self.process.send_signal(name)
        _, rest = self.process.communicate(timeout=PATIENCE)
        self.log += rest
        return self.process.returncode


@pytest.fixture
def registrar() -> Iterator[Running]:
    running = Running("--identifier=0x22222222", "--keep-alive-interval=0.5", "--keep-alive-timeout=1")
    yield running
    with contextlib.suppress(ProcessLookupError):
        running.process.kill()
    running.process.wait(PATIENCE)
    assert running.process.stderr is not None
    running.process.stderr.close()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(registrar: Running, name: signal.Signals) -> None:
    assert registrar.end(name) == 0
    assert "0x22222222" in registrar.log
    assert "SCTP by usrsctp" in registrar.log
    assert "Traceback" not in registrar.log


def test_elements_and_users_are_served(registrar: Running) -> None:
    async def play() -> None:
        policy = Policy(policy_type=PolicyType.LEAST_USED, values=(1,))
        async with PoolUser(registrars=[registrar.where]) as user, asyncio.timeout(PATIENCE):
            async with PoolElement("Pool", SERVICE, registrars=[registrar.where], policy=policy, identifier=9):
                await asyncio.sleep(0)
                (found,) = await user.resolve("Pool")
                assert (found.identifier, found.protocol, found.port) == (9, "tcp", 80)
                shown = await asyncio.to_thread(program, "resolve", "Pool", f"--registrar={registrar.where}")
                assert shown.stdout == "0x00000009 tcp 127.0.0.1 80 least-used 0x1\n"
            with pytest.raises(UnknownPool):
                await user.resolve("Pool")

    asyncio.run(play())
    assert registrar.end() == 0
    assert "deregistrations 1" in registrar.log
    assert "registrations 1" in registrar.log


def test_an_unknown_pool_prints_one_line_and_exits_with_status_1(registrar: Running) -> None:
    shown = program("resolve", "Nowhere", f"--registrar={registrar.where}")
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert re.fullmatch(r"rserpool resolve: .*unknown pool handle\n", shown.stderr)


def test_a_port_in_use_prints_one_line_and_exits_with_status_1(registrar: Running) -> None:
    second = program(
        "registrar", f"--asap={registrar.where}", "--transport=usrsctp", "--log-level=error", "--announce="
    )
    assert second.returncode == 1
    assert len(second.stderr.splitlines()) == 1
    assert str(registrar.port) in second.stderr
    assert "in use" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["registrar", "--identifire=1"], "--identifire"),
        (["registrar", "--profile=osi"], "--profile"),
        (["registrar", "--keep-alive-interval=-1"], "keep_alive_interval"),
        (["registrar", "--asap=10.0.0.1:99999"], "10.0.0.1:99999"),
        (["registrar", "--asap=127.0.0.1:4000,127.0.0.2:4001", "--transport=usrsctp"], "--asap"),
        (["registrar", "--config=/nowhere.toml"], "/nowhere.toml"),
        (["registrar", "--announce=10.0.0.1", "--asap=127.0.0.1:65536"], "127.0.0.1:65536"),
        (["resolve", "Pool", "--registrar=tcp:10.0.0.1,10.0.0.2"], "TCP allows one address only"),
        (["resolve", "Pool", "--registrar=nonsense"], "nonsense"),
        (["dance"], "dance"),
    ],
)
def test_a_usage_error_prints_one_line_and_exits_with_status_1(arguments: list[str], named: str) -> None:
    ended = program(*arguments, RSERPOOL_LOG_LEVEL="error")
    assert ended.returncode == 1
    assert named in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_missing_kernel_sctp_prints_one_line_with_the_remedy() -> None:
    with contextlib.suppress(OSError):
        socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, 132).close()
        pytest.skip("this kernel has SCTP")
    ended = program("registrar", "--transport=kernel", "--asap=127.0.0.1:4000", RSERPOOL_LOG_LEVEL="error")
    assert ended.returncode == 1
    assert re.fullmatch(r"rserpool registrar: .*modprobe sctp.*\n", ended.stderr)


def test_help_lists_every_option_with_its_default() -> None:
    shown = program("registrar", "--help")
    assert shown.returncode == 0
    assert "--keep-alive-interval SECONDS" in shown.stdout
    assert "Default: 5." in " ".join(shown.stdout.split())
    assert "registrar" in program("--help").stdout
    assert program("--version").stdout.startswith("rserpool 0.")


def test_the_printed_configuration_is_accepted_as_input(tmp_path: Path) -> None:
    path = tmp_path / "registrar.toml"
    path.write_text(program("registrar", "--print-config").stdout)
    running = Running(f"--config={path}")
    assert running.end() == 0

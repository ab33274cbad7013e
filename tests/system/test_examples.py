"""Runs each example, unchanged, over libusrsctp on the loopback interface."""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rserpool.blocking import PoolUser, Registrar, open_session
from tests.support.processes import HOST, PATIENCE, Process, until

pytest.importorskip("rserpool._fast.io.usrsctp.socket", reason="libusrsctp-dev is missing (ci/setup)")

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LEFT = (0, -signal.SIGTERM)
"""Exit statuses of an asyncio program after SIGTERM: it deregisters, and then exits or dies by the signal."""


@pytest.fixture(scope="module")
def home() -> Iterator[Registrar]:
    options = {"asap": f"{HOST}:0", "enrp": "off", "announce": (), "address_scope": "loopback", "transport": "usrsctp"}
    with Registrar(**options) as registrar:
        yield registrar


def example(name: str, *arguments: str) -> Process:
    return Process(sys.executable, str(EXAMPLES / name), *arguments, PYTHONPATH=str(ROOT))


def serving(home: Registrar, pool: str, count: int) -> None:
    until(lambda: len(home.resolve(pool)) == count, f"{count} elements of {pool}")


def test_each_example_is_short_and_tested() -> None:
    text = Path(__file__).read_text()
    names = [path.name for path in EXAMPLES.iterdir() if path.is_file()]
    assert len(names) == 6
    for name in names:
        assert f'"{name}"' in text, f"{name} is not run by any test"
        assert len((EXAMPLES / name).read_text().splitlines()) < 40


def test_echo(home: Registrar) -> None:
    (where,) = home.addresses
    with example("echo_server.py", where) as first, example("echo_server.py", where) as second:
        serving(home, "EchoPool", 2)
        client = subprocess.Popen(
            [sys.executable, str(EXAMPLES / "echo_client.py"), where],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        with client:
            assert client.stdin is not None
            assert client.stdout is not None
            servers = []
            for number in range(4):
                client.stdin.write(f"line {number}\n")
                client.stdin.flush()
                server, _, line = client.stdout.readline().partition(": ")
                assert line == f"line {number}\n"
                servers.append(int(server, 0))
                if number == 1:
                    # After one process has ended, the pool lists only the other one's element.
                    assert first.end() in LEFT
                    serving(home, "EchoPool", 1)
            left = home.resolve("EchoPool")[0].identifier
            assert servers[0] == servers[1]
            assert servers[2] == servers[3] == left
            client.stdin.close()
            assert client.wait(PATIENCE) == 0
        assert second.end() in LEFT
        serving(home, "EchoPool", 0)


def test_download_with_failover(home: Registrar, tmp_path: Path) -> None:
    (where,) = home.addresses
    served, target = tmp_path / "served", tmp_path / "target"
    served.mkdir()
    content = random.Random(1).randbytes(1 << 20) * 96
    (served / "file").write_bytes(content)
    first = example("download_server.py", str(served), where)
    with first, example("echo_server.py", where):
        serving(home, "DownloadPool", 1)
        with example("download_client.py", "file", str(target), where) as client:
            until(lambda: target.exists() and target.stat().st_size > 0)
            client.send(signal.SIGSTOP)
            assert target.stat().st_size < len(content), "the download ended before it could be interrupted"
            with example("download_server.py", str(served), where) as second:
                serving(home, "DownloadPool", 2)
                assert first.end() in LEFT
                client.send(signal.SIGCONT)
                said = client.wait_for(r"(0x[0-9a-f]{8}) continues at (\d+) octets")
                assert 0 < int(said[2]) < len(content)
                client.wait_for(f"{len(content)} octets, 1 failovers")
                assert client.wait() == 0
                assert home.resolve("DownloadPool")[0].identifier == int(said[1], 0)
                assert target.read_bytes() == content
                assert second.end() in LEFT


def test_compute_worker_registers_its_load(home: Registrar) -> None:
    (where,) = home.addresses
    loads: set[float] = set()
    with example("compute_worker.py", where) as worker, PoolUser(registrars=[where]) as user:
        serving(home, "ComputePool", 1)
        changes = user.watch("ComputePool", poll_interval=0.1)

        def watch() -> None:
            for elements in itertools.takewhile(bool, changes):
                loads.update(round(one.policy.load / 0xFFFFFFFF, 2) for one in elements)

        watcher = threading.Thread(target=watch)
        watcher.start()
        with open_session("ComputePool", registrars=[where]) as session:
            session.send(b"100")
            assert session.receive(timeout=PATIENCE) == b"25"
            for limit in itertools.count(20_000, 20_000):
                session.send(str(limit).encode())
                session.receive(timeout=PATIENCE)
                if 0.25 in loads:
                    break
        until(lambda: home.resolve("ComputePool")[0].policy.load == 0)
        assert worker.end() == 128 + signal.SIGTERM
        watcher.join(PATIENCE)
    assert loads <= {0.0, 0.25}


def free_ports(count: int) -> list[str]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind((HOST, 0))
    ports = [str(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def test_legacy_proxy(home: Registrar, tmp_path: Path) -> None:
    front, *backs = free_ports(3)
    program = tmp_path / "rserpool"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m rserpool.cli.main "$@"\n')
    program.chmod(0o755)
    command = ["sh", str(EXAMPLES / "legacy_proxy.sh"), home.addresses[0], front, *backs]
    with Process(*command, PATH=f"{tmp_path}:{os.environ['PATH']}", PYTHONPATH=str(ROOT)) as script:
        serving(home, "WebPool", 2)

        def page() -> str:
            try:
                with urllib.request.urlopen(f"http://{HOST}:{front}/", timeout=PATIENCE) as answer:
                    return str(answer.read().decode())
            except (ConnectionError, urllib.error.URLError):
                return ""

        until(lambda: "Directory listing" in page())
        script.wait_for(r'"GET / HTTP/1.1" 200')
        assert script.end() == 0
        serving(home, "WebPool", 0)

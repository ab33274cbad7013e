"""Starts servers in processes of their own, and measures their processor time."""

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
UNBOUNDED = (
    "--limit-resolution-rate=1e12", "--limit-resolution-burst=1000000000",
    "--limit-registration-rate=1e12", "--limit-registration-burst=1000000000",
    "--limit-elements-per-association=1000000", "--limit-elements-per-pool=1000000",
    "--limit-associations-per-host=20000",
)  # fmt: skip


def processor_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def run_delay(pid: int) -> float:
    """Return the seconds for which threads of a process were ready to run while others ran."""
    return sum(int(path.read_text().split()[1]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


@contextmanager
def running(command: list[str], ready: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start a process and wait until a line of its output matches. RuntimeError if the process ends first."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=env
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if re.search(ready, line):
                break
        else:
            raise RuntimeError(f"{' '.join(command)} ended:\n{''.join(said)}")
        threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would block the process
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def registrar(port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start our registrar on a port of the loopback interface."""
    command = [
        sys.executable, "-m", "rserpool.cli.main", "registrar", f"--asap={HOST}:{port}", "--announce=", "--enrp=off",
        "--transport=usrsctp", "--address-scope=loopback", "--keep-alive-interval=600", *UNBOUNDED, *options,
    ]  # fmt: skip
    with running(command, "serves ASAP") as process:
        yield process


@contextmanager
def echo(transport: str, port: int, host: str = HOST) -> Iterator[subprocess.Popen[str]]:
    """Start an echo server over a transport: the lowest cost of a server in this language on this machine."""
    with running([sys.executable, "-m", "bench.system.echo", transport, host, str(port)], "ready") as process:
        yield process


def connections(port: int, count: int) -> list[socket.socket]:
    """Open ``count`` TCP connections. OSError if the server does not listen within ten seconds."""
    made: list[socket.socket] = []
    deadline = time.monotonic() + 10
    while len(made) < count:
        try:
            sock = socket.create_connection((HOST, port))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.append(sock)
    return made

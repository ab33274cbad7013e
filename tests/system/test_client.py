"""Elements and users, each in a process or on a socket of its own, over libusrsctp on the loopback interface."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from rserpool.client import PoolElement, PoolUser, getaddrinfo, resolve
from rserpool.messages import Policy, PolicyType
from tests.support.ports import free_port
from tests.system.test_registrar import HOST, PATIENCE, SERVICE, Running

ELEMENT = """
import asyncio, sys
from ipaddress import ip_address
from rserpool.client import PoolElement
from rserpool.messages import TCPTransport

async def main():
    {before}
    service = TCPTransport(port=80, address=ip_address("127.0.0.1"))
    async with (
        PoolElement("Pool", service, registrars=[sys.argv[1]], identifier=1),
        PoolElement("Pool", service, registrars=[sys.argv[1]], identifier=2),
    ):
        print("registered", flush=True)
        await {until}

asyncio.run(main())
"""
ITS_OWN = "asyncio.get_running_loop().add_signal_handler(15, (ended := asyncio.Event()).set)"


@pytest.fixture
def registrar() -> Iterator[Running]:
    running = Running("--identifier=0x22222222")
    yield running
    with contextlib.suppress(ProcessLookupError):
        running.process.kill()
    running.process.communicate(timeout=PATIENCE)


@pytest.mark.conformance("ASAP-3.2-02")
@pytest.mark.parametrize(
    ("before", "until", "status"), [("", "asyncio.Event().wait()", -signal.SIGTERM), (ITS_OWN, "ended.wait()", 0)]
)
def test_sigterm_deregisters_an_element(registrar: Running, before: str, until: str, status: int) -> None:
    script = ELEMENT.format(before=before, until=until)
    process = subprocess.Popen(
        [sys.executable, "-c", script, registrar.where], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "registered\n"
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, errors
    assert time.monotonic() - began < 10
    assert not errors
    assert registrar.end() == 0
    assert "deregistrations 2" in registrar.log


def play(course: Callable[[], object]) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            await course()  # type: ignore[misc]

    asyncio.run(main())


def test_getaddrinfo_lists_the_elements_of_a_pool(registrar: Running) -> None:
    async def course() -> None:
        where = [registrar.where]
        async with PoolElement("Pool", SERVICE, registrars=where, identifier=9):
            ((family, kind, protocol, name, address),) = await getaddrinfo("Pool", registrars=where)
            assert (family, kind, protocol, name) == (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            assert address == (HOST, 80)
            assert len(await getaddrinfo("Pool", family=socket.AF_INET, proto=6, registrars=where)) == 1
            for other in ({"family": socket.AF_INET6}, {"type": socket.SOCK_DGRAM}, {"proto": 132}):
                assert await getaddrinfo("Pool", registrars=where, **other) == []
            (found,) = await resolve("Pool", registrars=[f"tcp:{registrar.where}"])
            assert found.identifier == 9

    play(course)


@pytest.mark.conformance("REQ-5351-3.2-01", "ASAP-3.6-05")
def test_a_registrars_announcements_are_received_on_the_loopback_interface() -> None:
    group = f"239.0.0.50:{free_port()}"
    running = Running(f"--announce={group}")

    async def course() -> None:
        where = {"groups": [group], "interfaces": ["lo"], "local": HOST}
        async with (
            PoolElement("Pool", SERVICE, identifier=9, **where) as element,  # type: ignore[arg-type]
            PoolUser(**where) as user,  # type: ignore[arg-type]
        ):
            assert [one.identifier for one in await user.resolve("Pool")] == [9]
            assert element.home is not None
            assert element.home.port == running.port

    try:
        play(course)
    finally:
        assert running.end() == 0


def test_the_watch_command_prints_changes(registrar: Running) -> None:
    command = ["resolve", "Pool", f"--registrar={registrar.where}", "--watch"]
    watching = subprocess.Popen(
        [sys.executable, "-m", "rserpool.cli.main", *command], stdout=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    lines = watching.stdout

    async def course() -> None:
        policy = Policy(policy_type=PolicyType.LEAST_USED, values=(0,))
        assert await asyncio.to_thread(lines.readline) == "\n"
        async with PoolElement("Pool", SERVICE, registrars=[registrar.where], policy=policy, identifier=9) as element:
            assert await asyncio.to_thread(lines.readline) == "0x00000009 tcp 127.0.0.1 80 least-used 0x0\n"
            assert await asyncio.to_thread(lines.readline) == "\n"
            element.load = 1.0
            assert await asyncio.to_thread(lines.readline) == "0x00000009 tcp 127.0.0.1 80 least-used 0xffffffff\n"
            assert await asyncio.to_thread(lines.readline) == "\n"
        assert await asyncio.to_thread(lines.readline) == "\n"

    try:
        play(course)
    finally:
        watching.kill()
        watching.communicate(timeout=PATIENCE)

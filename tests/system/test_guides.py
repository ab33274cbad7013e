"""Runs the code in docs/sessions.md and docs/client.md, unchanged except for the addresses."""

import asyncio
import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from rserpool.client import Data, FailoverEvent, PoolElement, PoolUser, ServiceSession, open_session, serve
from rserpool.messages import TCPTransport
from tests.system.test_registrar import HOST, PATIENCE, Running

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def registrar() -> Iterator[Running]:
    running = Running("--enrp=off")
    yield running
    with contextlib.suppress(ProcessLookupError):
        running.process.kill()
    running.process.communicate(timeout=PATIENCE)


def code(name: str, of: str, registrar: Running) -> str:
    """Return the document's code block that contains a text, with the addresses of the registrar and of this host."""
    text = (DOCS / name).read_text()
    blocks = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", text, re.MULTILINE)
    (block,) = [block for block in blocks if of in block]
    lines = [line for line in block.splitlines() if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    found = "\n".join(line[margin:] for line in block.splitlines())
    found = found.replace('["10.0.0.1", "10.0.0.2"]', '["10.0.0.1"]').replace("10.0.0.1", registrar.where)
    return found.replace("10.0.0.7", HOST)


def function(name: str, of: str, registrar: Running, **names: object) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Compile a coroutine function of a document. ``names`` are the globals that it needs."""
    space: dict[str, Any] = dict(names)
    exec(compile(code(name, f"async def {of}(", registrar), name, "exec"), space)
    made: Callable[..., Coroutine[Any, Any, Any]] = space[of]
    return made


def play(course: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            await course()

    asyncio.run(main())


async def echo(session: ServiceSession) -> None:
    async for item in session:
        if isinstance(item, Data):
            await session.send(item, item.ppid)


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, Any]) -> Any:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_server_and_client(registrar: Running, tmp_path: Path) -> None:
    server, client = code("sessions.md", "# server.py", registrar).split("# client.py")
    (tmp_path / "server.py").write_text(server)
    (tmp_path / "client.py").write_text(client)
    serving = subprocess.Popen([sys.executable, tmp_path / "server.py"], stderr=subprocess.PIPE, text=True)
    try:
        shown = subprocess.run(
            [sys.executable, tmp_path / "client.py"], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        assert shown.stdout.splitlines() == [repr(b"%d" % number) for number in range(1, 101)]
        serving.send_signal(signal.SIGTERM)
        _, errors = serving.communicate(timeout=PATIENCE)
        assert not errors
    finally:
        serving.kill()
        serving.communicate(timeout=PATIENCE)


def test_asking_again(registrar: Running) -> None:
    ask = function("sessions.md", "ask", registrar, FailoverEvent=FailoverEvent)

    async def course() -> None:
        elements = [PoolElement("Pool", registrars=[registrar.where], identifier=number) for number in (1, 2)]
        async with contextlib.AsyncExitStack() as stack:
            for element in elements:
                await stack.enter_async_context(running(serve(element, echo)))
            session = await stack.enter_async_context(
                open_session("Pool", registrars=[registrar.where], failover="event")
            )
            assert await ask(session, b"first") == b"first"
            await session.force_failover()
            assert await ask(session, b"second") == b"second"

    play(course)


def test_fast_settings(registrar: Running) -> None:
    async def course() -> None:
        element = PoolElement("CountPool", registrars=[registrar.where])
        async with running(serve(element, echo)):
            await function("sessions.md", "fast", registrar)()

    play(course)


def test_offering(registrar: Running) -> None:
    async def course() -> None:
        async with (
            running(function("client.md", "offer", registrar)()),
            PoolUser(registrars=[registrar.where]) as user,
        ):
            async for elements in user.watch("WebPool"):
                if elements and elements[0].policy.load == round(0.3 * 0xFFFFFFFF):
                    return

    play(course)


def test_using(registrar: Running) -> None:
    async def course() -> None:
        shown: list[tuple[object, ...]] = []
        watched = asyncio.Event()

        def show(*words: object) -> None:
            shown.append(words)
            if words == (1,):
                watched.set()

        service = TCPTransport(port=80, address=ip_address(HOST))
        async with (
            PoolElement("WebPool", service, registrars=[registrar.where], identifier=9),
            running(function("client.md", "use", registrar, print=show)()),
        ):
            await watched.wait()
        assert shown[0] == (9, "tcp", (ip_address(HOST),), 80)

    play(course)


def test_connecting(registrar: Running) -> None:
    async def course() -> None:
        with socket.create_server((HOST, 0)) as listener:
            service = TCPTransport(port=listener.getsockname()[1], address=ip_address(HOST))
            async with PoolElement("WebPool", service, registrars=[registrar.where]):
                with await function("client.md", "connect", registrar)() as connected:
                    assert connected.getpeername() == listener.getsockname()

    play(course)


def test_sharing_a_node(registrar: Running) -> None:
    async def course() -> None:
        service = TCPTransport(port=81, address=ip_address(HOST))
        async with PoolElement("OtherPool", service, registrars=[registrar.where]):
            await function("client.md", "both", registrar)()

    play(course)

"""Health checks of a server, and the output of load commands."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from rserpool.errors import LocalProtocolError
from rserpool.proxy.checks import (
    MAX_REPLY,
    CheckFailed,
    CommandCheck,
    Health,
    HttpCheck,
    TcpCheck,
    load_of,
    output_of,
    parse_check,
    read_load,
)
from tests.support.ports import free_port
from tests.unit.proxy.test_user_proxy import HOST, LIMIT

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
PYTHON = sys.executable


def against(handler: Handler, play: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Run a test against a server."""

    async def main() -> None:
        server = await asyncio.start_server(handler, HOST, 0)
        async with server:
            await play(server.sockets[0].getsockname()[1])

    asyncio.run(asyncio.wait_for(main(), LIMIT))


def saying(answer: bytes, seen: list[bytes] | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            request = await reader.readuntil(b"\r\n\r\n")
            if seen is not None:
                seen.append(request)
            writer.write(answer)
        writer.close()

    return handle


def test_a_tcp_check_needs_a_connection() -> None:
    async def play(port: int) -> None:
        await TcpCheck(host=HOST, port=port).run()
        with pytest.raises(CheckFailed, match="Connection refused"):
            await TcpCheck(host=HOST, port=free_port()).run()

    against(saying(b""), play)


@pytest.mark.parametrize("status", [200, 204, 301, 399])
def test_http_statuses_below_400_pass(status: int) -> None:
    seen: list[bytes] = []

    async def play(port: int) -> None:
        await HttpCheck(host=HOST, port=port, path="/health").run()
        assert seen == [f"GET /health HTTP/1.0\r\nHost: {HOST}:{port}\r\nUser-Agent: rserpool\r\n\r\n".encode()]

    against(saying(f"HTTP/1.1 {status} Whatever\r\n\r\n".encode(), seen), play)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 500 Oops\r\n\r\n", "HTTP status 500"),
        (b"HTTP/1.1 404 Nothing\r\n\r\n", "HTTP status 404"),
        (b"HTTP/1.1 199 Low\r\n\r\n", "HTTP status 199"),
        (b"SSH-2.0-OpenSSH 200\r\n", "no HTTP answer"),
        (b"HTTP/1.1 abc\r\n\r\n", "no HTTP answer"),
        (b"HTTP/1.1\r\n\r\n", "no HTTP answer"),
        (b"HTTP/1.1 200", "no HTTP answer"),
        (b"x" * (4 * MAX_REPLY), "no HTTP answer"),
        (b"", "no HTTP answer"),
    ],
)
def test_other_http_answers_fail(answer: bytes, reason: str) -> None:
    async def play(port: int) -> None:
        with pytest.raises(CheckFailed, match=reason):
            await HttpCheck(host=HOST, port=port).run()

    against(saying(answer), play)


def test_a_command_check_needs_status_0(tmp_path: Path) -> None:
    async def main() -> None:
        await CommandCheck(command=("true",)).run()
        with pytest.raises(CheckFailed, match="false exited with status 1"):
            await CommandCheck(command=("false",)).run()
        with pytest.raises(CheckFailed, match="No such file"):
            await CommandCheck(command=(str(tmp_path / "nothing"),)).run()
        with pytest.raises(CheckFailed, match="sh was killed"):
            await CommandCheck(command=("sh", "-c", "kill -9 $$")).run()
        assert await output_of(("sh", "-c", "echo one; echo two >&2")) == b"one\n"
        assert len(await output_of((PYTHON, "-c", f"print('x' * {8 * MAX_REPLY})"))) == MAX_REPLY

    asyncio.run(asyncio.wait_for(main(), LIMIT))


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    script = f"sleep 1000 & echo $! > {tmp_path}/child.new; mv {tmp_path}/child.new {tmp_path}/child; wait"

    async def main() -> None:
        asking = asyncio.create_task(output_of(("sh", "-c", script)))
        while not (tmp_path / "child").exists():
            await asyncio.sleep(0.01)
        child = int((tmp_path / "child").read_text())
        os.kill(child, 0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        while alive(child):
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), LIMIT))


def alive(process: int) -> bool:
    """True if the process runs; a zombie does not count."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("printed", "load"), [(b"0", 0.0), (b"1\n", 1.0), (b" 0.25 and more", 0.25), (b"37%\n", 0.37), (b"100%", 1.0)]
)
def test_loads_are_numbers_or_percentages(printed: bytes, load: float) -> None:
    assert read_load(printed) == pytest.approx(load)


@pytest.mark.parametrize(
    "printed", [b"", b"  \n", b"1.5", b"-0.1", b"101%", b"nan", b"inf", b"many", b"%", b"\xff\xfe"]
)
def test_invalid_loads_are_refused(printed: bytes) -> None:
    with pytest.raises(CheckFailed, match="load must be"):
        read_load(printed)


def test_a_load_command_yields_its_load() -> None:
    assert asyncio.run(load_of(("echo", "12%"))) == pytest.approx(0.12)


def test_check_options_are_parsed() -> None:
    assert parse_check("tcp", "::1", 80) == TcpCheck(host="::1", port=80)
    assert parse_check("http", HOST, 80) == HttpCheck(host=HOST, port=80, path="/")
    assert parse_check("http=/a?b=c", HOST, 80) == HttpCheck(host=HOST, port=80, path="/a?b=c")
    assert parse_check("command=test -e 'a b'", HOST, 80) == CommandCheck(command=("test", "-e", "a b"))
    assert parse_check("none", HOST, 80) is None


NO_CHECKS = ("", "udp", "tcp=1", "http=", "http=a", "http=/ä", "http=/a b", "http=/a\r\nb", "none=")
NO_COMMANDS = ("command", "command=", "command= ", "command='a")


@pytest.mark.parametrize("text", NO_CHECKS + NO_COMMANDS)
def test_invalid_checks_are_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="--check") as raised:
        parse_check(text, HOST, 80)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("first", [True, False])
def test_the_first_result_decides(first: bool) -> None:
    health = Health(rise=5, fall=5)
    assert health.up is None
    assert health.checked(first)
    assert health.up is first


def test_a_change_needs_a_streak_of_results() -> None:
    health = Health(rise=2, fall=3)
    results = "+--+-----+-++-++--+---"
    changes = [(i, health.up) for i, result in enumerate(results) if health.checked(result == "+")]
    assert changes == [(0, True), (6, False), (12, True), (21, False)]

"""Health checks and load commands for a server without RSerPool support."""

import asyncio
import contextlib
import os
import shlex
import signal
from dataclasses import dataclass
from typing import Protocol

from rserpool.errors import LocalProtocolError

MAX_REPLY = 4096
"""Octets read of an HTTP status line or of a command's output, so that an endless answer cannot fill the memory."""
HIGHEST_LOAD = 1.0


class CheckFailed(Exception):
    """The check failed; the text says why, in one line."""


class Check(Protocol):
    """A health check of one kind."""

    async def run(self) -> None:
        """Return if the server is up; raise CheckFailed if not. The caller sets the time-out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpCheck:
    """Passes if the server accepts a TCP connection."""

    host: str
    port: int

    async def run(self) -> None:
        """Connect, and close the connection."""
        _, writer = await connect(self.host, self.port)
        await close(writer)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck:
    """Passes if the server answers GET with a status from 200 to 399."""

    host: str
    port: int
    path: str = "/"

    async def run(self) -> None:
        """Send GET, and check the status."""
        reader, writer = await connect(self.host, self.port)
        try:
            host = f"[{self.host}]" if ":" in self.host else self.host
            request = f"GET {self.path} HTTP/1.0\r\nHost: {host}:{self.port}\r\nUser-Agent: rserpool\r\n\r\n"
            writer.write(request.encode("ascii"))
            line = await reader.readuntil(b"\n")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise CheckFailed("no HTTP answer") from None
        finally:
            await close(writer)
        words = line.split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            raise CheckFailed("no HTTP answer")
        if not 200 <= int(words[1]) < 400:
            raise CheckFailed(f"HTTP status {int(words[1])}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandCheck:
    """Passes if a command exits with status 0."""

    command: tuple[str, ...]

    async def run(self) -> None:
        """Run the command."""
        await output_of(self.command)


async def connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection(host, port, limit=MAX_REPLY)
    except OSError as error:
        raise CheckFailed(f"{host} port {port}: {os.strerror(error.errno) if error.errno else error}") from None


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def output_of(command: tuple[str, ...]) -> bytes:
    """Run a command, and return the first MAX_REPLY octets of its output. Its process group is killed at the end, also
    if the caller cancels. Raises CheckFailed unless it exits with status 0."""
    starting = asyncio.ensure_future(start(command))
    printed = b""
    try:
        # Shielded: a start that is cancelled half-way would leave the command running.
        process = await asyncio.shield(starting)
        assert process.stdout is not None
        while chunk := await process.stdout.read(MAX_REPLY):
            printed = (printed + chunk)[:MAX_REPLY]
        status = await process.wait()
    except OSError as error:
        raise CheckFailed(f"{command[0]}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            process = await starting
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if status:
        raise CheckFailed(f"{command[0]} exited with status {status}" if status > 0 else f"{command[0]} was killed")
    return printed


async def start(command: tuple[str, ...]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


async def load_of(command: tuple[str, ...]) -> float:
    """Run a load command, and return the load, 0 to 1. Raises CheckFailed; see read_load for the output."""
    return read_load(await output_of(command))


def read_load(printed: bytes) -> float:
    """The first word as a load: a number from 0 to 1, or a percentage with its sign. Raises CheckFailed."""
    words = printed.decode("ascii", "replace").split()
    text = words[0] if words else ""
    try:
        load = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        load = -1.0
    if not 0 <= load <= HIGHEST_LOAD:
        raise CheckFailed(f"load must be 0 to 1 or 0% to 100%, not {text[:40]!r}")
    return load


def parse_check(text: str, host: str, port: int) -> Check | None:
    """Parse --check: ``tcp``, ``http``, ``http=/PATH``, ``command=COMMAND``, or ``none`` (returns None). Raises
    LocalProtocolError."""
    kind, given, value = text.partition("=")
    if kind == "none" and not given:
        return None
    if kind == "tcp" and not given:
        return TcpCheck(host=host, port=port)
    if kind == "http" and (not given or is_path(value)):
        return HttpCheck(host=host, port=port, path=value or "/")
    if kind == "command" and value.strip():
        return CommandCheck(command=parse_command(value, "--check"))
    raise LocalProtocolError(f"--check must be tcp, http, http=/PATH, command=COMMAND or none, not {text!r}")


def is_path(text: str) -> bool:
    return text.startswith("/") and text.isascii() and text.isprintable() and " " not in text


def parse_command(text: str, option: str) -> tuple[str, ...]:
    """Split a command line into words, as a shell does. ``option`` stands in errors. Raises LocalProtocolError."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise LocalProtocolError(f"{option}: {text!r}: {error}") from None
    if not words:
        raise LocalProtocolError(f"{option}: the command is empty")
    return words


class Health:
    """Decides from check results whether a server is up: the first result decides at once, then ``rise`` good results
    in a row or ``fall`` bad ones change the state."""

    def __init__(self, rise: int, fall: int) -> None:
        self._rise = rise
        self._fall = fall
        self._streak = 0
        self.up: bool | None = None
        """None before the first result."""

    def checked(self, good: bool) -> bool:
        """Add a result. True if the state has changed."""
        if self.up is None:
            self.up = good
            return True
        if good is self.up:
            self._streak = 0
            return False
        self._streak += 1
        if self._streak < (self._rise if good else self._fall):
            return False
        self.up, self._streak = good, 0
        return True

"""Runs programs of this package as processes. Tests wait for conditions, never for a fixed time."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

PATIENCE = 60
HOST = "127.0.0.1"
REGISTRAR = (
    "registrar",
    f"--asap={HOST}:0",
    "--transport=usrsctp",
    "--address-scope=loopback",
    "--announce=",
    "--enrp=off",
)


def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait for a condition; AssertionError after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"it never came to pass: {what or condition}"
        time.sleep(0.02)


class Process:
    """A process whose output is read as it comes; a context manager that kills what is left of it."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def wait_for(self, pattern: str, count: int = 1) -> re.Match[str]:
        """Wait for the n-th match in its output, and return it."""

        def enough() -> bool:
            ended = self.process.poll() is not None
            self._reader.join(PATIENCE if ended else 0)
            found = len(re.findall(pattern, self.log)) >= count
            assert found or not ended, f"it ended without {pattern!r}:\n{self.log}"
            return found

        until(enough, f"{pattern!r} in\n{self.log}")
        return list(re.finditer(pattern, self.log))[count - 1]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end. Returns its exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended. Returns its exit status."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()
        if kind is not None:
            print(f"--- {self.process.args}\n{self.log}")


def rserpool(*arguments: str) -> Process:
    """Start the program ``rserpool``."""
    return Process(sys.executable, "-m", "rserpool.cli.main", *arguments)


@contextlib.contextmanager
def registrar(*flags: str) -> Iterator[tuple[Process, str]]:
    """Start a registrar. Returns it when it serves, with its address."""
    with rserpool(*REGISTRAR, *flags) as process:
        where = process.wait_for(r"serves ASAP at \S+, port (\d+)")
        yield process, f"{HOST}:{where[1]}"

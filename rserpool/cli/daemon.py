"""Runs a program in the background: fork, and let the parent wait until the child serves."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

READY = b"1"
"""The octet that the child writes into the pipe once it serves."""


def detach(pid_file: str) -> Callable[[], None]:
    """Fork, and return in the child only. The child ignores SIGHUP and must call the returned function once it serves.
    The parent then writes the child's process ID into the file and exits with status 0, or with status 1 if the child
    ends first or the file cannot be written. Raises OSError if the fork fails."""
    readable, writable = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(writable)
        os._exit(wait_for_child(child, readable, pid_file))
    os.close(readable)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def ready() -> None:
        with contextlib.suppress(OSError):
            os.write(writable, READY)
        with contextlib.suppress(OSError):
            os.close(writable)

    return ready


def wait_for_child(child: int, readable: int, pid_file: str) -> int:
    """The parent's part. Returns its exit status."""
    with os.fdopen(readable, "rb") as pipe:
        if pipe.read(len(READY)) != READY:
            return 1
    try:
        Path(pid_file).write_text(f"{child}\n", encoding="ascii")
    except OSError as error:
        print(f"ERROR: {pid_file}: {error.strerror}; the registrar was stopped", file=sys.stderr, flush=True)
        os.kill(child, signal.SIGTERM)
        return 1
    return 0

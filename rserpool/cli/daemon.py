"""Life in the background: fork, and tell the parent whether the child came to serve."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

SERVES = b"1"


def detach(pid_file: str) -> Callable[[], None]:
    """Fork. Returns in the child, which ignores SIGHUP and calls what is returned once it serves. The parent waits for
    that, writes the child's process number into the file and ends with status 0; with 1 if the child ends first or the
    file cannot be written. OSError if there can be no child."""
    readable, writable = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(writable)
        os._exit(accompany(child, readable, pid_file))
    os.close(readable)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def serving() -> None:
        with contextlib.suppress(OSError):
            os.write(writable, SERVES)
        with contextlib.suppress(OSError):
            os.close(writable)

    return serving


def accompany(child: int, readable: int, pid_file: str) -> int:
    """The parent's part; its exit status."""
    with os.fdopen(readable, "rb") as pipe:
        if pipe.read(len(SERVES)) != SERVES:
            return 1
    try:
        Path(pid_file).write_text(f"{child}\n", encoding="ascii")
    except OSError as error:
        print(f"ERROR: {pid_file}: {error.strerror}; the registrar is ended", file=sys.stderr, flush=True)
        os.kill(child, signal.SIGTERM)
        return 1
    return 0

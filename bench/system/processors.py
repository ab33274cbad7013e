"""Places processes: a server on one processor, its load on another; and, if allowed (root), with priority over all else
that runs on the machine."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PROCESSORS = sorted(os.sched_getaffinity(0))
SERVER, LOAD = PROCESSORS[0], PROCESSORS[-1]
"""Equal if there is only one processor."""
URGENT = -20


def tasks(pid: int) -> list[int]:
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]


def prefer(pid: int, niceness: int) -> None:
    """All threads of a process, and its session: Linux first shares a processor out among sessions (autogroup)."""
    with contextlib.suppress(OSError):
        for task in tasks(pid):
            os.setpriority(os.PRIO_PROCESS, task, niceness)
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


def pin(pid: int, processor: int) -> None:
    """A process with all its threads, which should be in a session of its own."""
    for task in tasks(pid):
        os.sched_setaffinity(task, {processor})
    prefer(pid, URGENT)


@contextlib.contextmanager
def on(processor: int) -> Iterator[None]:
    """Run this process and its children on one processor for a while."""
    own = os.getpid()
    places, niceness = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    for task in tasks(own):
        os.sched_setaffinity(task, {processor})
    prefer(own, URGENT)
    try:
        yield
    finally:
        for task in tasks(own):
            os.sched_setaffinity(task, places)
        prefer(own, niceness)

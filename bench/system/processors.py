"""Assigns processes to processors: a server to one, its load to another. If permitted (root), gives them priority over
everything else on the machine."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PROCESSORS = sorted(os.sched_getaffinity(0))
SERVER, LOAD = PROCESSORS[0], PROCESSORS[-1]
"""The two processors; equal if there is only one."""
URGENT = -20


def tasks(pid: int) -> list[int]:
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]


def prefer(pid: int, niceness: int) -> None:
    """Set the priority of all threads of a process and of its session: Linux first shares a processor among sessions
    (autogroup)."""
    with contextlib.suppress(OSError):
        for task in tasks(pid):
            os.setpriority(os.PRIO_PROCESS, task, niceness)
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


def pin(pid: int, processor: int) -> None:
    """Pin a process with all its threads to a processor. It should run in a session of its own."""
    for task in tasks(pid):
        os.sched_setaffinity(task, {processor})
    prefer(pid, URGENT)


@contextlib.contextmanager
def on(processor: int) -> Iterator[None]:
    """Run this process and its children on one processor inside the context."""
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

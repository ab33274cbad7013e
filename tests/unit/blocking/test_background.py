"""The background event loop of the blocking API."""

import asyncio
import contextvars
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rserpool.blocking import background as module
from rserpool.blocking.background import Background, WrongProcess, background
from rserpool.errors import LocalProtocolError

LIMIT = 60


async def echo(value: object) -> object:
    await asyncio.sleep(0)
    return value


async def fail() -> None:
    raise KeyError("no")


def test_one_loop_for_all_threads() -> None:
    seen: list[tuple[object, int]] = []

    async def where() -> int:
        return threading.get_ident()

    def use(value: int) -> None:
        seen.append((background().run(echo(value)), background().run(where())))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert sorted(value for value, _ in seen) == list(range(16))  # type: ignore[type-var]
    assert len({ident for _, ident in seen}) == 1
    assert background() is background()


def test_exceptions_reach_the_calling_thread() -> None:
    with pytest.raises(KeyError, match="no"):
        background().run(fail())
    with pytest.raises(ZeroDivisionError):
        background().call(lambda: 1 / 0)


def test_a_timeout_cancels_and_waits_for_the_cleanup() -> None:
    cleaned: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("yes")

    with pytest.raises(TimeoutError):
        background().run(slow(), timeout=0.01)
    assert cleaned == ["yes"]


def test_a_result_that_comes_during_the_cancellation_is_returned() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            return "done"
        return "never"

    assert background().run(stubborn(), timeout=0.01) == "done"


def test_a_timeout_error_of_the_work_is_passed_on() -> None:
    async def inner() -> None:
        raise TimeoutError("inner")

    with pytest.raises(TimeoutError, match="inner"):
        background().run(inner(), timeout=LIMIT)


def test_an_async_iterator_is_iterated_and_closed() -> None:
    closed: list[bool] = []

    async def count(most: int) -> AsyncIterator[int]:
        try:
            for number in range(most):
                yield number
            await asyncio.sleep(1000 if most == 3 else 0)
        finally:
            closed.append(True)

    assert list(background().iterate(count(5))) == [0, 1, 2, 3, 4]
    items = background().iterate(count(3), timeout=0.05)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(TimeoutError):
        next(items)
    for number in background().iterate(count(9)):
        if number == 2:
            break
    assert len(closed) >= 2


def test_calls_from_the_loops_own_thread_are_refused() -> None:
    async def inner() -> None:
        background().run(echo(1))

    with pytest.raises(LocalProtocolError, match="thread of the event loop"):
        background().run(inner())


def test_an_interrupt_cancels_the_work() -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def slow() -> None:
        began.set()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def interrupt() -> None:
        began.wait(LIMIT)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            background().run(slow(), timeout=LIMIT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert cancelled.is_set()


def test_context_variables_are_passed_on() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")

    async def read() -> str:
        return variable.get()

    assert background().run(read()) == "set"


class Thing:
    """Records that it was closed."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log = log
        self.name = name

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.log.append(self.name)
        if self.name == "broken":
            raise OSError


def test_the_exit_closes_open_objects_only() -> None:
    log: list[str] = []
    mine = Background()
    first, second = Thing(log, "first"), Thing(log, "broken")
    for thing in (first, second, Thing(log, "third")):
        mine.opened(thing)
    mine.closed(first)
    mine.end()
    mine.end()
    assert log == ["third", "broken"]
    with pytest.raises(LocalProtocolError, match="has ended"):
        mine.run(echo(1))


def test_the_exit_waits_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck:
        async def aclose(self) -> None:
            await asyncio.sleep(1000)

    monkeypatch.setattr(module, "EXIT_PATIENCE", 0.05)
    mine = Background()
    mine.opened(Stuck())
    mine.end()
    assert not mine._thread.is_alive()


def _in_child(parents: Background, queue: "multiprocessing.Queue[Any]") -> None:
    try:
        parents.run(echo(1))
    except WrongProcess as error:
        queue.put(str(error))
    queue.put(background().run(echo(os.getpid())))


def test_a_forked_child_gets_its_own_loop() -> None:
    parents = background()
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[Any] = context.Queue()
    child = context.Process(target=_in_child, args=(parents, queue))
    child.start()
    assert f"to process {os.getpid()}" in queue.get(timeout=LIMIT)
    assert queue.get(timeout=LIMIT) == child.pid
    child.join(LIMIT)
    assert child.exitcode == 0
    assert parents.run(echo(2)) == 2


def test_a_fork_while_other_threads_start_the_loop_does_not_block() -> None:
    code = """
import os, threading
from rserpool.blocking import background as module
for _ in range(50):
    module._current = None
    starter = threading.Thread(target=module.background)
    starter.start()
    child = os.fork()
    if child == 0:
        async def one(): return 1
        os._exit(module.background().run(one(), 30) - 1)
    assert os.waitpid(child, 0)[1] == 0
    starter.join()
print("fine")
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert (shown.stdout, shown.returncode) == ("fine\n", 0), shown.stderr


def test_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOP_FACTORY", asyncio.new_event_loop)
    mine = Background()
    assert mine.run(echo(3)) == 3
    mine.end()


def test_the_loop_runs_while_the_program_computes() -> None:
    turned = threading.Event()

    async def work() -> None:
        await asyncio.sleep(0.01)
        turned.set()

    background().call(lambda: asyncio.ensure_future(work()))
    deadline = time.monotonic() + LIMIT
    while not turned.is_set():
        assert time.monotonic() < deadline
        sum(range(1000))

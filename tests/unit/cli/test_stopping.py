"""Signals that stop a program."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from rserpool.cli.stopping import StopRequest


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_requests_the_stop_and_second_repeats_it(name: signal.Signals) -> None:
    async def main() -> None:
        stop = StopRequest()
        os.kill(os.getpid(), name)
        assert await stop.within(10)
        assert not stop.repeated.is_set()
        os.kill(os.getpid(), name)
        await asyncio.wait_for(stop.repeated.wait(), 10)

    asyncio.run(main())


def test_within_is_false_without_a_signal() -> None:
    async def main() -> None:
        assert not await StopRequest().within(0)

    asyncio.run(main())


KILLED_BY_SECOND_SIGNAL = """
import asyncio, os, signal
from rserpool.cli.stopping import StopRequest

async def main():
    stop = StopRequest(kill_after=0.0)
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.requested.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_late_second_signal_kills_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED_BY_SECOND_SIGNAL], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL

"""The loop timer of a timer wheel, in virtual time."""

import asyncio

from rserpool.transport.wheel_timer import WheelTimer
from tests.support.virtual_time import run_virtually


def test_the_earliest_time_that_was_asked_for_wakes_once() -> None:
    async def main() -> None:
        woken: list[int] = []
        timer = WheelTimer(asyncio.get_running_loop(), lambda: woken.append(timer.now()))
        start = timer.now()
        for due in (3_000_000, 1_000_000, 2_000_000, None):
            timer.schedule(None if due is None else start + due)
        await asyncio.sleep(5)
        assert [at - start for at in woken] == [1_000_000]

    run_virtually(main())


def test_it_can_be_scheduled_again_after_it_woke() -> None:
    async def main() -> None:
        woken: list[int] = []

        def expired() -> None:
            woken.append(timer.now() - start)
            timer.schedule(start + 3_000_000 if len(woken) == 1 else None)

        timer = WheelTimer(asyncio.get_running_loop(), expired)
        start = timer.now()
        timer.schedule(start + 1_000_000)
        await asyncio.sleep(5)
        assert woken == [1_000_000, 3_000_000]

    run_virtually(main())


def test_a_cancelled_timer_does_not_wake() -> None:
    async def main() -> None:
        woken: list[int] = []
        timer = WheelTimer(asyncio.get_running_loop(), lambda: woken.append(1))
        timer.schedule(timer.now() + 1_000_000)
        timer.cancel()
        await asyncio.sleep(5)
        assert not woken

    run_virtually(main())

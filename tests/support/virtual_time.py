"""An event loop whose clock jumps: an hour of timeouts passes in milliseconds, the same way every time."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

T = TypeVar("T")
World = TypeVar("World")
Scenario = Callable[[World], Awaitable[None]]

REAL_WAIT = 0.05
"""Seconds of real time that real sockets are given before the clock jumps."""


DAY = 86_400.0
"""Virtual seconds after which a test waits in vain."""


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        only_the_loops_own = len(self.get_map()) <= 1
        ready = super().select(0 if only_the_loops_own or timeout == 0 else REAL_WAIT)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            if only_the_loops_own:
                raise RuntimeError("nothing is left that could happen")
            return super().select(10)
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which starts at 0."""

    def __init__(self) -> None:
        self._virtual = _JumpingSelector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._virtual.now


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time. TimeoutError if it takes longer than DAY."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(asyncio.wait_for(main, DAY))


def virtual_test(
    world: Callable[[], AbstractAsyncContextManager[World]],
) -> Callable[[Scenario[World]], Callable[[], None]]:
    """Return a decorator for test coroutines: each runs in virtual time and receives a world of its own."""

    def decorate(play: Scenario[World]) -> Callable[[], None]:
        async def main() -> None:
            async with world() as entered:
                await play(entered)

        def test() -> None:
            run_virtually(main())

        test.__name__ = play.__name__
        test.pytestmark = getattr(play, "pytestmark", [])  # type: ignore[attr-defined]
        return test

    return decorate

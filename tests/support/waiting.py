"""Waits for a condition in a coroutine, in real or virtual time."""

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], object], seconds: float = 3600.0) -> None:
    """Wait until the condition is true. TimeoutError after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)

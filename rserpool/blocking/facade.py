"""What the objects of the blocking face have in common: each stands for an object that lives in the loop."""

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from rserpool.blocking.background import background
from rserpool.errors import LocalProtocolError


class Context(Protocol):
    """An asynchronous context manager."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> object: ...


Inner = TypeVar("Inner", bound=Context)


def unwrapped(options: dict[str, Any]) -> dict[str, Any]:
    """Options for an asynchronous object, in which others of the blocking face stand for what they stand for."""
    return {name: value.inner if isinstance(value, Facade) else value for name, value in options.items()}


class Facade(Generic[Inner]):
    """A context manager around one that is asynchronous. What is not closed when the interpreter ends is closed then.

    Every method may be called from any thread; WrongProcess is raised in a forked child.
    """

    def __init__(self, make: Callable[[], Inner]) -> None:
        self._background = background()
        self._inner = self._background.call(make)
        self._is_open = False

    @property
    def inner(self) -> Inner:
        """The asynchronous object, for use in the loop only."""
        return self._inner

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, *, timeout: float | None = None) -> Self:
        """What entering the context does, within ``timeout`` seconds (TimeoutError). Raises as the asynchronous
        object does."""
        try:
            self._background.run(self._enter(), timeout)
        except BaseException:
            with contextlib.suppress(LocalProtocolError):
                self._background.run(self.aclose())
            raise
        return self

    def close(self, *, timeout: float | None = None) -> None:
        """What leaving the context does, within ``timeout`` seconds (TimeoutError); nothing if it is closed."""
        self._background.run(self.aclose(), timeout)

    async def _enter(self) -> None:
        await self._inner.__aenter__()
        self._is_open = True
        self._background.opened(self)

    async def aclose(self) -> None:
        """Close it, in the loop."""
        if self._is_open:
            self._is_open = False
            self._background.closed(self)
            await self._inner.__aexit__(None, None, None)

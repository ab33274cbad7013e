"""The base class of the blocking API: each object wraps an asynchronous object that lives in the background loop."""

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
    """The options with each blocking object replaced by the asynchronous object that it wraps."""
    return {name: value.inner if isinstance(value, Facade) else value for name, value in options.items()}


class Facade(Generic[Inner]):
    """A context manager around an asynchronous one. It is closed at the latest when the interpreter exits.

    Every method may be called from any thread, and raises WrongProcess in a forked child.
    """

    def __init__(self, make: Callable[[], Inner]) -> None:
        self._background = background()
        self._inner = self._background.call(make)
        self._is_open = False

    @property
    def inner(self) -> Inner:
        """The asynchronous object. Use it only in the background loop."""
        return self._inner

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, *, timeout: float | None = None) -> Self:
        """Do what entering the context does. Raises TimeoutError after ``timeout`` seconds, and the errors of the
        asynchronous object."""
        try:
            self._background.run(self._enter(), timeout)
        except BaseException:
            with contextlib.suppress(LocalProtocolError):
                self._background.run(self.aclose())
            raise
        return self

    def close(self, *, timeout: float | None = None) -> None:
        """Do what leaving the context does; nothing if it is closed. Raises TimeoutError after ``timeout`` seconds."""
        self._background.run(self.aclose(), timeout)

    async def _enter(self) -> None:
        await self._inner.__aenter__()
        self._is_open = True
        self._background.opened(self)

    async def aclose(self) -> None:
        """Close the asynchronous object; for use in the background loop."""
        if self._is_open:
            self._is_open = False
            self._background.closed(self)
            await self._inner.__aexit__(None, None, None)

"""Sessions for programs with threads."""

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from rserpool import client
from rserpool.blocking.background import background
from rserpool.blocking.facade import Facade, unwrapped
from rserpool.client import CookieRejected, Data, FailoverEvent, ResolvedElement, Resumed
from rserpool.model.addresses import Address

S = TypeVar("S", client.Session, client.ServiceSession)


class SessionCalls(Generic[S]):
    """What the two ends of a session have in common. It is iterated for what comes; the iteration ends with the
    session."""

    _session: S

    def __init__(self) -> None:
        self._background = background()

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._session.closed

    @property
    def has_control_channel(self) -> bool:
        """Whether cookies can travel beside the data (RFC 5354 3.4)."""
        return self._background.call(lambda: self._session.has_control_channel)

    @property
    def counters(self) -> dict[str, int]:
        """Control messages by what they were."""
        return self._background.call(lambda: self._session.counters)

    def send(self, data: bytes, ppid: int = 0, *, timeout: float | None = None) -> None:
        """Send one message; waits, at most ``timeout`` seconds (TimeoutError), while as much as is allowed waits."""
        self._background.run(self._session.send(data, ppid), timeout)

    def receive(self, *, timeout: float | None = None) -> Data | FailoverEvent | Resumed | CookieRejected:
        """The next of what the iteration yields, within ``timeout`` seconds (TimeoutError). SessionClosed at the
        end."""
        return self._background.run(self._receive(), timeout)

    async def _receive(self) -> Data | FailoverEvent | Resumed | CookieRejected:
        return await self._session.receive()

    def __iter__(self) -> Iterator[Data | FailoverEvent | Resumed | CookieRejected]:
        return self._background.iterate(self._items())

    async def _items(self) -> AsyncIterator[Data | FailoverEvent | Resumed | CookieRejected]:
        """To leave this iteration does not close the session."""
        async for item in self._session:
            yield item


class Session(Facade[Any], SessionCalls[client.Session]):
    """See rserpool.client.Session. It is made by open_session()."""

    def __init__(self, handle: str | bytes, **options: Any) -> None:
        Facade.__init__(self, lambda: client.open_session(handle, **unwrapped(options)))

    async def _enter(self) -> None:
        self._session = await self._inner.__aenter__()
        self._is_open = True
        self._background.opened(self)

    @property
    def element(self) -> ResolvedElement | None:
        """The element that serves, or None while there is none."""
        return self._background.call(lambda: self._session.element)

    @property
    def cookie(self) -> bytes | None:
        """The latest cookie that an element has left here."""
        return self._background.call(lambda: self._session.cookie)

    @property
    def failovers(self) -> int:
        """How often another element took over."""
        return self._background.call(lambda: self._session.failovers)

    def force_failover(self, *, report: bool = False, timeout: float | None = None) -> None:
        """Leave this element for another, and wait until one serves."""
        self._background.run(self._session.force_failover(report=report), timeout)


class ServiceSession(SessionCalls[client.ServiceSession]):
    """See rserpool.client.ServiceSession. A context manager that closes the session, or aborts it after an error."""

    def __init__(self, session: client.ServiceSession) -> None:
        super().__init__()
        self._session = session

    @property
    def peer_addresses(self) -> tuple[Address, ...]:
        """The addresses of the user."""
        return self._session.peer_addresses

    @property
    def peer_port(self) -> int:
        """The user's port."""
        return self._session.peer_port

    @property
    def restored(self) -> bytes | None:
        """The state that the user brought from another element, if it can be trusted."""
        return self._background.call(lambda: self._session.restored)

    @property
    def cookie(self) -> bytes | None:
        """The state that was left with the user last; setting it sends it."""
        return self._background.call(lambda: self._session.cookie)

    @cookie.setter
    def cookie(self, state: bytes) -> None:
        self._background.call(lambda: setattr(self._session, "cookie", state))

    def close(self, *, timeout: float | None = None) -> None:
        """End in order; what was received can still be read."""
        self._background.run(self._session.close(), timeout)

    def abort(self) -> None:
        """End at once: the user goes on with another element."""
        self._background.call(self._session.abort)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def open_session(handle: str | bytes, **options: Any) -> Session:
    """See rserpool.client.open_session: a context manager, with the same arguments."""
    return Session(handle, **options)

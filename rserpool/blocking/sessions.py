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
    """The calls that both ends of a session have. Iterate over a session to receive; the iteration ends with the
    session."""

    _session: S

    def __init__(self) -> None:
        self._background = background()

    @property
    def closed(self) -> bool:
        """True after the session has ended."""
        return self._session.closed

    @property
    def has_control_channel(self) -> bool:
        """True if the session has a control channel, so that it can carry cookies (RFC 5354 3.4)."""
        return self._background.call(lambda: self._session.has_control_channel)

    @property
    def counters(self) -> dict[str, int]:
        """The number of control messages received, by kind."""
        return self._background.call(lambda: self._session.counters)

    def send(self, data: bytes, ppid: int = 0, *, timeout: float | None = None) -> None:
        """Send one message. Waits while ``max_unsent`` octets are queued; raises TimeoutError after ``timeout``
        seconds."""
        self._background.run(self._session.send(data, ppid), timeout)

    def receive(self, *, timeout: float | None = None) -> Data | FailoverEvent | Resumed | CookieRejected:
        """Receive one item, of those that iteration yields. Raises TimeoutError after ``timeout`` seconds,
        SessionClosed after the end."""
        return self._background.run(self._receive(), timeout)

    async def _receive(self) -> Data | FailoverEvent | Resumed | CookieRejected:
        return await self._session.receive()

    def __iter__(self) -> Iterator[Data | FailoverEvent | Resumed | CookieRejected]:
        return self._background.iterate(self._items())

    async def _items(self) -> AsyncIterator[Data | FailoverEvent | Resumed | CookieRejected]:
        """An iterator of its own, so that leaving the iteration does not close the session."""
        async for item in self._session:
            yield item


class Session(Facade[Any], SessionCalls[client.Session]):
    """rserpool.client.Session; made by open_session()."""

    def __init__(self, handle: str | bytes, **options: Any) -> None:
        Facade.__init__(self, lambda: client.open_session(handle, **unwrapped(options)))

    async def _enter(self) -> None:
        self._session = await self._inner.__aenter__()
        self._is_open = True
        self._background.opened(self)

    @property
    def element(self) -> ResolvedElement | None:
        """The element that serves the session, or None while there is none."""
        return self._background.call(lambda: self._session.element)

    @property
    def cookie(self) -> bytes | None:
        """The latest cookie that an element has sent."""
        return self._background.call(lambda: self._session.cookie)

    @property
    def failovers(self) -> int:
        """The number of failovers to another element."""
        return self._background.call(lambda: self._session.failovers)

    def force_failover(self, *, report: bool = False, timeout: float | None = None) -> None:
        """Fail over to another element, and wait until one serves. See rserpool.client.Session.force_failover."""
        self._background.run(self._session.force_failover(report=report), timeout)


class ServiceSession(SessionCalls[client.ServiceSession]):
    """rserpool.client.ServiceSession, as a context manager that closes the session, or aborts it after an exception."""

    def __init__(self, session: client.ServiceSession) -> None:
        super().__init__()
        self._session = session

    @property
    def peer_addresses(self) -> tuple[Address, ...]:
        """The pool user's addresses."""
        return self._session.peer_addresses

    @property
    def peer_port(self) -> int:
        """The pool user's port."""
        return self._session.peer_port

    @property
    def restored(self) -> bytes | None:
        """The state that the user brought from its previous element; None if there is none or its cookie is invalid."""
        return self._background.call(lambda: self._session.restored)

    @property
    def cookie(self) -> bytes | None:
        """The state sent to the user last. Setting it sends it as a cookie."""
        return self._background.call(lambda: self._session.cookie)

    @cookie.setter
    def cookie(self, state: bytes) -> None:
        self._background.call(lambda: setattr(self._session, "cookie", state))

    def close(self, *, timeout: float | None = None) -> None:
        """Close the session in an orderly way. Items received before can still be read."""
        self._background.run(self._session.close(), timeout)

    def abort(self) -> None:
        """End the session at once; the user fails over to another element."""
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
    """Open a session; a context manager. See rserpool.client.open_session for the arguments and errors."""
    return Session(handle, **options)

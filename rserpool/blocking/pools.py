"""Pool elements and pool users for programs with threads."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from rserpool import client
from rserpool.blocking.background import background
from rserpool.blocking.facade import Facade, unwrapped
from rserpool.blocking.sessions import ServiceSession
from rserpool.client import ElementState, ElementStatus, EventsDropped, Home, ResolvedElement
from rserpool.client.pool_user import POLL_INTERVAL
from rserpool.messages import Policy, Transport
from rserpool.model.addresses import Address
from rserpool.settings.profile import ALL_ITEMS


class Node(Facade[client.Node]):
    """rserpool.client.Node, with the same arguments and errors: its pool elements and its pool user share one
    association with their home registrar."""

    def __init__(self, **options: Any) -> None:
        super().__init__(lambda: client.Node(**options))

    @property
    def home(self) -> Home | None:
        """The home registrar, or None while there is none."""
        return self._background.call(lambda: self._inner.home)

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """The addresses of this node. The addresses of a registered element must be among them (RFC 5352 2.2.1)."""
        return self._background.call(lambda: self._inner.local_addresses)


class PoolElement(Facade[client.PoolElement]):
    """rserpool.client.PoolElement, with the same arguments and errors. It stays registered and answers keep-alives
    while the program's threads are busy."""

    def __init__(self, handle: str | bytes, user_transport: Transport | None = None, **options: Any) -> None:
        super().__init__(lambda: client.PoolElement(handle, user_transport, **unwrapped(options)))

    @property
    def pool_handle(self) -> bytes:
        return self._inner.pool_handle

    @property
    def identifier(self) -> int:
        """The pool element identifier; 0 until one is chosen."""
        return self._background.call(lambda: self._inner.identifier)

    @property
    def state(self) -> ElementState:
        """The state of the registration."""
        return self._background.call(lambda: self._inner.state)

    @property
    def home(self) -> Home | None:
        """The home registrar, or None while there is none."""
        return self._background.call(lambda: self._inner.home)

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """The addresses of its node, from which the registrar sees the element."""
        return self._background.call(lambda: self._inner.local_addresses)

    @property
    def load(self) -> float:
        """The load, 0.0 to 1.0. Setting it, from any thread, re-registers the element."""
        return self._background.call(lambda: self._inner.load)

    @load.setter
    def load(self, load: float) -> None:
        self._background.call(lambda: setattr(self._inner, "load", load))

    @property
    def policy(self) -> Policy:
        """The policy and its values. Setting it re-registers the element."""
        return self._background.call(lambda: self._inner.policy)

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._background.call(lambda: setattr(self._inner, "policy", policy))

    @property
    def user_transport(self) -> Transport:
        """The transport addresses of the service. Setting them re-registers the element."""
        return self._background.call(lambda: self._inner.user_transport)

    @user_transport.setter
    def user_transport(self, user_transport: Transport) -> None:
        self._background.call(lambda: setattr(self._inner, "user_transport", user_transport))

    def registered(self, *, timeout: float | None = None) -> None:
        """Wait until the registrar has accepted the latest change. Raises Refused, or TimeoutError after ``timeout``
        seconds."""
        self._background.run(self._inner.registered(), timeout)

    def events(self, *, timeout: float | None = None) -> Iterator[ElementStatus | EventsDropped]:
        """Iterate over the changes of state from now on. Raises TimeoutError if none comes for ``timeout`` seconds."""
        return self._background.iterate(self._background.call(self._inner.events), timeout)

    def sessions(self, *, timeout: float | None = None) -> Iterator[ServiceSession]:
        """Iterate over new sessions with pool users, if the element serves by itself, until the element is closed.
        Raises TimeoutError if none comes for ``timeout`` seconds."""
        sessions = self._background.call(self._inner.sessions)
        return (ServiceSession(session) for session in self._background.iterate(sessions, timeout))


class PoolUser(Facade[client.PoolUser]):
    """rserpool.client.PoolUser, with the same arguments and errors."""

    def __init__(self, **options: Any) -> None:
        super().__init__(lambda: client.PoolUser(**unwrapped(options)))

    def resolve(
        self,
        handle: str | bytes,
        *,
        items: int = ALL_ITEMS,
        timeout: float | None = None,
        fresh_within: float | None = None,
    ) -> tuple[ResolvedElement, ...]:
        """Resolve a pool handle to up to ``items`` elements, best first. Raises NoRegistrar after ``timeout``
        seconds."""
        work = self._inner.resolve(handle, items=items, timeout=timeout, fresh_within=fresh_within)
        return self._background.run(work)

    def select(
        self, handle: str | bytes, *, exclude: Collection[ResolvedElement | int] = (), timeout: float | None = None
    ) -> ResolvedElement:
        """Select one element by the pool's policy, none of those in ``exclude``; it counts as used."""
        return self._background.run(self._inner.select(handle, exclude=exclude, timeout=timeout))

    def report_unreachable(self, what: ResolvedElement | str | bytes, identifier: int | None = None) -> bool:
        """Report an element that could not be reached. True if the report is sent to the registrar."""
        return self._background.run(self._inner.report_unreachable(what, identifier))

    def watch(
        self, handle: str | bytes, *, poll_interval: float = POLL_INTERVAL, timeout: float | None = None
    ) -> Iterator[tuple[ResolvedElement, ...]]:
        """Iterate over the elements of a pool: now, and again after every change. Raises TimeoutError if none comes for
        ``timeout`` seconds."""
        changes = self._background.call(lambda: self._inner.watch(handle, poll_interval=poll_interval))
        return self._background.iterate(changes, timeout)

    def cache_populate(self, handle: str | bytes, *, timeout: float | None = None) -> None:
        """Resolve a pool and keep the answer in the cache."""
        self._background.run(self._inner.cache_populate(handle, timeout=timeout))

    def cache_purge(self, handle: str | bytes) -> None:
        """Drop a pool from the cache."""
        self._background.call(lambda: self._inner.cache_purge(handle))


def resolve(handle: str | bytes, **options: Any) -> tuple[ResolvedElement, ...]:
    """Resolve one pool handle once; see rserpool.client.resolve."""
    return background().run(client.resolve(handle, **options))


def getaddrinfo(handle: str | bytes, **options: Any) -> Sequence[ResolvedElement]:
    """Resolve one pool handle to socket.getaddrinfo entries; see rserpool.client.getaddrinfo."""
    return background().run(client.getaddrinfo(handle, **options))

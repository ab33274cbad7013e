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
    """See rserpool.client.Node: elements and a user on it share one association with their registrar."""

    def __init__(self, **options: Any) -> None:
        super().__init__(lambda: client.Node(**options))

    @property
    def home(self) -> Home | None:
        """The home registrar; None while there is none."""
        return self._background.call(lambda: self._inner.home)

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """The addresses from which registered addresses must be (RFC 5352 2.2.1)."""
        return self._background.call(lambda: self._inner.local_addresses)


class PoolElement(Facade[client.PoolElement]):
    """See rserpool.client.PoolElement: the same arguments, the same errors. It stays registered, and answers
    keep-alives, whatever the program's threads are busy with."""

    def __init__(self, handle: str | bytes, user_transport: Transport | None = None, **options: Any) -> None:
        super().__init__(lambda: client.PoolElement(handle, user_transport, **unwrapped(options)))

    @property
    def pool_handle(self) -> bytes:
        return self._inner.pool_handle

    @property
    def identifier(self) -> int:
        """The pool element identifier; 0 before it has been drawn."""
        return self._background.call(lambda: self._inner.identifier)

    @property
    def state(self) -> ElementState:
        """Where it stands with its registrar."""
        return self._background.call(lambda: self._inner.state)

    @property
    def home(self) -> Home | None:
        """The home registrar; None without one."""
        return self._background.call(lambda: self._inner.home)

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """The addresses that its registrar sees it at."""
        return self._background.call(lambda: self._inner.local_addresses)

    @property
    def load(self) -> float:
        """0.0 to 1.0. Setting it, from any thread, registers anew."""
        return self._background.call(lambda: self._inner.load)

    @load.setter
    def load(self, load: float) -> None:
        self._background.call(lambda: setattr(self._inner, "load", load))

    @property
    def policy(self) -> Policy:
        """The policy and its values; setting it registers anew."""
        return self._background.call(lambda: self._inner.policy)

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._background.call(lambda: setattr(self._inner, "policy", policy))

    @property
    def user_transport(self) -> Transport:
        """Where the service is served; setting it registers anew."""
        return self._background.call(lambda: self._inner.user_transport)

    @user_transport.setter
    def user_transport(self, user_transport: Transport) -> None:
        self._background.call(lambda: setattr(self._inner, "user_transport", user_transport))

    def registered(self, *, timeout: float | None = None) -> None:
        """Wait until the registrar has what was set last. Raises Refused, or TimeoutError after so many seconds."""
        self._background.run(self._inner.registered(), timeout)

    def events(self, *, timeout: float | None = None) -> Iterator[ElementStatus | EventsDropped]:
        """What happens to it from now on; TimeoutError where nothing does for so many seconds."""
        return self._background.iterate(self._background.call(self._inner.events), timeout)

    def sessions(self, *, timeout: float | None = None) -> Iterator[ServiceSession]:
        """The sessions of users as they come, where the element serves by itself; ends when the element is left.
        TimeoutError where none comes for so many seconds."""
        sessions = self._background.call(self._inner.sessions)
        return (ServiceSession(session) for session in self._background.iterate(sessions, timeout))


class PoolUser(Facade[client.PoolUser]):
    """See rserpool.client.PoolUser: the same arguments, the same errors."""

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
        """Up to ``items`` elements of a pool, best first. Raises NoRegistrar after ``timeout`` seconds."""
        work = self._inner.resolve(handle, items=items, timeout=timeout, fresh_within=fresh_within)
        return self._background.run(work)

    def select(
        self, handle: str | bytes, *, exclude: Collection[ResolvedElement | int] = (), timeout: float | None = None
    ) -> ResolvedElement:
        """One element, by the pool's policy, and none of those excluded; it counts as used."""
        return self._background.run(self._inner.select(handle, exclude=exclude, timeout=timeout))

    def report_unreachable(self, what: ResolvedElement | str | bytes, identifier: int | None = None) -> bool:
        """An element could not be reached: whether the registrar is told."""
        return self._background.run(self._inner.report_unreachable(what, identifier))

    def watch(
        self, handle: str | bytes, *, poll_interval: float = POLL_INTERVAL, timeout: float | None = None
    ) -> Iterator[tuple[ResolvedElement, ...]]:
        """The elements of a pool now, and again after every change; TimeoutError where there is none for so many
        seconds."""
        changes = self._background.call(lambda: self._inner.watch(handle, poll_interval=poll_interval))
        return self._background.iterate(changes, timeout)

    def cache_populate(self, handle: str | bytes, *, timeout: float | None = None) -> None:
        """Resolve a pool into the cache."""
        self._background.run(self._inner.cache_populate(handle, timeout=timeout))

    def cache_purge(self, handle: str | bytes) -> None:
        """Drop a pool from the cache."""
        self._background.call(lambda: self._inner.cache_purge(handle))


def resolve(handle: str | bytes, **options: Any) -> tuple[ResolvedElement, ...]:
    """See rserpool.client.resolve."""
    return background().run(client.resolve(handle, **options))


def getaddrinfo(handle: str | bytes, **options: Any) -> Sequence[ResolvedElement]:
    """See rserpool.client.getaddrinfo."""
    return background().run(client.getaddrinfo(handle, **options))

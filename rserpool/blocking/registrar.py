"""A registrar for programs with threads."""

from collections.abc import Iterator

from rserpool.blocking.facade import Facade
from rserpool.messages.resolved import ResolvedElement
from rserpool.protocol.registrar.watching import QUEUE, Event
from rserpool.registrar import embedded
from rserpool.registrar.embedded import PoolRecord
from rserpool.settings.profile import ALL_ITEMS


class Registrar(Facade[embedded.Registrar]):
    """rserpool.Registrar, with the same options and names."""

    def __init__(self, **options: object) -> None:
        super().__init__(lambda: embedded.Registrar(**options))  # type: ignore[arg-type]

    @property
    def identifier(self) -> int:
        """The registrar's server identifier."""
        return self._background.call(lambda: self._inner.identifier)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The ASAP addresses, for pool elements and pool users, as ADDRESS:PORT or [ADDRESS]:PORT."""
        return self._background.call(lambda: self._inner.addresses)

    @property
    def peer_addresses(self) -> tuple[str, ...]:
        """The ENRP addresses, for peer registrars, in the same form."""
        return self._background.call(lambda: self._inner.peer_addresses)

    @property
    def counters(self) -> dict[str, int]:
        """The event counters, by name."""
        return self._background.call(lambda: self._inner.counters)

    def pools(self) -> tuple[PoolRecord, ...]:
        """All pools, by handle."""
        return self._background.call(self._inner.pools)

    def watch(self, *, limit: int = QUEUE, timeout: float | None = None) -> Iterator[Event]:
        """Iterate over changes; see rserpool.Registrar.watch. Raises TimeoutError if none comes for ``timeout``
        seconds."""
        return self._background.iterate(self._inner.watch(limit=limit), timeout)

    def resolve(self, handle: str | bytes, *, items: int = ALL_ITEMS) -> tuple[ResolvedElement, ...]:
        """Resolve a pool handle to up to ``items`` elements, best first; this counts as a use."""
        return self._background.call(lambda: self._inner.resolve(handle, items=items))

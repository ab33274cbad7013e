"""Shows what a registrar holds at a moment, in pages of bounded size.

Statistics, logs and gateways read a registrar through its snapshot and its watches (watching.py), and through nothing
else. Positions stay valid while pools, elements and peers come and go. Two pages may show different moments.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from rserpool._fast.handlespace.views import PoolElementView
from rserpool.messages import PoolElement, decode_parameter
from rserpool.model.addresses import Address
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.enrp.peers import PeerRegistrar

PAGE = 1000
"""The largest number of items in one page. Such a page takes less than 10 ms."""

Item = TypeVar("Item")
Position = TypeVar("Position")


class Page(NamedTuple, Generic[Item, Position]):
    """A part of a list."""

    items: tuple[Item, ...]
    next: Position | None
    """The position to continue after, or None if nothing is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSnapshot:
    """One pool."""

    handle: bytes
    policy_type: int
    """The policy type of RFC 5356 7.1; ``rserpool.policies.name_of`` returns its name."""
    size: int
    """The number of pool elements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementSnapshot:
    """One pool element."""

    handle: bytes
    identifier: int
    home_identifier: int
    """The server identifier of the home registrar."""
    own: bool
    """True if this registrar is the home registrar."""
    parameter: PoolElement
    """The Pool Element parameter, with policy, user transport and ASAP transport."""
    remaining_life: float | None
    """Seconds until the registration expires, or None if it does not."""
    keep_alive_due: float | None
    """Seconds until a keep-alive is sent, or until the last one must be acknowledged; None for elements of peers."""
    awaits_acknowledgement: bool
    """True if a keep-alive was sent and not acknowledged."""
    bad_reports: int
    """Reports of unreachability since the last registration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSnapshot:
    """One peer registrar."""

    identifier: int
    addresses: tuple[Address, ...]
    port: int
    state: str
    """The state of peers.State, in lower case."""
    connected: bool
    """True if there is an association."""
    last_heard: float | None
    """Seconds since the last message, or None if there was none."""
    elements: int
    """The number of pool elements that this registrar knows of the peer."""
    synchronised: bool | None
    """True if this registrar's checksum of the peer's elements equals the one that the peer sent last; None if it sent
    none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much a registrar holds."""

    associations: int
    """ASAP associations and connections."""
    peers: int
    pools: int
    elements: int
    own_elements: int
    """Elements whose home this registrar is."""


class Snapshot:
    """Reads one registrar. Every method takes time in proportion to its page, not to what the registrar holds."""

    def __init__(self, context: RegistrarContext) -> None:
        self._context = context

    def sizes(self) -> Sizes:
        """Count what the registrar holds."""
        handlespace = self._context.handlespace
        return Sizes(
            associations=len(self._context.associations),
            peers=len(self._context.peers),
            pools=handlespace.pool_count,
            elements=len(handlespace),
            own_elements=handlespace.home_size(self._context.identifier),
        )

    def pools(self, after: bytes | None = None, *, limit: int = PAGE) -> Page[PoolSnapshot, bytes]:
        """Return the next ``limit`` pools by handle (by length, then by octets), PAGE at most."""
        count = bounded(limit)
        items = tuple(
            PoolSnapshot(handle=pool.handle, policy_type=pool.policy_type, size=pool.size)
            for pool in islice(self._context.handlespace.pools(after or b""), count)
        )
        return Page(items, items[-1].handle if len(items) == count else None)

    def elements(
        self, handle: bytes, now: int, after: int | None = None, *, limit: int = PAGE
    ) -> Page[ElementSnapshot, int]:
        """Return the next ``limit`` elements of a pool by identifier, PAGE at most; none if there is no such pool.
        ``now`` is the registrar's time in microseconds."""
        count = bounded(limit)
        pool = self._context.handlespace.pool(handle)
        if pool is None:
            return Page((), None)
        items = tuple(self._element(handle, view, now) for view in islice(pool.elements(after), count))
        return Page(items, items[-1].identifier if len(items) == count else None)

    def _element(self, handle: bytes, view: PoolElementView, now: int) -> ElementSnapshot:
        return ElementSnapshot(
            handle=handle,
            identifier=view.identifier,
            home_identifier=view.home_identifier,
            own=view.home_identifier == self._context.identifier,
            parameter=decode_parameter(view.parameter, PoolElement),
            remaining_life=seconds_until(view.life_deadline, now),
            keep_alive_due=seconds_until(view.keep_alive_deadline, now),
            awaits_acknowledgement=view.probed,
            bad_reports=view.bad_reports,
        )

    def peers(self, now: int, after: int | None = None, *, limit: int = PAGE) -> Page[PeerSnapshot, int]:
        """Return the next ``limit`` peer registrars by identifier, PAGE at most. ``now`` is the registrar's time in
        microseconds."""
        count = bounded(limit)
        identifiers = sorted(one for one in self._context.peers if after is None or one > after)[:count]
        items = tuple(self._peer(self._context.peers[identifier], now) for identifier in identifiers)
        return Page(items, items[-1].identifier if len(items) == count else None)

    def _peer(self, peer: PeerRegistrar, now: int) -> PeerSnapshot:
        handlespace, identifier = self._context.handlespace, peer.identifier
        return PeerSnapshot(
            identifier=identifier,
            addresses=peer.addresses,
            port=peer.port,
            state=peer.state.name.lower(),
            connected=peer.link is not None,
            last_heard=None if peer.last_heard is None else (now - peer.last_heard) / MICROSECONDS,
            elements=handlespace.home_size(identifier),
            synchronised=None if peer.checksum is None else peer.checksum == handlespace.checksum(identifier),
        )


def walk(read: Callable[[Position | None], Page[Item, Position]]) -> Iterator[Item]:
    """Iterate over all items; ``read`` returns the page after a position, the first one after None."""
    page = read(None)
    yield from page.items
    while page.next is not None:
        page = read(page.next)
        yield from page.items


def bounded(limit: int) -> int:
    """The size of a page that is asked for as ``limit``."""
    return max(1, min(limit, PAGE))


def seconds_until(deadline: int | None, now: int) -> float | None:
    """Seconds from ``now`` to a deadline, not less than 0."""
    return None if deadline is None else max(0, deadline - now) / MICROSECONDS

"""The associations of several endpoints, by numbers that their owner gives, and the messages that wait for room on
each."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import cast

from rserpool._fast.lane.lane import Lane
from rserpool.protocol.peer import Peer
from rserpool.transport.interface import Address, AssociationGone, Attaching, Bundling, Down, Endpoint

IDLE_ROUNDS = 4
"""The number of sweeps in a row that must find an association idle before it is closed."""


@dataclass(slots=True, eq=False)
class AssociationEntry:
    """One association, and the messages that wait until its peer makes room."""

    number: int
    adapter: "EndpointAdapter"
    endpoint: Endpoint
    assoc: int
    """The endpoint's identifier of the association."""
    peer: Peer | None = None
    """None until the association is up."""
    call_failed: Callable[[], None] | None = None
    """Called if an association that connect() began does not come up."""
    waiting: deque[bytes] = field(default_factory=deque)
    octets: int = 0
    """The length of all waiting messages."""
    idle: int = 0
    """The number of sweeps since the last message."""
    lane: Lane | None = None


def _nothing(*_: object) -> None:
    """Do nothing about an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationEvents:
    """Callbacks of a table's owner. They come from the loop."""

    up: Callable[[AssociationEntry], None]
    message: Callable[[AssociationEntry, bytes], None]
    down: Callable[[AssociationEntry], None]
    """An association that was up has ended."""
    ignored: Callable[[AssociationEntry, int], None] = _nothing
    """A message was dropped because its payload protocol identifier is not the endpoint's."""
    overflow: Callable[[AssociationEntry], None] = _nothing
    """More octets wait than the endpoint's limit allows. The table aborts the association next."""


@cache
def _abilities(kind: type[Endpoint]) -> tuple[bool, bool]:
    """Return whether such endpoints are Attaching, and Bundling. Cached: isinstance on a Protocol costs 20 us."""
    return issubclass(kind, Attaching), issubclass(kind, Bundling)


class AssociationTable:
    """Every association of an owner's endpoints, by number.

    ``new_number`` returns the number of an association that a peer opened. With ``renew_restarted`` an association that
    its peer restarts ends and comes up again under a new number; without, it is aborted.
    """

    def __init__(
        self, events: AssociationEvents, new_number: Callable[[], int], *, renew_restarted: bool = False
    ) -> None:
        self.events = events
        self.new_number = new_number
        self.renew_restarted = renew_restarted
        self._by_number: dict[int, AssociationEntry] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[AssociationEntry]:
        return iter(tuple(self._by_number.values()))

    def get(self, number: int) -> AssociationEntry | None:
        """Return the entry of an association, or None once it has ended."""
        return self._by_number.get(number)

    def add(self, entry: AssociationEntry) -> None:
        """Add an association that an adapter has opened or accepted."""
        self._by_number[entry.number] = entry

    def remove(self, entry: AssociationEntry) -> None:
        """Remove an association that has ended, and report its end."""
        del self._by_number[entry.number]
        if entry.peer is not None:
            self.events.down(entry)
        elif entry.call_failed is not None:
            entry.call_failed()

    def send(self, number: int, data: bytes) -> None:
        """Send a message, or queue it while there is no room. Messages to an association that has ended are dropped."""
        entry = self._by_number.get(number)
        if entry is None:
            return
        entry.idle = 0
        try:
            if not entry.waiting and entry.endpoint.send(entry.assoc, data, entry.adapter.ppid):
                return
        except AssociationGone:
            return
        before = entry.octets
        entry.waiting.append(data)
        entry.octets += len(data)
        if before <= entry.adapter.queue_limit < entry.octets:
            self.events.overflow(entry)
            entry.endpoint.abort(entry.assoc)

    def send_row(self, number: int, messages: list[bytes]) -> None:
        """Send messages in order, in shared packets if the endpoint can bundle."""
        entry = self._by_number.get(number)
        sent = 0
        if entry is not None and _abilities(type(entry.endpoint))[1] and not entry.waiting:
            entry.idle = 0
            try:
                sent = cast(Bundling, entry.endpoint).send_row(entry.assoc, messages, entry.adapter.ppid)
            except AssociationGone:
                return
        for data in messages[sent:]:
            self.send(number, data)

    def attach(self, number: int, lane: Lane) -> None:
        """Let the endpoint answer requests from the lane, if it can. Requests that the lane serves cause no event."""
        entry = self._by_number.get(number)
        if entry is not None and _abilities(type(entry.endpoint))[0]:
            entry.lane = lane
            with contextlib.suppress(AssociationGone):
                cast(Attaching, entry.endpoint).attach(entry.assoc, lane)

    def sweep(self) -> None:
        """Shut down the associations that have been idle for IDLE_ROUNDS sweeps."""
        for entry in self._by_number.values():
            if entry.peer is None:
                continue
            if entry.lane is not None and entry.lane.used:
                entry.lane.used = False
                entry.idle = 0
            if entry.idle == IDLE_ROUNDS:
                entry.endpoint.shutdown(entry.assoc)
            entry.idle += 1

    def shutdown(self, number: int) -> None:
        """End an association in an orderly way, if it still exists."""
        entry = self._by_number.get(number)
        if entry is not None:
            entry.endpoint.shutdown(entry.assoc)

    def abort(self, number: int) -> None:
        """Abort an association, if it still exists."""
        entry = self._by_number.get(number)
        if entry is not None:
            entry.endpoint.abort(entry.assoc)

    def abort_all(self) -> None:
        """Abort every association that is up; each end is reported."""
        for entry in self:
            if entry.peer is not None:
                entry.endpoint.abort(entry.assoc)


class EndpointAdapter:
    """The handler of one endpoint (transport.interface.Handler): enters its associations into a table."""

    def __init__(self, table: AssociationTable, ppid: int, queue_limit: int) -> None:
        """``ppid``: the only payload protocol identifier. ``queue_limit``: octets that may wait per association."""
        self.ppid = ppid
        self.queue_limit = queue_limit
        self._table = table
        self._by_association: dict[int, AssociationEntry] = {}

    def connect(
        self,
        endpoint: Endpoint,
        addresses: Sequence[Address],
        port: int,
        failed: Callable[[], None],
        number: int | None = None,
    ) -> bool:
        """Open an association from the endpoint; return False if there is one with that peer already.

        An ``up`` event follows, or ``failed`` is called, from the loop in either case.
        """
        try:
            assoc = endpoint.connect(addresses, port)
        except OSError:
            asyncio.get_running_loop().call_soon(failed)
            return True
        if assoc in self._by_association:
            return False
        self._enter(endpoint, assoc, number).call_failed = failed
        return True

    def _enter(self, endpoint: Endpoint, assoc: int, number: int | None = None) -> AssociationEntry:
        number = self._table.new_number() if number is None else number
        entry = self._by_association[assoc] = AssociationEntry(number, self, endpoint, assoc)
        self._table.add(entry)
        return entry

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        entry = self._by_association.get(assoc) or self._enter(endpoint, assoc)
        entry.peer = peer
        self._table.events.up(entry)

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None:
        """End the association: the peer has lost its registrations. Begin another one if the table renews them."""
        if not self._table.renew_restarted:
            endpoint.abort(assoc)
            return
        old = self._by_association.get(assoc)
        if old is not None and old.peer is not None:
            del self._by_association[assoc]
            self._table.remove(old)
            self.on_up(endpoint, assoc, old.peer)

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        entry = self._by_association.get(assoc)
        if entry is None:
            return
        entry.idle = 0
        if ppid == self.ppid:
            self._table.events.message(entry, data)
        else:
            self._table.events.ignored(entry, ppid)

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        """Queue an answer of the lane for which there was no room."""
        entry = self._by_association.get(assoc)
        if entry is not None:
            self._table.send(entry.number, data)

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        entry = self._by_association.pop(assoc, None)
        if entry is not None:
            self._table.remove(entry)

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        """Send the waiting messages as far as there is room."""
        entry = self._by_association.get(assoc)
        if entry is None:
            return
        try:
            while entry.waiting and endpoint.send(assoc, entry.waiting[0], self.ppid):
                entry.octets -= len(entry.waiting.popleft())
        except AssociationGone:
            entry.waiting.clear()
            entry.octets = 0

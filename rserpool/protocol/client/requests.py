"""Requests that wait for an answer of a registrar."""

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field

from rserpool.messages import ErrorCause

OnError = Callable[[tuple[ErrorCause, ...], int], None]
"""Called with the causes and the time when the home registrar answers with an ASAP_ERROR."""


@dataclass(slots=True)
class Pending:
    """One requester's open request."""

    on_error: OnError
    associations: set[int] = field(default_factory=set)
    """The associations over which it was sent, without those that have ended."""


class Requests:
    """The open requests of a node, oldest first, by requester: a pool element or a query."""

    def __init__(self) -> None:
        self._pending: dict[Hashable, Pending] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, requester: Hashable, association: int, on_error: OnError) -> None:
        """Record that a request was sent. A requester may send the same request over several associations."""
        pending = self._pending.setdefault(requester, Pending(on_error))
        pending.associations.add(association)

    def associations(self, requester: Hashable) -> Collection[int]:
        """The living associations over which the open request was sent."""
        pending = self._pending.get(requester)
        return () if pending is None else pending.associations

    def close(self, requester: Hashable) -> None:
        """Forget the request: it is answered, or given up."""
        self._pending.pop(requester, None)

    def association_ended(self, association: int) -> None:
        """No answer can come over this association any more."""
        for pending in self._pending.values():
            pending.associations.discard(association)

    def oldest(self, association: int) -> Pending | None:
        """The request that an ASAP_ERROR over this association answers: the oldest that was sent over it."""
        return next((one for one in self._pending.values() if association in one.associations), None)

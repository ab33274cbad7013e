"""What one end of a session has accepted and its transport has not yet: data in order, control messages among it."""

from collections import deque
from dataclasses import dataclass

from rserpool.errors import LocalProtocolError
from rserpool.model.numbers import ASAP_PPID
from rserpool.settings.session import ENTRY_COST

MAX_PPID = 0xFFFFFFFF


def check_ppid(ppid: int) -> None:
    """LocalProtocolError for what the data of an application cannot have as its payload protocol identifier."""
    if ppid == ASAP_PPID:
        raise LocalProtocolError("PPID 11 is the control channel's: data cannot use it (RFC 5352 5)")
    if not 0 <= ppid <= MAX_PPID:
        raise LocalProtocolError(f"a PPID has 32 bits, not {ppid}")


@dataclass(slots=True, eq=False)
class Waiting:
    """One message and its PPID."""

    data: bytes
    ppid: int


class Outbox:
    """A queue of at most ``limit`` octets of data. Of each kind of control message at most one waits."""

    __slots__ = ("_control", "_entries", "_limit", "_octets")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._octets = 0
        self._entries: deque[Waiting] = deque()
        self._control: dict[int, Waiting] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def room(self, octets: int) -> bool:
        """Whether a message of that many octets may be put. One is always taken where none waits."""
        return not self._octets or self._octets + octets + ENTRY_COST <= self._limit

    def put(self, data: bytes, ppid: int) -> None:
        """Add a message of the application."""
        self._octets += len(data) + ENTRY_COST
        self._entries.append(Waiting(data, ppid))

    def put_control(self, data: bytes) -> None:
        """Add a control message. One of its kind that still waits is replaced where it stands: who gets the data behind
        it has a state at least as new as the data."""
        waiting = self._control.get(data[0])
        if waiting is not None:
            waiting.data = data
            return
        self._control[data[0]] = waiting = Waiting(data, ASAP_PPID)
        self._entries.append(waiting)

    def restart(self, *control: bytes) -> None:
        """Begin anew with these control messages; only data is kept of what waits."""
        kept = [entry for entry in self._entries if entry.ppid != ASAP_PPID]
        self._entries.clear()
        self._control.clear()
        for data in control:
            self.put_control(data)
        self._entries.extend(kept)

    def first(self) -> Waiting | None:
        """The next message."""
        return self._entries[0] if self._entries else None

    def pop(self) -> Waiting:
        """Take the next message out."""
        entry = self._entries.popleft()
        if entry.ppid == ASAP_PPID:
            del self._control[entry.data[0]]
        else:
            self._octets -= len(entry.data) + ENTRY_COST
        return entry

    def unsent(self) -> tuple[Waiting, ...]:
        """The messages of the application that wait."""
        return tuple(entry for entry in self._entries if entry.ppid != ASAP_PPID)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._control.clear()
        self._octets = 0

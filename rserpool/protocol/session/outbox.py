"""The queue of messages that one end of a session has accepted and its transport has not taken yet."""

from collections import deque
from dataclasses import dataclass

from rserpool.errors import LocalProtocolError
from rserpool.messages import message_type
from rserpool.model.numbers import ASAP_PPID
from rserpool.settings.session import ENTRY_COST

MAX_PPID = 0xFFFFFFFF


def check_ppid(ppid: int) -> None:
    """Raise LocalProtocolError unless the data of an application may have this payload protocol identifier."""
    if ppid == ASAP_PPID:
        raise LocalProtocolError("PPID 11 is reserved for the control channel (RFC 5352 5)")
    if not 0 <= ppid <= MAX_PPID:
        raise LocalProtocolError(f"a PPID must fit in 32 bits, not {ppid}")


@dataclass(slots=True, eq=False)
class Waiting:
    """One message and its PPID."""

    data: bytes
    ppid: int


class Outbox:
    """A queue of data and control messages: at most ``limit`` octets of data, and one control message of each kind."""

    __slots__ = ("_control", "_entries", "_limit", "_octets")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._octets = 0
        self._entries: deque[Waiting] = deque()
        self._control: dict[int, Waiting] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def room(self, octets: int) -> bool:
        """True if a message of that many octets may be added. An empty queue takes any message."""
        return not self._octets or self._octets + octets + ENTRY_COST <= self._limit

    def put(self, data: bytes, ppid: int) -> None:
        """Append a message of the application."""
        self._octets += len(data) + ENTRY_COST
        self._entries.append(Waiting(data, ppid))

    def put_control(self, data: bytes) -> None:
        """Append a control message, or replace a waiting one of the same kind in its place. The receiver's state is
        then at least as new as the data that follows."""
        kind = message_type(data)
        waiting = self._control.get(kind)
        if waiting is not None:
            waiting.data = data
            return
        self._control[kind] = waiting = Waiting(data, ASAP_PPID)
        self._entries.append(waiting)

    def restart(self, *control: bytes) -> None:
        """Put these control messages before the waiting data, and drop all other control messages."""
        kept = [entry for entry in self._entries if entry.ppid != ASAP_PPID]
        self._entries.clear()
        self._control.clear()
        for data in control:
            self.put_control(data)
        self._entries.extend(kept)

    def first(self) -> Waiting | None:
        """The next message, or None."""
        return self._entries[0] if self._entries else None

    def pop(self) -> Waiting:
        """Remove the next message."""
        entry = self._entries.popleft()
        if entry.ppid == ASAP_PPID:
            del self._control[message_type(entry.data)]
        else:
            self._octets -= len(entry.data) + ENTRY_COST
        return entry

    def unsent(self) -> tuple[Waiting, ...]:
        """The waiting messages of the application."""
        return tuple(entry for entry in self._entries if entry.ppid != ASAP_PPID)

    def clear(self) -> None:
        """Drop every message."""
        self._entries.clear()
        self._control.clear()
        self._octets = 0

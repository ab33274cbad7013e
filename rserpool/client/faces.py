"""The associations of a node's endpoints under the node's numbers, and what waits to be sent over each."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rserpool.model.numbers import ASAP_PPID
from rserpool.protocol.client.actions import Dial
from rserpool.protocol.peer import Peer
from rserpool.transport.interface import AssociationGone, Down, Endpoint

QUEUED = 1 << 18
"""Octets that wait for a registrar that does not read: beyond, its association is aborted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Whom the faces tell what happens."""

    number: Callable[[], int]
    up: Callable[[int, Peer], None]
    message: Callable[[int, bytes], None]
    down: Callable[[int], None]


@dataclass(slots=True, eq=False)
class Line:
    """One association, up or on its way."""

    number: int
    face: "Face"
    assoc: int
    waiting: deque[bytes] = field(default_factory=deque)
    octets: int = 0


class Face:
    """The handler of one endpoint (transport.interface.Handler)."""

    def __init__(self, events: Events, lines: dict[int, Line], *, sctp: bool) -> None:
        self._events = events
        self._lines = lines
        self._sctp = sctp
        self._endpoint: Endpoint | None = None
        self._by_association: dict[int, Line] = {}

    def opened(self, endpoint: Endpoint) -> None:
        """The endpoint is there."""
        self._endpoint = endpoint

    def dial(self, call: Dial) -> None:
        """Open an association; what becomes of it is told as an event."""
        assert self._endpoint is not None
        try:
            assoc = self._endpoint.connect(call.addresses, call.port)
        except OSError:
            asyncio.get_running_loop().call_soon(self._events.down, call.association)
            return
        if assoc in self._by_association:
            asyncio.get_running_loop().call_soon(self._events.down, call.association)
            return
        line = Line(call.association, self, assoc)
        self._lines[line.number] = self._by_association[assoc] = line

    def send(self, line: Line, data: bytes) -> None:
        """Send, or queue while there is no room. An association that has ended swallows the message: its end is on its
        way."""
        assert self._endpoint is not None
        try:
            if not line.waiting and self._endpoint.send(line.assoc, data, ASAP_PPID):
                return
        except AssociationGone:
            return
        line.waiting.append(data)
        line.octets += len(data)
        if line.octets > QUEUED:
            self.abort(line)

    def abort(self, line: Line) -> None:
        """End it at once."""
        assert self._endpoint is not None
        self._endpoint.abort(line.assoc)

    def shutdown(self, line: Line) -> None:
        """End it in order."""
        assert self._endpoint is not None
        self._endpoint.shutdown(line.assoc)

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        line = self._by_association.get(assoc)
        if line is None:
            line = Line(self._events.number(), self, assoc)
            self._lines[line.number] = self._by_association[assoc] = line
        self._events.up(line.number, peer)

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None:
        """The registrar began anew, and knows nothing of us: so do we."""
        endpoint.abort(assoc)

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        line = self._by_association.get(assoc)
        if line is not None and ppid == ASAP_PPID:
            self._events.message(line.number, data)

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        """Never called: a node has no lanes."""

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        line = self._by_association.pop(assoc, None)
        if line is not None:
            del self._lines[line.number]
            self._events.down(line.number)

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        line = self._by_association.get(assoc)
        if line is None:
            return
        try:
            while line.waiting and endpoint.send(assoc, line.waiting[0], ASAP_PPID):
                line.octets -= len(line.waiting.popleft())
        except AssociationGone:
            line.waiting.clear()
            line.octets = 0

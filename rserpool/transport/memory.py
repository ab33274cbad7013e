"""A network in one process, for tests and simulation. Its associations are reliable and ordered; links can be cut.

No event happens inside a call: each waits for run(), or for the given scheduler.
"""

import errno
from collections import deque
from collections.abc import Callable, Sequence

from rserpool.errors import LocalProtocolError
from rserpool.protocol.peer import Peer
from rserpool.transport.interface import (
    MAX_MESSAGE_OCTETS,
    MAX_USER_MESSAGE,
    Address,
    AssociationGone,
    Down,
    Handler,
    as_address,
)

ROOM = 1 << 18
"""Octets of an association that may be in transit, or wait at a paused peer, before send() returns False."""
FIRST_PORT = 49152

Schedule = Callable[[Address, Address, Callable[[], None]], None]
"""(source, target, callback): must call the callback once, later, and keep the order of callbacks between two hosts."""
Listener = Callable[[bytes, Address, int], None]
"""(data, source address, source port) of a datagram."""


class _Half:
    """One side's view of an association."""

    __slots__ = (
        "assoc", "blocked", "closing", "ended", "endpoint", "held", "in_transit", "other", "paused", "up", "waiting",
    )  # fmt: skip

    def __init__(self, endpoint: "MemoryEndpoint", assoc: int) -> None:
        self.endpoint = endpoint
        self.assoc = assoc
        self.other: _Half | None = None
        self.up = False
        self.closing = False
        self.ended = False
        self.blocked = False
        self.in_transit = 0
        self.held: deque[Callable[[], None]] = deque()
        self.paused = False
        self.waiting: deque[Callable[[], None]] = deque()

    def in_turn(self, callback: Callable[[], None]) -> None:
        """Call back now, or after the events that wait for resume()."""
        if self.paused or self.waiting:
            self.waiting.append(callback)
        else:
            callback()


class MemoryNetwork:
    """The network that its endpoints share. With ``sctp`` False it stands for TCP: its associations are connections."""

    def __init__(self, schedule: Schedule | None = None, *, sctp: bool = True) -> None:
        self.sctp = sctp
        self._queue: deque[Callable[[], None]] = deque()
        self._schedule = schedule
        self._bound: dict[tuple[Address, int], MemoryEndpoint] = {}
        self._joined: dict[tuple[Address, int], list[Listener]] = {}
        self._cuts: set[frozenset[Address]] = set()
        self._next_port = FIRST_PORT

    def step(self) -> bool:
        """Carry out the oldest event; False if there is none."""
        if not self._queue:
            return False
        self._queue.popleft()()
        return True

    def run(self, limit: int = 1_000_000) -> int:
        """Carry out events until there are none; return their number. RuntimeError beyond the limit."""
        for done in range(limit):
            if not self.step():
                return done
        raise RuntimeError(f"the network is still busy after {limit} events")

    def post(self, source: Address, target: Address, callback: Callable[[], None]) -> None:
        if self._schedule is None:
            self._queue.append(callback)
        else:
            self._schedule(source, target, callback)

    def endpoint(
        self,
        handler: Handler,
        *,
        addresses: Sequence[str],
        port: int = 0,
        listen: bool = True,
        max_message: int = MAX_MESSAGE_OCTETS,
    ) -> "MemoryEndpoint":
        """Open an endpoint. OSError if the port is taken at one of the addresses."""
        own = tuple(as_address(a) for a in addresses)
        while not port:
            if not any((a, self._next_port) in self._bound for a in own):
                port = self._next_port
            self._next_port = FIRST_PORT + (self._next_port + 1 - FIRST_PORT) % (0x10000 - FIRST_PORT)
        for address in own:
            if (address, port) in self._bound:
                raise OSError(errno.EADDRINUSE, f"memory {address} port {port}: Address already in use")
        made = MemoryEndpoint(self, handler, own, port, listen, min(max_message, MAX_USER_MESSAGE))
        self._bound.update(((address, port), made) for address in own)
        return made

    def find(self, addresses: Sequence[Address], port: int, source: "MemoryEndpoint") -> "MemoryEndpoint | None":
        for address in addresses:
            found = self._bound.get((address, port))
            if found is not None and not self.is_cut(source, found):
                return found
        return None

    def unbind(self, endpoint: "MemoryEndpoint") -> None:
        for address in endpoint.local_addresses:
            if self._bound.get((address, endpoint.port)) is endpoint:
                del self._bound[address, endpoint.port]

    def join(self, group: str | Address, port: int, listener: Listener) -> Callable[[], None]:
        """Receive the datagrams sent to that address and port; return a function that stops it."""
        listeners = self._joined.setdefault((as_address(group), port), [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def datagram(self, source: "MemoryEndpoint", data: bytes, target: Address, port: int) -> None:
        own = source.local_addresses[0]
        for listener in self._joined.get((target, port), ()):
            self.post(own, target, lambda listener=listener: listener(data, own, source.port))  # type: ignore[misc]

    def cut(self, one: str | Address, other: str | Address) -> None:
        """Cut the link between two addresses. Messages wait for heal(), because SCTP would retransmit them."""
        self._cuts.add(frozenset((as_address(one), as_address(other))))

    def heal(self, one: str | Address, other: str | Address) -> None:
        """Restore the link, and send what waited for it."""
        self._cuts.discard(frozenset((as_address(one), as_address(other))))
        for endpoint in dict.fromkeys(self._bound.values()):
            endpoint.send_held()

    def is_cut(self, one: "MemoryEndpoint", other: "MemoryEndpoint") -> bool:
        """Return True if every link between their addresses is cut."""
        return bool(self._cuts) and all(
            frozenset((a, b)) in self._cuts for a in one.local_addresses for b in other.local_addresses
        )

    def lose(self, endpoint: "MemoryEndpoint", assoc: int) -> None:
        """Let the association's time-outs expire: on both sides it is LOST."""
        half = endpoint.half(assoc)
        endpoint.end(half, Down.LOST)
        if half.other is not None:
            half.other.endpoint.end(half.other, Down.LOST)

    def crash(self, endpoint: "MemoryEndpoint") -> None:
        """Let an endpoint die silently. Its peers notice by a time-out (lose()), or when it restarts."""
        self.unbind(endpoint)
        endpoint.dead = True

    def vanish(self, endpoint: "MemoryEndpoint") -> None:
        """Let an endpoint die, and each of its peers notice at once: the associations are LOST."""
        self.crash(endpoint)
        for half in endpoint.halves():
            if half.other is not None:
                half.other.endpoint.end(half.other, Down.LOST)


class MemoryEndpoint:
    """One port of a MemoryNetwork (interface.Endpoint, interface.DatagramSender)."""

    def __init__(
        self,
        network: MemoryNetwork,
        handler: Handler,
        addresses: tuple[Address, ...],
        port: int,
        listen: bool,
        max_message: int,
    ) -> None:
        self.handler = handler
        self.local_addresses = addresses
        self.port = port
        self.listen = listen
        self.max_message = max_message
        self.dead = False
        self._network = network
        self._halves: dict[int, _Half] = {}
        self._last = 0

    def halves(self) -> tuple[_Half, ...]:
        return tuple(self._halves.values())

    def half(self, assoc: int) -> _Half:
        half = self._halves.get(assoc)
        if half is None or half.ended or half.closing:
            raise AssociationGone(f"association {assoc} is gone")
        return half

    def _new_half(self) -> _Half:
        self._last += 1
        half = self._halves[self._last] = _Half(self, self._last)
        return half

    def _post(self, half: _Half, callback: Callable[[], None]) -> None:
        """Schedule an event of this side, which is dropped if its endpoint or association is gone by then."""

        def run() -> None:
            if not self.dead and half.assoc in self._halves:
                callback()

        source = half.other.endpoint.local_addresses[0] if half.other else self.local_addresses[0]
        self._network.post(source, self.local_addresses[0], run)

    def _association_with(self, peer: "MemoryEndpoint") -> _Half | None:
        """Return the association whose peer has that endpoint's address and port, or had them before it crashed."""
        for half in self._halves.values():
            if half.other is not None and not half.ended:
                there = half.other.endpoint
                if there.port == peer.port and set(there.local_addresses) & set(peer.local_addresses):
                    return half
        return None

    def connect(self, addresses: Sequence[str | Address], port: int, *, udp_port: int | None = None) -> int:
        """See Endpoint.connect."""
        peer = self._network.find([as_address(a) for a in addresses], port, self)
        existing = self._association_with(peer) if peer is not None else None
        if existing is not None:
            return existing.assoc
        half = self._new_half()
        if peer is None or not peer.listen:
            self._post(half, lambda: self._finish(half, Down.CANT_START))
            return half.assoc
        before = peer._association_with(self)
        half.other = before or peer._new_half()
        half.other.other = half
        if before is not None:
            before.held.clear()
            before.in_transit = 0
            peer._post(before, lambda: before.in_turn(lambda: peer.handler.on_restart(peer, before.assoc)))
        else:
            peer._come_up(half.other)
        self._come_up(half)
        return half.assoc

    def _come_up(self, half: _Half) -> None:
        def run() -> None:
            if not half.ended and half.other is not None:
                half.up = True
                there = half.other.endpoint
                peer = Peer(addresses=there.local_addresses, port=there.port, sctp=self._network.sctp)
                self.handler.on_up(self, half.assoc, peer)

        self._post(half, run)

    def send(self, assoc: int, data: bytes, ppid: int) -> bool:
        """See Endpoint.send."""
        half = self.half(assoc)
        if not 0 < len(data) <= self.max_message:
            raise LocalProtocolError(f"a message has 1 to {self.max_message} octets, not {len(data)}")
        if half.in_transit and half.in_transit + len(data) > ROOM:
            half.blocked = True
            return False
        half.in_transit += len(data)
        other = half.other
        self._transmit(half, lambda: self._deliver(half, other, data, ppid))
        return True

    def _transmit(self, half: _Half, callback: Callable[[], None]) -> None:
        """Send an event to the peer, after those that a cut link holds back."""
        if half.other is None:
            return
        there = half.other.endpoint
        if half.held or there.dead or self._network.is_cut(self, there):
            half.held.append(callback)
            if there.dead and self._network.find(there.local_addresses, there.port, self) is not None:
                self.end(half, Down.ABORTED)
        else:
            self._network.post(self.local_addresses[0], there.local_addresses[0], callback)

    def send_held(self) -> None:
        for half in self.halves():
            other = half.other
            if other is not None and not other.endpoint.dead and not self._network.is_cut(self, other.endpoint):
                while half.held:
                    self._network.post(self.local_addresses[0], other.endpoint.local_addresses[0], half.held.popleft())

    def _deliver(self, half: _Half, other: _Half | None, data: bytes, ppid: int) -> None:
        if half.other is not other:
            return
        if other is not None:
            other.in_turn(lambda: self._deliver_now(half, other, data, ppid))

    def _deliver_now(self, half: _Half, other: _Half, data: bytes, ppid: int) -> None:
        half.in_transit -= len(data)
        if half.blocked and not half.in_transit:
            half.blocked = False
            self._post(half, lambda: None if half.ended else self.handler.on_writable(self, half.assoc))
        there = other.endpoint
        if other.ended or there.dead:
            return
        if len(data) > there.max_message:
            there.abort(other.assoc)
        else:
            there.handler.on_message(there, other.assoc, data, ppid)

    def pause(self, assoc: int) -> None:
        """See Endpoint.pause. Waiting messages count as the peer's octets in transit."""
        half = self._halves.get(assoc)
        if half is not None and half.up and not half.ended:
            half.paused = True

    def resume(self, assoc: int) -> None:
        """See Endpoint.resume."""
        half = self._halves.get(assoc)
        if half is not None and half.paused:
            half.paused = False
            self._post(half, lambda: self._deliver_waiting(half))

    def _deliver_waiting(self, half: _Half) -> None:
        if half.waiting and not half.paused and not half.ended:
            first = half.waiting.popleft()
            if half.waiting:
                self._post(half, lambda: self._deliver_waiting(half))
            first()

    def end(self, half: _Half, reason: Down) -> None:
        """End this side: only its on_down follows."""
        half.ended = True
        self._post(half, lambda: self._finish(half, reason))

    def _finish(self, half: _Half, reason: Down) -> None:
        half.ended = True
        del self._halves[half.assoc]
        self.handler.on_down(self, half.assoc, reason if half.up else Down.CANT_START)

    def shutdown(self, assoc: int) -> None:
        """See Endpoint.shutdown."""
        half = self._halves.get(assoc)
        if half is None or half.ended or half.closing:
            return
        half.closing = True
        self._transmit(half, lambda: self._finish_shutdown(half))

    def _finish_shutdown(self, half: _Half) -> None:
        other = half.other
        if other is not None and not other.endpoint.dead and not other.ended:
            if other.waiting:
                other.closing = True
                other.waiting.append(lambda: other.endpoint.end(other, Down.SHUTDOWN))
            else:
                other.endpoint.end(other, Down.SHUTDOWN)
        self._post(half, lambda: self._finish(half, Down.SHUTDOWN))

    def abort(self, assoc: int) -> None:
        """See Endpoint.abort."""
        half = self._halves.get(assoc)
        if half is None or half.ended:
            return
        self.end(half, Down.ABORTED)
        other = half.other
        if other is not None and not other.endpoint.dead and not self._network.is_cut(self, other.endpoint):
            other.endpoint.end(other, Down.ABORTED)

    def peer_addresses(self, assoc: int) -> tuple[Address, ...]:
        """See Endpoint.peer_addresses."""
        half = self._halves.get(assoc)
        if half is None or half.other is None:
            raise AssociationGone(f"association {assoc} is gone")
        return half.other.endpoint.local_addresses

    def rtt(self, assoc: int) -> float | None:
        """See Endpoint.rtt: not measured."""
        return None

    def send_datagram(self, data: bytes, address: str | Address, port: int, *, ttl: int = 1) -> None:
        """See DatagramSender. Listeners that called join() receive it."""
        self._network.datagram(self, data, as_address(address), port)

    def close_now(self) -> None:
        """Shut down every association, and stop calling the handler."""
        for assoc in tuple(self._halves):
            self.shutdown(assoc)
        self._network.unbind(self)
        self.dead = True

    async def close(self) -> None:
        """See Endpoint.close."""
        self.close_now()


class MemoryTransport:
    """A MemoryNetwork as an interface.Transport."""

    name = "memory"

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.endpoints: list[MemoryEndpoint] = []

    async def endpoint(
        self,
        handler: Handler,
        *,
        addresses: Sequence[str],
        port: int = 0,
        listen: bool = True,
        max_message: int = MAX_MESSAGE_OCTETS,
    ) -> MemoryEndpoint:
        """See Transport.endpoint."""
        made = self.network.endpoint(handler, addresses=addresses, port=port, listen=listen, max_message=max_message)
        self.endpoints.append(made)
        return made

    async def stop(self) -> None:
        """See Transport.stop."""
        while self.endpoints:
            await self.endpoints.pop().close()

"""A network in one process, for tests and simulation: reliable associations, in order, and links that can be cut.

Nothing happens inside a call: every event waits until run(), or until the given scheduler calls it.
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
"""Octets of an association that may be on their way, or wait at a paused peer, before send() returns False."""
FIRST_PORT = 49152

Schedule = Callable[[Address, Address, Callable[[], None]], None]
"""(source, target, callback): is to call the callback once, later; those of one pair in the order given."""
Listener = Callable[[bytes, Address, int], None]
"""(data, source address, source port) of a datagram."""


class _Half:
    """One side's view of an association."""

    __slots__ = (
        "assoc", "blocked", "closing", "endpoint", "held", "on_way", "other", "over", "paused", "up", "waiting",
    )  # fmt: skip

    def __init__(self, endpoint: "MemoryEndpoint", assoc: int) -> None:
        self.endpoint = endpoint
        self.assoc = assoc
        self.other: _Half | None = None
        self.up = False
        self.closing = False
        self.over = False
        self.blocked = False
        self.on_way = 0
        self.held: deque[Callable[[], None]] = deque()
        self.paused = False
        self.waiting: deque[Callable[[], None]] = deque()

    def in_turn(self, callback: Callable[[], None]) -> None:
        """Do something now, or behind what waits for resume()."""
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
        """Let the oldest event happen; False if there is none."""
        if not self._queue:
            return False
        self._queue.popleft()()
        return True

    def run(self, limit: int = 1_000_000) -> int:
        """Let events happen until there are none; how many. RuntimeError beyond the limit."""
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
        """An endpoint of this network. OSError if an address and the port are taken."""
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
        """Hear the datagrams sent to that address and port; returns what ends it."""
        listeners = self._joined.setdefault((as_address(group), port), [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def datagram(self, source: "MemoryEndpoint", data: bytes, target: Address, port: int) -> None:
        own = source.local_addresses[0]
        for listener in self._joined.get((target, port), ()):
            self.post(own, target, lambda listener=listener: listener(data, own, source.port))  # type: ignore[misc]

    def cut(self, one: str | Address, other: str | Address) -> None:
        """Nothing passes between the two addresses any more; what is sent waits for heal(), as SCTP repeats it."""
        self._cuts.add(frozenset((as_address(one), as_address(other))))

    def heal(self, one: str | Address, other: str | Address) -> None:
        """The link is back: what waited goes out."""
        self._cuts.discard(frozenset((as_address(one), as_address(other))))
        for endpoint in dict.fromkeys(self._bound.values()):
            endpoint.send_held()

    def is_cut(self, one: "MemoryEndpoint", other: "MemoryEndpoint") -> bool:
        """Whether no pair of their addresses has a link."""
        return bool(self._cuts) and all(
            frozenset((a, b)) in self._cuts for a in one.local_addresses for b in other.local_addresses
        )

    def lose(self, endpoint: "MemoryEndpoint", assoc: int) -> None:
        """The association's time-outs have expired: both sides hear that it is LOST."""
        half = endpoint.half(assoc)
        endpoint.end(half, Down.LOST)
        if half.other is not None:
            half.other.endpoint.end(half.other, Down.LOST)

    def crash(self, endpoint: "MemoryEndpoint") -> None:
        """The endpoint is gone without a word; its peers notice when they time out (lose()), or when it restarts."""
        self.unbind(endpoint)
        endpoint.dead = True

    def vanish(self, endpoint: "MemoryEndpoint") -> None:
        """The endpoint is gone, and each peer is LOST it at once."""
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
        if half is None or half.over or half.closing:
            raise AssociationGone(f"association {assoc} is gone")
        return half

    def _new_half(self) -> _Half:
        self._last += 1
        half = self._halves[self._last] = _Half(self, self._last)
        return half

    def _post(self, half: _Half, callback: Callable[[], None]) -> None:
        """Let something happen to this side, unless it happens to nobody."""

        def happen() -> None:
            if not self.dead and half.assoc in self._halves:
                callback()

        source = half.other.endpoint.local_addresses[0] if half.other else self.local_addresses[0]
        self._network.post(source, self.local_addresses[0], happen)

    def _with(self, peer: "MemoryEndpoint") -> _Half | None:
        """The half whose peer is, or was before it crashed, at that endpoint's place."""
        for half in self._halves.values():
            if half.other is not None and not half.over:
                there = half.other.endpoint
                if there.port == peer.port and set(there.local_addresses) & set(peer.local_addresses):
                    return half
        return None

    def connect(self, addresses: Sequence[str | Address], port: int, *, udp_port: int | None = None) -> int:
        """See Endpoint.connect."""
        peer = self._network.find([as_address(a) for a in addresses], port, self)
        existing = self._with(peer) if peer is not None else None
        if existing is not None:
            return existing.assoc
        half = self._new_half()
        if peer is None or not peer.listen:
            self._post(half, lambda: self._finish(half, Down.CANT_START))
            return half.assoc
        before = peer._with(self)
        half.other = before or peer._new_half()
        half.other.other = half
        if before is not None:
            before.held.clear()
            before.on_way = 0
            peer._post(before, lambda: before.in_turn(lambda: peer.handler.on_restart(peer, before.assoc)))
        else:
            peer._come_up(half.other)
        self._come_up(half)
        return half.assoc

    def _come_up(self, half: _Half) -> None:
        def happen() -> None:
            if not half.over and half.other is not None:
                half.up = True
                there = half.other.endpoint
                peer = Peer(addresses=there.local_addresses, port=there.port, sctp=self._network.sctp)
                self.handler.on_up(self, half.assoc, peer)

        self._post(half, happen)

    def send(self, assoc: int, data: bytes, ppid: int) -> bool:
        """See Endpoint.send."""
        half = self.half(assoc)
        if not 0 < len(data) <= self.max_message:
            raise LocalProtocolError(f"a message has 1 to {self.max_message} octets, not {len(data)}")
        if half.on_way and half.on_way + len(data) > ROOM:
            half.blocked = True
            return False
        half.on_way += len(data)
        other = half.other
        self._transmit(half, lambda: self._deliver(half, other, data, ppid))
        return True

    def _transmit(self, half: _Half, callback: Callable[[], None]) -> None:
        """Send something along an association, behind what a cut link holds back."""
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
            other.in_turn(lambda: self._hand_over(half, other, data, ppid))

    def _hand_over(self, half: _Half, other: _Half, data: bytes, ppid: int) -> None:
        half.on_way -= len(data)
        if half.blocked and not half.on_way:
            half.blocked = False
            self._post(half, lambda: None if half.over else self.handler.on_writable(self, half.assoc))
        there = other.endpoint
        if other.over or there.dead:
            return
        if len(data) > there.max_message:
            there.abort(other.assoc)
        else:
            there.handler.on_message(there, other.assoc, data, ppid)

    def pause(self, assoc: int) -> None:
        """See Endpoint.pause; what waits counts against the peer's ROOM."""
        half = self._halves.get(assoc)
        if half is not None and half.up and not half.over:
            half.paused = True

    def resume(self, assoc: int) -> None:
        """See Endpoint.resume."""
        half = self._halves.get(assoc)
        if half is not None and half.paused:
            half.paused = False
            self._post(half, lambda: self._catch_up(half))

    def _catch_up(self, half: _Half) -> None:
        if half.waiting and not half.paused and not half.over:
            first = half.waiting.popleft()
            if half.waiting:
                self._post(half, lambda: self._catch_up(half))
            first()

    def end(self, half: _Half, reason: Down) -> None:
        """No more for this side but its on_down, later."""
        half.over = True
        self._post(half, lambda: self._finish(half, reason))

    def _finish(self, half: _Half, reason: Down) -> None:
        half.over = True
        del self._halves[half.assoc]
        self.handler.on_down(self, half.assoc, reason if half.up else Down.CANT_START)

    def shutdown(self, assoc: int) -> None:
        """See Endpoint.shutdown."""
        half = self._halves.get(assoc)
        if half is None or half.over or half.closing:
            return
        half.closing = True
        self._transmit(half, lambda: self._shut(half))

    def _shut(self, half: _Half) -> None:
        other = half.other
        if other is not None and not other.endpoint.dead and not other.over:
            if other.waiting:
                other.closing = True
                other.waiting.append(lambda: other.endpoint.end(other, Down.SHUTDOWN))
            else:
                other.endpoint.end(other, Down.SHUTDOWN)
        self._post(half, lambda: self._finish(half, Down.SHUTDOWN))

    def abort(self, assoc: int) -> None:
        """See Endpoint.abort."""
        half = self._halves.get(assoc)
        if half is None or half.over:
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
        """See Endpoint.rtt: nothing is measured."""
        return None

    def send_datagram(self, data: bytes, address: str | Address, port: int, *, ttl: int = 1) -> None:
        """See DatagramSender; heard by who joined()."""
        self._network.datagram(self, data, as_address(address), port)

    def close_now(self) -> None:
        """Shut down every association; the handler hears no more."""
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

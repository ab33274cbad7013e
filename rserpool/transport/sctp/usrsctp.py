"""SCTP by libusrsctp in this process, in the event loop, over UDP (RFC 6951). The UDP port is the SCTP port.

An association has one address. Two endpoints of a process cannot share a port number, even at different addresses. An
association whose peer has closed its UDP port, as a killed process has, is ABORTED as soon as ICMP answers a packet
(RFC 6951 4.5).
"""

import asyncio
import os
import select
import socket
from collections.abc import Sequence

from rserpool._fast.io.usrsctp import stack
from rserpool._fast.io.usrsctp.socket import Socket
from rserpool.transport.interface import MAX_MESSAGE_OCTETS, Address, Handler, Tuning, as_address
from rserpool.transport.sctp.endpoint import SctpEndpoint
from rserpool.transport.udp.sockets import UdpSockets, expand, pack, unpack

IP_RECVERR, IPV6_RECVERR = 11, 25
TICK = 0.010
"""Seconds between two runs of the stack's timers while there is traffic: their resolution."""
FULL_RATE_ASSOCIATIONS = 1000
"""Beyond this many associations the tick grows with their number, up to MOST_TICKS * TICK, because each run of the
timers walks through all of them. With 3 000 associations this took 3 % of a core."""
MOST_TICKS = 3
"""The largest factor by which the tick grows. With it, delayed acknowledgements wait at most 50 ms, half of the
shortest rto_min."""
IDLE_FRACTION = 1 / 16
"""While there is no traffic, the tick is this fraction of the time since the last traffic. So timers expire late by at
most this fraction."""
IDLE_TICK = 0.250
"""The longest tick, in seconds."""
LINGER = 1.0
"""Seconds for which the timers still run after the last association."""


class Ticker(stack.Pace):
    """Runs the stack's timers on one loop while any endpoint there has an association."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tuning: Tuning) -> None:
        self.calm = True
        self._loop = loop
        self._endpoints: set[UsrsctpEndpoint] = set()
        self._longest = min(IDLE_TICK, max(TICK, min(tuning.rto_max, tuning.heartbeat or tuning.rto_max) / 4))
        self._traffic = 0
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, endpoint: "UsrsctpEndpoint") -> None:
        self._endpoints.add(endpoint)
        if self.calm:
            stack.tick()
            self.hurry()

    def discard(self, endpoint: "UsrsctpEndpoint") -> None:
        self._endpoints.discard(endpoint)

    def stop(self) -> None:
        self.calm = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hurry(self) -> None:
        """See stack.Pace.hurry."""
        self.stop()
        self.calm = False
        self._since = self._loop.time()
        self._timer = self._loop.call_later(self._shortest(), self._tick)

    def _shortest(self) -> float:
        """Return the tick while there is traffic."""
        return TICK * min(
            max(1.0, sum(endpoint.count for endpoint in self._endpoints) / FULL_RATE_ASSOCIATIONS), MOST_TICKS
        )

    def _tick(self) -> None:
        self.calm = False
        stack.tick()
        for endpoint in tuple(self._endpoints):
            endpoint.drain()
        now = self._loop.time()
        traffic = stack.traffic()
        if traffic != self._traffic:
            self._traffic, self._since = traffic, now
        quiet = now - self._since
        if not self._endpoints and quiet > LINGER:
            self.stop()
            return
        shortest = self._shortest()
        tick = max(shortest, min(quiet * IDLE_FRACTION, self._longest))
        self.calm = tick > shortest
        self._timer = self._loop.call_later(tick, self._tick)


class UsrsctpEndpoint(SctpEndpoint, Socket):
    """One SCTP port of the in-process stack (interface.Endpoint, interface.DatagramSender)."""

    def __init__(
        self,
        transport: "UsrsctpTransport",
        handler: Handler,
        sockets: UdpSockets,
        listen: bool,
        max_message: int,
    ) -> None:
        super().__init__(handler, max_message)
        self._transport = transport
        self.pace = self._ticker = transport.ticker
        self._sockets = sockets
        self._port = sockets.port
        self._drain_scheduled = False
        try:
            self.open_socket(self._port, listen, transport.tuning)
        except OSError as error:
            raise OSError(
                error.errno, f"SCTP {sockets.addresses[0]} port {self._port}: {os.strerror(error.errno or 0)}"
            ) from None
        self._epolls: list[select.epoll] = []
        for sock in sockets.sockets:
            self._watch(sock)

    def _watch(self, sock: socket.socket) -> None:
        """Call receive() for packets and for errors.

        uvloop stops watching a descriptor after an error. So the loop watches an epoll descriptor, which watches the
        socket.
        """
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        epoll = select.epoll()
        self._epolls.append(epoll)
        epoll.register(sock.fileno(), select.EPOLLIN)
        self._loop.add_reader(epoll.fileno(), self.receive, sock.fileno())

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        return self._sockets.addresses

    def connect(self, addresses: Sequence[str | Address], port: int, *, udp_port: int | None = None) -> int:
        """See Endpoint.connect. Only one address is tried: the first that is reachable from one of ours."""
        sock, address = self._sockets.choose([as_address(a) for a in addresses])
        return self.open_association(sock.fileno(), pack(address, udp_port or port), port)

    def peer_addresses(self, assoc: int) -> tuple[Address, ...]:
        return (unpack(self.peer_sockaddr(assoc))[0],)

    def peer_udp_port(self, assoc: int) -> int:
        """Return the peer's UDP port. AssociationGone."""
        return unpack(self.peer_sockaddr(assoc))[1]

    def send_datagram(self, data: bytes, address: str | Address, port: int, *, ttl: int = 1) -> None:
        """See DatagramSender."""
        self._sockets.send_datagram(data, address, port, ttl=ttl)

    def schedule_drain(self) -> None:
        if not self._drain_scheduled:
            self._drain_scheduled = True
            self._loop.call_soon(self._drain_soon)

    def _drain_soon(self) -> None:
        self._drain_scheduled = False
        self.drain()

    def first_added(self) -> None:
        super().first_added()
        self._ticker.add(self)

    def last_removed(self) -> None:
        super().last_removed()
        self._ticker.discard(self)

    def release(self) -> None:
        self.close_socket()
        self._ticker.discard(self)
        for epoll, sock in zip(self._epolls, self._sockets.sockets, strict=True):
            self._loop.remove_reader(epoll.fileno())
            epoll.close()
            self.forget_udp_socket(sock.fileno())
        self._sockets.close()
        self._transport.endpoints.discard(self)


class UsrsctpTransport:
    """SCTP by libusrsctp (interface.Transport). It belongs to the loop in which its first endpoint is made."""

    name = "usrsctp"

    def __init__(self, tuning: Tuning | None = None) -> None:
        self.tuning = tuning or Tuning()
        self.endpoints: set[UsrsctpEndpoint] = set()
        self._ticker: Ticker | None = None

    @property
    def ticker(self) -> Ticker:
        if self._ticker is None:
            self._ticker = Ticker(asyncio.get_running_loop(), self.tuning)
        return self._ticker

    async def endpoint(
        self,
        handler: Handler,
        *,
        addresses: Sequence[str],
        port: int = 0,
        listen: bool = True,
        max_message: int = MAX_MESSAGE_OCTETS,
    ) -> UsrsctpEndpoint:
        """See Transport.endpoint. ``port`` is bound for UDP and, in the stack, for SCTP."""
        sockets = UdpSockets(expand(addresses), port)
        try:
            endpoint = UsrsctpEndpoint(self, handler, sockets, listen, max_message)
        except BaseException:
            sockets.close()
            raise
        self.endpoints.add(endpoint)
        return endpoint

    async def stop(self) -> None:
        """See Transport.stop. The stack itself is freed with the last endpoint of the process."""
        await asyncio.gather(*(endpoint.close() for endpoint in tuple(self.endpoints)))
        for _ in range(20):
            if stack.finish():
                break
            stack.tick()
            await asyncio.sleep(TICK)
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None

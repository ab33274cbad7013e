"""SCTP by the Linux kernel, with multihoming. pysctp makes and tunes the sockets, _fast.io.kernel carries the data."""

import asyncio
import contextlib
import errno
import os
import select
import socket
import struct
from collections.abc import Sequence

import _sctp
import sctp

from rserpool._fast.io.kernel import Socket
from rserpool.transport.interface import MAX_MESSAGE_OCTETS, Address, AssociationGone, Handler, Tuning, as_address
from rserpool.transport.sctp.endpoint import SctpEndpoint
from rserpool.transport.udp.sockets import UdpSockets, enlarge_buffers, expand, pack

SOL_SCTP = 132
PEER_ADDR_PARAMS = 9
FRAGMENT_INTERLEAVE, PARTIAL_DELIVERY_POINT = 18, 19
PEER_ADDR_THRESHOLDS = 31
PIECE = 1 << 16
"""Octets of a longer message that are delivered before the rest, so that it need not fit into the receive window."""
BINDX_ADD = 100
REMOTE_UDP_ENCAPS_PORT = 132
HEARTBEATS_ON, HEARTBEATS_OFF = 1, 2
STREAMS = 32
BACKLOG = 4096
RETRY = 0.005
"""Seconds before a blocked association is tried again: a writable socket does not mean a writable association."""


def _encapsulation(port: int) -> bytes:
    """Build a struct sctp_udpencaps for future associations."""
    return struct.pack("=i4x128xH6x", 0, socket.htons(port))


def _paths(tuning: Tuning) -> bytes:
    """Build a struct sctp_paddrparams for future associations."""
    flags = HEARTBEATS_ON if tuning.heartbeat else HEARTBEATS_OFF
    interval = int(tuning.heartbeat * 1000)
    return struct.pack("=i128xIHIIIxx", 0, interval, tuning.path_retransmissions, 0, 0, flags)


def _thresholds() -> bytes:
    """Build a struct sctp_paddrthlds for future associations: switch paths after the first time-out (RFC 7829)."""
    return struct.pack("=i4x128xHH4x", 0, 0, 0)


def _tune(sock: "sctp.sctpsocket_udp", raw: socket.socket, tuning: Tuning) -> None:
    # Abort what is left when the socket is closed, so that peers notice at once, also when the process dies.
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    enlarge_buffers(raw)
    sock.nodelay = True
    sock.initparams.num_ostreams = 1
    sock.initparams.max_instreams = STREAMS
    sock.initparams.max_attempts = tuning.init_retransmissions
    sock.initparams.max_init_timeo = int(tuning.rto_max * 1000)
    rto = sock.get_rtoinfo()
    rto.initial, rto.min, rto.max = (int(t * 1000) for t in (tuning.rto_initial, tuning.rto_min, tuning.rto_max))
    sock.set_rtoinfo(rto)
    patience = sock.get_assocparams()
    patience.assocmaxrxt = tuning.association_retransmissions
    sock.set_assocparams(patience)
    raw.setsockopt(SOL_SCTP, PEER_ADDR_PARAMS, _paths(tuning))
    raw.setsockopt(SOL_SCTP, PEER_ADDR_THRESHOLDS, _thresholds())
    # Otherwise one peer's message in pieces would block the messages of all others.
    raw.setsockopt(SOL_SCTP, FRAGMENT_INTERLEAVE, 1)
    raw.setsockopt(
        SOL_SCTP, PARTIAL_DELIVERY_POINT, min(PIECE, raw.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2)
    )


def _bind(raw: socket.socket, addresses: Sequence[Address], port: int) -> int:
    """Bind to all addresses on one port, and return it. OSError with address and port in its text."""
    for address in addresses:
        try:
            raw.setsockopt(SOL_SCTP, BINDX_ADD, pack(address, port))
        except OSError as error:
            text = f"SCTP {address} port {port}: {os.strerror(error.errno or 0)}"
            raise OSError(error.errno, text) from None
        port = raw.getsockname()[1]
    return port


class KernelEndpoint(SctpEndpoint, Socket):
    """A one-to-many socket (interface.Endpoint, interface.DatagramSender)."""

    def __init__(
        self,
        transport: "KernelTransport",
        handler: Handler,
        addresses: Sequence[str],
        port: int,
        listen: bool,
        max_message: int,
    ) -> None:
        super().__init__(handler, max_message)
        self._transport = transport
        wanted = [as_address(a) for a in addresses]
        if any(a.is_unspecified for a in wanted):
            wanted = [max((a for a in wanted if a.is_unspecified), key=lambda a: a.version)]
        self._family = socket.AF_INET6 if any(a.version == 6 for a in wanted) else socket.AF_INET
        self._sctp = sctp.sctpsocket_udp(self._family)
        self._raw: socket.socket = self._sctp._sk
        self._raw.setblocking(False)
        try:
            _tune(self._sctp, self._raw, transport.tuning)
            self.max_message = min(self.max_message, self._raw.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
            self._port = _bind(self._raw, wanted, port)
            self.adopt_socket(self._raw.fileno(), transport.tuning.sack_delay or 0.0)
            if listen:
                self._sctp.listen(BACKLOG)
        except BaseException:
            self._raw.close()
            raise
        self._addresses = expand([str(a) for a in wanted])
        self._datagrams: UdpSockets | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._own: select.epoll | None = None
        self._loop.add_reader(self._raw.fileno(), self.receive)

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        return self._addresses

    def connect(self, addresses: Sequence[str | Address], port: int, *, udp_port: int | None = None) -> int:
        """See Endpoint.connect. All addresses are tried, and all become paths."""
        wanted = [as_address(a) for a in addresses]
        wanted = [a for a in wanted if a.version == 4 or self._family == socket.AF_INET6]
        if not wanted:
            raise OSError(errno.EADDRNOTAVAIL, f"no local address leads to {', '.join(map(str, addresses))}")
        try:
            with self._encapsulated(udp_port):
                return self.open_association(b"".join(pack(a, port) for a in wanted), port)
        except OSError as error:
            if error.errno not in (errno.EISCONN, errno.EALREADY, errno.EADDRNOTAVAIL):
                raise
            for address in wanted:
                if (assoc := self.find_association(pack(address, port))) is not None:
                    return assoc
            raise

    @contextlib.contextmanager
    def _encapsulated(self, udp_port: int | None):  # type: ignore[no-untyped-def]
        """Set the kernel's one UDP port for future associations, for the duration of a connect."""
        if udp_port is None:
            yield
            return
        before = self._raw.getsockopt(SOL_SCTP, REMOTE_UDP_ENCAPS_PORT, len(_encapsulation(0)))
        self._raw.setsockopt(SOL_SCTP, REMOTE_UDP_ENCAPS_PORT, _encapsulation(udp_port))
        try:
            yield
        finally:
            self._raw.setsockopt(SOL_SCTP, REMOTE_UDP_ENCAPS_PORT, before)

    def peer_addresses(self, assoc: int) -> tuple[Address, ...]:
        """See Endpoint.peer_addresses."""
        try:
            found = _sctp.getpaddrs(self.fd_of(assoc), assoc)
        except OSError:
            raise AssociationGone(f"association {assoc} is gone") from None
        return tuple(dict.fromkeys(as_address(ip.partition("%")[0]) for ip, _ in found))

    def send_datagram(self, data: bytes, address: str | Address, port: int, *, ttl: int = 1) -> None:
        """See DatagramSender. The first call binds UDP sockets of the endpoint's port number."""
        if self._datagrams is None:
            self._datagrams = UdpSockets(self._addresses, self._port)
        self._datagrams.send_datagram(data, address, port, ttl=ttl)

    def watch_own_socket(self, fd: int, events: int) -> None:
        # A loop's add_reader cannot watch a descriptor for errors alone.
        if self._own is None:
            self._own = select.epoll()
            self._loop.add_reader(self._own.fileno(), self._own_events)
        if events < 0:
            self._own.unregister(fd)
            return
        try:
            self._own.modify(fd, events)
        except FileNotFoundError:
            self._own.register(fd, events)

    def _own_events(self) -> None:
        if self._own is not None:
            for fd, events in self._own.poll(0):
                self.own_socket_ready(fd, events)

    def wait_until_writable(self) -> None:
        if self._retry is None:
            self._loop.add_writer(self._raw.fileno(), self._retry_now)

    def _retry_now(self) -> None:
        self._loop.remove_writer(self._raw.fileno())
        self._retry = self._loop.call_later(RETRY, self._retry_when_writable)
        before = self.messages_sent
        again = self.retry_blocked()
        if not again or self.messages_sent != before:
            self._retry.cancel()
            self._retry = None
        if again and self._retry is None:
            self.wait_until_writable()

    def _retry_when_writable(self) -> None:
        self._retry = None
        self._loop.add_writer(self._raw.fileno(), self._retry_now)

    def release(self) -> None:
        self._loop.remove_reader(self._raw.fileno())
        self._loop.remove_writer(self._raw.fileno())
        if self._retry is not None:
            self._retry.cancel()
        self.release_socket()
        if self._own is not None:
            self._loop.remove_reader(self._own.fileno())
            self._own.close()
            self._own = None
        self._raw.close()
        if self._datagrams is not None:
            self._datagrams.close()
        self._transport.endpoints.discard(self)


class KernelTransport:
    """SCTP by the kernel (interface.Transport)."""

    name = "kernel"

    def __init__(self, tuning: Tuning | None = None) -> None:
        self.tuning = tuning or Tuning()
        self.endpoints: set[KernelEndpoint] = set()

    async def endpoint(
        self,
        handler: Handler,
        *,
        addresses: Sequence[str],
        port: int = 0,
        listen: bool = True,
        max_message: int = MAX_MESSAGE_OCTETS,
    ) -> KernelEndpoint:
        """See Transport.endpoint. With an IPv6 address among them, the socket takes both families."""
        endpoint = KernelEndpoint(self, handler, addresses, port, listen, max_message)
        self.endpoints.add(endpoint)
        return endpoint

    async def stop(self) -> None:
        """See Transport.stop."""
        await asyncio.gather(*(endpoint.close() for endpoint in tuple(self.endpoints)))

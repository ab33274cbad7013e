"""Listeners: the open port of a service for each protocol, with a channel for each pool user."""

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Protocol, cast

from rserpool import messages
from rserpool.client.session.channels import (
    HIGH_WATER,
    MAX_DATAGRAM,
    ChannelOwner,
    SctpChannel,
    SctpChannels,
    TcpChannel,
)
from rserpool.client.session.connector import SHARED
from rserpool.errors import LocalProtocolError
from rserpool.messages import SCTPTransport, TCPTransport, UDPTransport
from rserpool.settings.session import ServiceSettings
from rserpool.transport.interface import (
    MAX_USER_MESSAGE,
    Address,
    AssociationGone,
    Down,
    Endpoint,
    Transport,
    Tuning,
    as_address,
)
from rserpool.transport.tcp.acceptor import Acceptor

MAX_ADDRESSES = 32
"""Addresses in one SCTP Transport parameter (RFC 5354 3.4)."""


class Listener(Protocol):
    """An open port of a service."""

    @property
    def user_transport(self) -> messages.Transport:
        """The transport parameter to register: protocol, addresses and port."""

    async def close(self) -> None:
        """Close the port, after its channels have ended."""


async def listen(
    protocol: str,
    owner: ChannelOwner,
    addresses: Sequence[str],
    port: int,
    settings: ServiceSettings,
    *,
    control: bool,
    transport: Transport | None,
    tuning: Tuning,
) -> Listener:
    """Open a port. ``owner`` gets channel_up() for each user's channel, and must give the channel another owner.

    Raises OSError with address and port in its text, and LocalProtocolError for a protocol other than sctp, tcp and
    udp.
    """
    if protocol == "sctp":
        sctp = SctpListener(owner, tuning if transport is None else None, control=control)
        await sctp.open(SHARED.acquire(tuning) if transport is None else transport, addresses, port)
        return sctp
    if protocol == "tcp":
        tcp = TcpListener(owner)
        await tcp.open(addresses[0], port)
        return tcp
    if protocol == "udp":
        udp = UdpListener(owner, settings)
        await udp.open(addresses[0], port)
        return udp
    raise LocalProtocolError(f"protocol must be sctp, tcp or udp, not {protocol!r}")


class SctpListener(SctpChannels):
    """An SCTP endpoint to which users open associations."""

    def __init__(self, owner: ChannelOwner, shared: Tuning | None, *, control: bool) -> None:
        super().__init__()
        self._owner = owner
        self._shared = shared
        self._control = control

    async def open(self, transport: Transport, addresses: Sequence[str], port: int) -> None:
        try:
            self.endpoint = await transport.endpoint(self, addresses=addresses, port=port, max_message=MAX_USER_MESSAGE)
        except BaseException:
            await self._release()
            raise

    def accept(self, endpoint: Endpoint, assoc: int) -> SctpChannel | None:
        return SctpChannel(endpoint, assoc, self._owner, control=self._control)

    @property
    def user_transport(self) -> messages.Transport:
        assert self.endpoint is not None
        addresses = self.endpoint.local_addresses[:MAX_ADDRESSES]
        return SCTPTransport(port=self.endpoint.port, transport_use=int(self._control), addresses=addresses)

    async def close(self) -> None:
        if self.endpoint is not None:
            await self.endpoint.close()
        await self._release()

    async def _release(self) -> None:
        if self._shared is not None:
            shared, self._shared = self._shared, None
            await SHARED.release(shared)


def bound(kind: int, address: str, port: int) -> socket.socket:
    """A bound, non-blocking socket. Raises OSError with address and port in its text."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{address} port {port}: {os.strerror(error.errno or 0)}") from None
    return sock


class TcpListener:
    """A listening TCP port."""

    def __init__(self, owner: ChannelOwner) -> None:
        self._owner = owner
        self._acceptor: Acceptor | None = None

    async def open(self, address: str, port: int) -> None:
        sock = bound(socket.SOCK_STREAM, address, port)
        self._where = sock.getsockname()
        loop = asyncio.get_running_loop()
        self._acceptor = Acceptor(loop, sock, lambda: TcpChannel(self._owner))

    @property
    def user_transport(self) -> messages.Transport:
        return TCPTransport(port=self._where[1], address=as_address(self._where[0]))

    async def close(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            await asyncio.sleep(0)  # the loop closes aborted connections in its next iteration


class UdpPeer:
    """The channel to one user: a source address and port."""

    def __init__(self, listener: "UdpListener", where: tuple[str, int]) -> None:
        self.owner: ChannelOwner | None = None
        self.ready = True
        self.control = False
        self.addresses: tuple[Address, ...] = (as_address(where[0].partition("%")[0]),)
        self.port = where[1]
        self.max_message = MAX_DATAGRAM[self.addresses[0].version]
        self.where = where
        self.paused = False
        self.last_received = 0.0
        self.blocked = False
        self._listener = listener

    def send(self, data: bytes, ppid: int) -> bool:
        return self._listener.send(self, data)

    def pause(self) -> None:
        """Drop what arrives until resume(): UDP has no flow control."""
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def shutdown(self) -> None:
        self._listener.leave(self, Down.SHUTDOWN)

    def abort(self) -> None:
        self._listener.leave(self, Down.ABORTED)


class UdpListener(asyncio.DatagramProtocol):
    """A UDP port. A user is a source address and port that sent something within ``idle_timeout`` seconds."""

    def __init__(self, owner: ChannelOwner, settings: ServiceSettings) -> None:
        self._owner = owner
        self._idle = settings.idle_timeout
        self._loop = asyncio.get_running_loop()
        self._peers: dict[tuple[str, int], UdpPeer] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = self._loop.create_future()

    async def open(self, address: str, port: int) -> None:
        sock = bound(socket.SOCK_DGRAM, address, port)
        self._where = sock.getsockname()
        await self._loop.create_datagram_endpoint(lambda: self, sock=sock)

    @property
    def user_transport(self) -> messages.Transport:
        return UDPTransport(port=self._where[1], address=as_address(self._where[0]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER, low=HIGH_WATER // 2)  # type: ignore[attr-defined]

    def connection_lost(self, error: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        peer = self._peers.get(source)
        if peer is None:
            peer = UdpPeer(self, source)
            self._peers[source] = peer
            self._owner.channel_up(peer)
            if self._sweeper is None:
                self._sweeper = self._loop.call_later(self._idle / 4, self._sweep)
        peer.last_received = self._loop.time()
        if peer.owner is not None and not peer.paused:
            peer.owner.channel_data(data, 0)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._loop.time()
        for peer in [peer for peer in self._peers.values() if now - peer.last_received >= self._idle]:
            self.leave(peer, Down.SHUTDOWN)
        if self._peers:
            self._sweeper = self._loop.call_later(self._idle / 4, self._sweep)

    def send(self, peer: UdpPeer, data: bytes) -> bool:
        transport = self._transport
        if transport is None or peer.where not in self._peers:
            raise AssociationGone("the UDP session has ended")
        if transport.get_write_buffer_size() > HIGH_WATER:  # type: ignore[attr-defined]
            peer.blocked = True
            return False
        transport.sendto(data, peer.where)
        return True

    def resume_writing(self) -> None:
        for peer in [peer for peer in self._peers.values() if peer.blocked]:
            peer.blocked = False
            if peer.owner is not None:
                peer.owner.channel_writable()

    def leave(self, peer: UdpPeer, reason: Down) -> None:
        """Forget a user; channel_down follows from the event loop."""
        if self._peers.pop(peer.where, None) is not None:
            self._loop.call_soon(self._report_down, peer, reason)

    def _report_down(self, peer: UdpPeer, reason: Down) -> None:
        if peer.owner is not None:
            peer.owner.channel_down(reason)

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._transport is not None:
            self._transport.close()
            await self._closed

"""Channels: one interface for an SCTP association, a TCP connection and a UDP socket to one peer."""

import asyncio
import contextlib
import errno
import socket
import struct
from typing import Final, Protocol, cast

from rserpool.protocol.peer import Peer
from rserpool.transport.interface import MAX_USER_MESSAGE, Address, AssociationGone, Down, Endpoint, as_address
from rserpool.transport.tcp.endpoint import KEEPALIVE

CHUNK: Final = 32 << 10
"""Octets read from a byte stream at a time."""
HIGH_WATER: Final = 64 << 10
"""A TCP or UDP channel takes no more messages while its send buffer holds this many octets."""
USER_TIMEOUT: Final = 8_000
"""Milliseconds without an acknowledgement of sent data after which a TCP peer is LOST."""
MAX_DATAGRAM: Final = {4: 65_507, 6: 65_527}
"""Octets of the largest UDP message, by IP version."""


class ChannelOwner(Protocol):
    """The callbacks of a channel's owner. They come from the event loop, never from inside a method of the channel."""

    def channel_up(self, channel: "Channel") -> None:
        """The channel is ready."""

    def channel_data(self, data: bytes, ppid: int) -> None:
        """A message arrived; over TCP, some octets of the stream. The PPID is 0 over TCP and UDP."""

    def channel_writable(self) -> None:
        """The channel has room again, after send() returned False."""

    def channel_restarted(self) -> None:
        """The peer restarted the association; its old state is lost."""

    def channel_down(self, reason: Down) -> None:
        """The channel has ended. This is the last callback."""


class Channel(Protocol):
    """A transport to one peer. While ``owner`` is None, there are no callbacks."""

    owner: ChannelOwner | None
    ready: bool
    """True if the channel can send; else channel_up or channel_down follows."""
    control: bool
    """True if the channel carries ASAP control messages besides the data."""
    max_message: int
    """Octets of the largest message."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The peer's addresses."""

    @property
    def port(self) -> int:
        """The peer's port."""

    def send(self, data: bytes, ppid: int) -> bool:
        """Send a message. False if there is no room: nothing is sent, and channel_writable follows. Raises
        AssociationGone after the end."""

    def pause(self) -> None:
        """Deliver no more data until resume()."""

    def resume(self) -> None:
        """Deliver waiting data, and go on."""

    def shutdown(self) -> None:
        """End in an orderly way, after queued messages."""

    def abort(self) -> None:
        """End at once."""


class SctpChannel:
    """One SCTP association of an endpoint."""

    __slots__ = ("_endpoint", "addresses", "assoc", "control", "max_message", "owner", "port", "ready")

    def __init__(self, endpoint: Endpoint, assoc: int, owner: ChannelOwner | None, *, control: bool) -> None:
        self.owner = owner
        self.ready = False
        self.control = control
        self.assoc = assoc
        self.max_message = endpoint.max_message
        self.addresses: tuple[Address, ...] = ()
        self.port = 0
        self._endpoint = endpoint

    def send(self, data: bytes, ppid: int) -> bool:
        return self._endpoint.send(self.assoc, data, ppid)

    def pause(self) -> None:
        self._endpoint.pause(self.assoc)

    def resume(self) -> None:
        self._endpoint.resume(self.assoc)

    def shutdown(self) -> None:
        self._endpoint.shutdown(self.assoc)

    def abort(self) -> None:
        self._endpoint.abort(self.assoc)


class SctpChannels:
    """The channels of one SCTP endpoint, and their dispatcher (interface.Handler). A subclass decides in accept() about
    associations that peers open."""

    def __init__(self) -> None:
        self.endpoint: Endpoint | None = None
        self._channels: dict[int, SctpChannel] = {}

    def connect(self, addresses: tuple[Address, ...], port: int, *, control: bool) -> SctpChannel:
        """Start an association to a peer. Raises OSError if no address can be tried."""
        assert self.endpoint is not None
        assoc = self.endpoint.connect(addresses, port)
        made = self._channels[assoc] = SctpChannel(self.endpoint, assoc, None, control=control)
        return made

    def accept(self, endpoint: Endpoint, assoc: int) -> SctpChannel | None:
        """The channel for an association that a peer opened, or None to abort it."""
        return None

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        channel = self._channels.get(assoc)
        if channel is None:
            channel = self.accept(endpoint, assoc)
            if channel is None:
                endpoint.abort(assoc)
                return
            self._channels[assoc] = channel
        channel.addresses, channel.port, channel.ready = peer.addresses, peer.port, True
        if channel.owner is not None:
            channel.owner.channel_up(channel)

    def on_restart(self, endpoint: Endpoint, assoc: int) -> None:
        channel = self._channels.get(assoc)
        if channel is not None and channel.owner is not None:
            channel.owner.channel_restarted()

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        channel = self._channels.get(assoc)
        if channel is not None and channel.owner is not None:
            channel.owner.channel_data(data, ppid)

    def on_answer(self, endpoint: Endpoint, assoc: int, data: bytes) -> None:
        """Never called: the associations of sessions have no lanes."""

    def on_down(self, endpoint: Endpoint, assoc: int, reason: Down) -> None:
        channel = self._channels.pop(assoc, None)
        if channel is not None and channel.owner is not None:
            channel.owner.channel_down(reason)

    def on_writable(self, endpoint: Endpoint, assoc: int) -> None:
        channel = self._channels.get(assoc)
        if channel is not None and channel.owner is not None:
            channel.owner.channel_writable()


class TcpChannel(asyncio.BufferedProtocol):
    """One TCP connection. If it starts without an owner, reading waits for resume()."""

    def __init__(self, owner: ChannelOwner | None) -> None:
        self.owner = owner
        self.ready = False
        self.control = False
        self.max_message = MAX_USER_MESSAGE
        self.addresses: tuple[Address, ...] = ()
        self.port = 0
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(CHUNK)
        self._blocked = False
        self._reason: Down | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's transport has no common base class
        peer = transport.get_extra_info("peername")
        if peer is None:  # reset before the event loop accepted it
            self.owner = None
            transport.abort()
            return
        transport.set_write_buffer_limits(high=HIGH_WATER, low=HIGH_WATER // 2)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT)
        for option, value in KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        self.addresses, self.port = (as_address(peer[0].partition("%")[0]),), peer[1]
        self.ready = True
        if self.owner is not None:
            self.owner.channel_up(self)
        else:
            transport.pause_reading()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        if self.owner is not None:
            self.owner.channel_data(bytes(memoryview(self._buffer)[:count]), 0)

    def eof_received(self) -> bool:
        return False

    def resume_writing(self) -> None:
        if self._blocked:
            self._blocked = False
            if self.owner is not None:
                self.owner.channel_writable()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        lost = isinstance(error, OSError) and error.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH)
        reason = self._reason or (Down.LOST if lost else Down.SHUTDOWN if error is None else Down.ABORTED)
        if self.owner is not None:
            self.owner.channel_down(reason)

    def send(self, data: bytes, ppid: int) -> bool:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise AssociationGone("the connection is gone")
        if transport.get_write_buffer_size() > HIGH_WATER:
            self._blocked = True
            return False
        transport.write(data)
        return True

    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def shutdown(self) -> None:
        if self._transport is not None:
            self._reason = self._reason or Down.SHUTDOWN
            self._transport.close()

    def abort(self) -> None:
        """End with a TCP reset, so that the peer can distinguish it from an orderly end."""
        if self._transport is None:
            return
        self._reason = Down.ABORTED
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()


class UdpChannel(asyncio.DatagramProtocol):
    """A UDP socket connected to one peer. Only ICMP errors from the peer's host show that nothing listens there."""

    def __init__(self, owner: ChannelOwner | None) -> None:
        self.owner = owner
        self.ready = False
        self.control = False
        self.max_message = MAX_DATAGRAM[4]
        self.addresses: tuple[Address, ...] = ()
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._blocked = False
        self._paused = False
        self._reason = Down.SHUTDOWN

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.DatagramTransport, transport)
        transport.set_write_buffer_limits(high=HIGH_WATER, low=HIGH_WATER // 2)  # type: ignore[attr-defined]
        peer = transport.get_extra_info("peername")
        self.addresses, self.port = (as_address(peer[0].partition("%")[0]),), peer[1]
        self.ready = True
        self.max_message = MAX_DATAGRAM[self.addresses[0].version]
        if self.owner is not None:
            self.owner.channel_up(self)

    def datagram_received(self, data: bytes, source: object) -> None:
        if self.owner is not None and not self._paused:
            self.owner.channel_data(data, 0)

    def error_received(self, error: Exception) -> None:
        if isinstance(error, ConnectionRefusedError):
            self._reason = Down.ABORTED
            if self._transport is not None:
                self._transport.abort()

    def resume_writing(self) -> None:
        if self._blocked:
            self._blocked = False
            if self.owner is not None:
                self.owner.channel_writable()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self.owner is not None:
            self.owner.channel_down(self._reason)

    def send(self, data: bytes, ppid: int) -> bool:
        if self._transport is None or self._transport.is_closing():
            raise AssociationGone("the socket is closed")
        if self._transport.get_write_buffer_size() > HIGH_WATER:  # type: ignore[attr-defined]
            self._blocked = True
            return False
        self._transport.sendto(data)
        return True

    def pause(self) -> None:
        """Drop what arrives until resume(): UDP has no flow control."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def shutdown(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._reason = Down.ABORTED
            self._transport.abort()

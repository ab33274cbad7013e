"""One transport to one peer, whatever kind it is: an SCTP association, a TCP connection, a UDP socket's other end."""

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
"""Octets of the largest run that is taken out of a byte stream at a time."""
HIGH_WATER: Final = 64 << 10
"""Octets that a TCP or UDP socket may have waiting before a channel takes no more."""
USER_TIMEOUT: Final = 8_000
"""Milliseconds after which a TCP peer is LOST that acknowledges none of what it was sent."""
MAX_DATAGRAM: Final = {4: 65_507, 6: 65_527}


class ChannelOwner(Protocol):
    """Who has a channel is told of what happens to it: from the loop, never from inside a call of the channel's."""

    def channel_up(self, channel: "Channel") -> None:
        """It can be used."""

    def channel_data(self, data: bytes, ppid: int) -> None:
        """A message; over TCP, a run of octets. Without a PPID of its own a transport says 0."""

    def channel_writable(self) -> None:
        """After send() returned False: it is worth another try."""

    def channel_restarted(self) -> None:
        """The peer lost its state, and set up the association anew."""

    def channel_down(self, reason: Down) -> None:
        """It is over. Nothing follows."""


class Channel(Protocol):
    """A transport to one peer. ``owner`` may be set to None: nobody is told of anything then."""

    owner: ChannelOwner | None
    ready: bool
    """Whether it can be used; where not yet, channel_up follows."""
    control: bool
    """Whether control messages can travel beside the data."""
    max_message: int
    """Octets of the largest message."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The peer's."""

    @property
    def port(self) -> int:
        """The peer's."""

    def send(self, data: bytes, ppid: int) -> bool:
        """Hand over a message. False: nothing was taken, channel_writable follows. AssociationGone after the end."""

    def pause(self) -> None:
        """No more data before resume()."""

    def resume(self) -> None:
        """What waited comes, and more."""

    def shutdown(self) -> None:
        """End in order."""

    def abort(self) -> None:
        """End at once."""


class SctpChannel:
    """One association of an endpoint."""

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
    """The associations of one endpoint (interface.Handler). A subclass says what becomes of those from peers."""

    def __init__(self) -> None:
        self.endpoint: Endpoint | None = None
        self._channels: dict[int, SctpChannel] = {}

    def connect(self, addresses: tuple[Address, ...], port: int, *, control: bool) -> SctpChannel:
        """Begin an association to a peer. OSError if no address can be tried."""
        assert self.endpoint is not None
        assoc = self.endpoint.connect(addresses, port)
        made = self._channels[assoc] = SctpChannel(self.endpoint, assoc, None, control=control)
        return made

    def arrived(self, endpoint: Endpoint, assoc: int) -> SctpChannel | None:
        """A peer opened an association: its channel, or None where it is not wanted."""
        return None

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        channel = self._channels.get(assoc)
        if channel is None:
            channel = self.arrived(endpoint, assoc)
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
    """One TCP connection. Without an owner at first it is not read before resume()."""

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
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's is of no common class
        peer = transport.get_extra_info("peername")
        if peer is None:  # it has been reset before we saw it
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
        """With a reset, so that the peer can tell it from an orderly end."""
        if self._transport is None:
            return
        self._reason = Down.ABORTED
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()


class UdpChannel(asyncio.DatagramProtocol):
    """A UDP socket connected to one peer. Nothing tells whether the peer is there but the answers of its host."""

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
        """UDP slows nobody down: what comes meanwhile is lost."""
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

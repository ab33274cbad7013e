"""Relays between two TCP connections, each direction at the pace of its slower end."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

HIGH_WATER = 65_536
"""While more octets than this are queued for one end, the other end is not read: an end that does not read must not
fill the memory."""
NO_LINGER = struct.pack("ii", 1, 0)


class RelaySide(asyncio.Protocol):
    """One of two joined connections. It is not read before it is joined to the other.

    ``on_data`` is called with the number of octets received, ``on_lost`` once with this side when the connection ends.
    """

    def __init__(self, on_data: Callable[[int], None], on_lost: Callable[["RelaySide"], None]) -> None:
        self._on_data = on_data
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._other: RelaySide | None = None
        self._early: list[bytes] = []
        self._ended = False
        self._active = 0.0
        self.lost = False

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection, unread until join() (asyncio.Protocol)."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._transport.pause_reading()
        self._active = asyncio.get_running_loop().time()
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def last_active(self) -> float:
        """The time of the latest octets from either end, on the loop's clock in seconds."""
        return max(self._active, self._other._active if self._other is not None else 0.0)

    def join(self, other: "RelaySide") -> None:
        """Start to relay both ways. Both sides are connected; either may be lost already."""
        self._other, other._other = other, self
        if self.lost or other.lost:
            self.abort()
            return
        for side in (self, other):
            side._send_early()
            side.transport.resume_reading()

    def _send_early(self) -> None:
        """Pass on what arrived before join(): uvloop reads once after connection_made even if reading is paused."""
        assert self._other is not None
        for data in self._early:
            self._other.transport.write(data)
        self._early.clear()
        if self._ended:
            self.eof_received()

    def data_received(self, data: bytes) -> None:
        """Pass the octets on (asyncio.Protocol)."""
        self._active = asyncio.get_running_loop().time()
        self._on_data(len(data))
        if self._other is not None:
            self._other.transport.write(data)
        else:
            self._early.append(data)
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Half-close: pass the end of data on; the other end may still send."""
        self._ended = True
        if self._other is None:
            return True
        if self._other._ended:
            self.close()
        elif not self._other.transport.is_closing():
            self._other.transport.write_eof()
        return True

    def close(self) -> None:
        """Close both connections after their queued octets."""
        self.transport.close()
        if self._other is not None:
            self._other.transport.close()

    def abort(self) -> None:
        """Reset both connections."""
        reset(self.transport)
        if self._other is not None:
            reset(self._other.transport)

    def pause_writing(self) -> None:
        """Stop reading the other end while this end's send buffer is full."""
        if self._other is not None and not self._other.transport.is_closing():
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read the other end again."""
        if self._other is not None and not self._other.transport.is_closing():
            self._other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """End the other connection the same way: in an orderly way, or with a reset."""
        self.lost = True
        if self._other is not None and not self._other.lost:
            if error is None:
                self._other.transport.close()
            else:
                reset(self._other.transport)
        self._on_lost(self)


def reset(transport: asyncio.Transport) -> None:
    """End a connection with a TCP reset, so that the peer does not see an orderly end."""
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    transport.abort()

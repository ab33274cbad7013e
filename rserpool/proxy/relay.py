"""Two TCP connections joined: what one receives the other sends, each at the pace of its slower end."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

HIGH_WATER = 65_536
"""Octets that may wait to be sent to one end before the other is not read any more: an end that does not read must not
fill the memory."""
LINGER_NOT = struct.pack("ii", 1, 0)


class RelaySide(asyncio.Protocol):
    """One of the two connections. It is not read before it is joined to the other one.

    ``moved`` is called with the number of octets that came in, ``over`` once when the connection is lost.
    """

    def __init__(self, moved: Callable[[int], None], over: Callable[["RelaySide"], None]) -> None:
        self._moved = moved
        self._over = over
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
        """See Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._transport.pause_reading()
        self._active = asyncio.get_running_loop().time()
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def last_active(self) -> float:
        """When something came last from either end, on the loop's clock."""
        return max(self._active, self._other._active if self._other is not None else 0.0)

    def join(self, other: "RelaySide") -> None:
        """Begin to relay, both ways. Both are connected; either may be lost already."""
        self._other, other._other = other, self
        if self.lost or other.lost:
            self.abort()
            return
        for side in (self, other):
            side._catch_up()
            side.transport.resume_reading()

    def _catch_up(self) -> None:
        """Hand on what came too early: uvloop begins to read after connection_made, whatever that said."""
        assert self._other is not None
        for data in self._early:
            self._other.transport.write(data)
        self._early.clear()
        if self._ended:
            self.eof_received()

    def data_received(self, data: bytes) -> None:
        """See Protocol."""
        self._active = asyncio.get_running_loop().time()
        self._moved(len(data))
        if self._other is not None:
            self._other.transport.write(data)
        else:
            self._early.append(data)
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Half-close: the other end is told, and may go on sending."""
        self._ended = True
        if self._other is None:
            return True
        if self._other._ended:
            self.close()
        elif not self._other.transport.is_closing():
            self._other.transport.write_eof()
        return True

    def close(self) -> None:
        """End both connections, once what waits has been sent."""
        self.transport.close()
        if self._other is not None:
            self._other.transport.close()

    def abort(self) -> None:
        """Reset both connections."""
        reset(self.transport)
        if self._other is not None:
            reset(self._other.transport)

    def pause_writing(self) -> None:
        """This end is slow: do not read the other."""
        if self._other is not None and not self._other.transport.is_closing():
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        """See pause_writing."""
        if self._other is not None and not self._other.transport.is_closing():
            self._other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """The other connection ends the same way: in order, or at once."""
        self.lost = True
        if self._other is not None and not self._other.lost:
            if error is None:
                self._other.transport.close()
            else:
                reset(self._other.transport)
        self._over(self)


def reset(transport: asyncio.Transport) -> None:
    """End a connection at once, so that the peer does not take it for a good end."""
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    transport.abort()

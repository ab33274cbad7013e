"""Sessions as byte streams: an asyncio.StreamReader and a writer for programs that know nothing of messages.

A stream that goes on with another pool element has a gap where the first one failed: a protocol that cannot find its
place again wants ``failover="error"``.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from rserpool.client.errors import SessionClosed
from rserpool.client.session.items import Data
from rserpool.client.session.session_base import SessionBase

CHUNK: Final = 32 << 10
"""Octets of the largest message that is made of a stream."""
HIGH_WATER: Final = 64 << 10
"""Octets written and not yet accepted by the session, beyond which drain() waits."""
LIMIT: Final = 64 << 10
"""The StreamReader's limit: twice as much is read ahead."""


class _FlowControl:
    """What a StreamReader takes for its transport: it stops the flow while nobody reads."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    def pause_reading(self) -> None:
        self.open.clear()

    def resume_reading(self) -> None:
        self.open.set()


class SessionWriter:
    """What asyncio.StreamWriter offers, on a session. Messages have at most 32 KiB and the PPID given."""

    def __init__(self, session: SessionBase[Any, Any], ppid: int) -> None:
        self._session = session
        self._ppid = ppid
        self._buffer = bytearray()
        self._change = asyncio.Event()
        self._closing = False
        self._error: SessionClosed | None = None
        self._room: asyncio.Future[None] | None = None
        self.feeder: asyncio.Task[None] | None = None
        """What feeds the reader beside it: kept, because the loop keeps no task."""
        self._sender = asyncio.get_running_loop().create_task(self._send())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add octets to what is sent; drain() waits while they are many. Nothing after close()."""
        if not self._closing and self._error is None:
            self._buffer += data
            self._change.set()

    def writelines(self, lines: Iterable[bytes]) -> None:
        """As write(), for each."""
        for line in lines:
            self.write(line)

    async def drain(self) -> None:
        """Wait until there is room. ConnectionResetError if the session has ended."""
        while self._error is None and len(self._buffer) > HIGH_WATER:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        if self._error is not None:
            raise ConnectionResetError(str(self._error)) from self._error

    def can_write_eof(self) -> bool:
        """A session is open in both directions or in none."""
        return False

    def is_closing(self) -> bool:
        """Whether close() was called, or the session has ended."""
        return self._closing or self._error is not None

    def close(self) -> None:
        """Send the rest, and close the session."""
        self._closing = True
        self._change.set()

    async def wait_closed(self) -> None:
        """Wait until close() has done its work."""
        await asyncio.shield(self._sender)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """``session`` is the session."""
        return self._session if name == "session" else default

    async def _send(self) -> None:
        try:
            while True:
                while self._buffer:
                    chunk = bytes(self._buffer[:CHUNK])
                    del self._buffer[: len(chunk)]
                    await self._session.send(chunk, self._ppid)
                    self._wake()
                if self._closing:
                    break
                self._change.clear()
                await self._change.wait()
        except SessionClosed as error:
            self._error = error
            self._wake()
        await self._session.close()

    def _wake(self) -> None:
        if self._room is not None and not self._room.done() and (self._error or len(self._buffer) <= HIGH_WATER):
            self._room.set_result(None)


def streams(session: SessionBase[Any, Any], *, ppid: int = 0) -> tuple[asyncio.StreamReader, SessionWriter]:
    """A reader of the data that comes over a session, and a writer; nobody else may read it then.

    The reader comes to its end with the session; SessionFailed, where that is how it ended, is what reading raises.
    """
    reader = asyncio.StreamReader(LIMIT)
    valve = _FlowControl()
    reader.set_transport(valve)  # type: ignore[arg-type]
    writer = SessionWriter(session, ppid)

    async def feed() -> None:
        try:
            async for item in session:
                if isinstance(item, Data):
                    reader.feed_data(item)
                    await valve.open.wait()
            reader.feed_eof()
        except SessionClosed as error:
            reader.set_exception(error)

    writer.feeder = asyncio.get_running_loop().create_task(feed())
    return reader, writer

"""Sessions as byte streams: an asyncio.StreamReader and a writer, for programs without message boundaries.

After a failover the stream has a gap where the old element failed. A protocol that cannot resynchronise should open the
session with ``failover="error"``.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from rserpool.client.errors import SessionClosed
from rserpool.client.session.items import Data
from rserpool.client.session.session_base import SessionBase

CHUNK: Final = 32 << 10
"""Octets of the largest message that the writer sends."""
HIGH_WATER: Final = 64 << 10
"""drain() waits while more octets than this are written and not yet accepted by the session."""
LIMIT: Final = 64 << 10
"""The limit of the StreamReader; it buffers up to twice as much."""


class _FlowControl:
    """The transport of the StreamReader: it stops the feeding task while the reader's buffer is full."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    def pause_reading(self) -> None:
        self.open.clear()

    def resume_reading(self) -> None:
        self.open.set()


class SessionWriter:
    """The interface of asyncio.StreamWriter on a session. It sends messages of up to 32 KiB with the given PPID."""

    def __init__(self, session: SessionBase[Any, Any], ppid: int) -> None:
        self._session = session
        self._ppid = ppid
        self._buffer = bytearray()
        self._change = asyncio.Event()
        self._closing = False
        self._error: SessionClosed | None = None
        self._room: asyncio.Future[None] | None = None
        self.feeder: asyncio.Task[None] | None = None
        """The task that feeds the reader; referenced here because the event loop holds tasks only weakly."""
        self._sender = asyncio.get_running_loop().create_task(self._send())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue octets to be sent; ignored after close(). Call drain() to wait for room."""
        if not self._closing and self._error is None:
            self._buffer += data
            self._change.set()

    def writelines(self, lines: Iterable[bytes]) -> None:
        """Call write() for each."""
        for line in lines:
            self.write(line)

    async def drain(self) -> None:
        """Wait until at most 64 KiB are queued. Raises ConnectionResetError if the session has ended."""
        while self._error is None and len(self._buffer) > HIGH_WATER:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        if self._error is not None:
            raise ConnectionResetError(str(self._error)) from self._error

    def can_write_eof(self) -> bool:
        """False: a session cannot be half closed."""
        return False

    def is_closing(self) -> bool:
        """True after close(), or if the session has ended."""
        return self._closing or self._error is not None

    def close(self) -> None:
        """Send the queued octets, then close the session."""
        self._closing = True
        self._change.set()

    async def wait_closed(self) -> None:
        """Wait until the session is closed after close()."""
        await asyncio.shield(self._sender)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """The session for ``session``, else ``default``."""
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
    """A reader of the session's data, and a writer. Do not receive from the session in another way.

    The reader reaches its end with the session. If the session failed, reading raises SessionFailed.
    """
    reader = asyncio.StreamReader(LIMIT)
    flow = _FlowControl()
    reader.set_transport(flow)  # type: ignore[arg-type]
    writer = SessionWriter(session, ppid)

    async def feed() -> None:
        try:
            async for item in session:
                if isinstance(item, Data):
                    reader.feed_data(item)
                    await flow.open.wait()
            reader.feed_eof()
        except SessionClosed as error:
            reader.set_exception(error)

    writer.feeder = asyncio.get_running_loop().create_task(feed())
    return reader, writer

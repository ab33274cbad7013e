"""The base class of both ends of a session: send, receive and close, with bounded queues."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, Self, TypeVar

from rserpool.client.errors import SessionClosed
from rserpool.client.session.channels import Channel
from rserpool.client.session.items import Data
from rserpool.errors import LocalProtocolError
from rserpool.model.numbers import ASAP_PPID, MICROSECONDS
from rserpool.protocol.session.outbox import Waiting
from rserpool.settings.session import ENTRY_COST
from rserpool.transport.interface import MAX_USER_MESSAGE, AssociationGone, Down

log = logging.getLogger("rserpool.session")

Item = TypeVar("Item")
Action = TypeVar("Action")


class SessionMachine(Protocol[Action]):
    """The common interface of the state machines UserSession and ElementSession."""

    @property
    def deadline(self) -> int | None: ...

    def advance(self, now: int) -> list[Action]: ...

    def room(self, octets: int) -> bool: ...

    def send(self, data: bytes, ppid: int) -> None: ...

    def outgoing(self) -> Waiting | None: ...

    def sent(self, now: int) -> list[Action]: ...

    def close(self, now: int) -> list[Action]: ...


class SessionBase(Generic[Item, Action]):
    """One end of a session. Iterate over it to receive items; the iteration ends with the session.

    A subclass implements _perform() and _control(), and the channel's callbacks channel_up, channel_restarted and
    channel_down; it may implement the other methods under "For subclasses".
    """

    def __init__(self, machine: SessionMachine[Action], max_unread: int) -> None:
        self._machine = machine
        self._loop = asyncio.get_running_loop()
        self._channel: Channel | None = None
        self._max_message = MAX_USER_MESSAGE
        self._blocked = False
        self._inbox: deque[tuple[Data | Item, int]] = deque()
        self._unread = 0
        self._max_unread = max_unread
        self._paused = False
        self._discarding = False
        self._receivers: list[asyncio.Future[None]] = []
        self._room: asyncio.Future[None] | None = None
        self._send_lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._ended = asyncio.Event()
        self._error: SessionClosed | None = None

    # For applications

    @property
    def closed(self) -> bool:
        """True after the session has ended."""
        return self._ended.is_set()

    @property
    def unread(self) -> int:
        """Octets received and not yet read; each item counts ENTRY_COST octets on top."""
        return self._unread

    @property
    def has_control_channel(self) -> bool:
        """True if the session has a control channel, so that it can carry cookies (RFC 5354 3.4)."""
        return self._channel is not None and self._channel.control

    async def send(self, data: bytes, ppid: int = 0) -> None:
        """Send one message; wait while ``max_unsent`` octets are queued. TCP and UDP do not carry the PPID.

        Raises SessionClosed after the end, and LocalProtocolError for PPID 11 and for a message that is empty or longer
        than the transport allows.
        """
        length = len(data)
        if not 0 < length <= self._max_message:
            raise LocalProtocolError(f"a message must have 1 to {self._max_message} octets, not {length}")
        if type(data) is not bytes:  # compiled transports take no subclass
            data = bytes(data)
        if self._send_lock.locked() or not self._machine.room(length):
            await self._send_in_turn(data, ppid)
            return
        self._accept(data, ppid)

    async def receive(self) -> Data | Item:
        """Receive one item, as iteration would yield it. Raises SessionClosed after the end; SessionFailed, with the
        reason, after a failure."""
        while not self._inbox:
            self._check_open()
            await self._wait_for_arrival()
        return self._take()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Data | Item:
        while not self._inbox:
            if self.closed:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            await self._wait_for_arrival()
        return self._take()

    async def close(self) -> None:
        """Close the session in an orderly way. Queued messages are sent first, for up to ``close_timeout`` seconds.
        Items received before can still be read."""
        self._discarding = True
        self._resume()
        self._perform(self._machine.close(self._now()))
        self._pump()
        await self._ended.wait()

    aclose = close

    # For subclasses

    def _perform(self, actions: Sequence[Action]) -> None:
        """Carry out the actions of the state machine."""
        raise NotImplementedError

    def _item_read(self, item: Item) -> None:
        """Called after the application has read an item other than Data."""

    def _reading_paused(self, paused: bool) -> None:
        """Called when the channel is paused because the application does not read, and when it resumes."""

    def _data_received(self, now: int) -> None:
        """Called for each data message."""

    def _control(self, data: bytes, now: int) -> Sequence[Action]:
        """Handle a control message, and return the state machine's actions."""
        raise NotImplementedError

    # Sending

    def _now(self) -> int:
        return int(self._loop.time() * MICROSECONDS)

    def _check_open(self) -> None:
        if self._ended.is_set():
            raise self._error or SessionClosed("the session is closed")

    async def _send_in_turn(self, data: bytes, ppid: int) -> None:
        async with self._send_lock:
            while not self._machine.room(len(data)):
                self._check_open()
                self._room = self._loop.create_future()
                await self._room
            self._accept(data, ppid)

    def _accept(self, data: bytes, ppid: int) -> None:
        self._check_open()
        if self._discarding:
            raise SessionClosed("the session is closed")
        self._machine.send(data, ppid)
        self._pump()

    def _pump(self) -> None:
        """Hand queued messages to the channel until it is full."""
        channel = self._channel
        if channel is not None and not self._blocked:
            machine = self._machine
            while (entry := machine.outgoing()) is not None:
                try:
                    if not channel.send(entry.data, entry.ppid):
                        self._blocked = True
                        break
                except AssociationGone:
                    break
                except LocalProtocolError as error:
                    log.warning("message dropped: %s", error)
                if actions := machine.sent(self._now()):
                    self._perform(actions)
                if self._channel is not channel:
                    break
            if self._room is not None and not self._room.done():
                self._room.set_result(None)
        self._arm()

    def _arm(self) -> None:
        deadline = self._machine.deadline
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at((deadline + 1) / MICROSECONDS, self._expired)

    def _expired(self) -> None:
        self._timer = None
        self._perform(self._machine.advance(self._now()))
        self._pump()

    def _finish(self, error: SessionClosed | None) -> None:
        """End the session, with the error that its callers get."""
        self._error = error
        self._release_channel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ended.set()
        self._wake_receivers()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _release_channel(self) -> None:
        if self._channel is not None:
            self._channel.owner = None
            self._channel = None
        self._blocked = False
        if self._paused:
            self._paused = False
            self._reading_paused(False)

    # The inbox

    async def _wait_for_arrival(self) -> None:
        waiting = self._loop.create_future()
        self._receivers.append(waiting)
        try:
            await waiting
        finally:
            self._receivers.remove(waiting)

    def _wake_receivers(self) -> None:
        for waiting in self._receivers:
            if not waiting.done():
                waiting.set_result(None)

    def _deliver(self, item: Data | Item, cost: int, *, first: bool = False) -> None:
        """Queue an item for the application; pause the channel when the inbox is full."""
        if first:
            self._inbox.appendleft((item, cost))
        else:
            self._inbox.append((item, cost))
        self._unread += cost
        self._wake_receivers()
        self._pause_if_full()

    def _pause_if_full(self) -> None:
        if self._unread >= self._max_unread and not self._paused and self._channel is not None and not self._discarding:
            self._paused = True
            self._channel.pause()
            self._reading_paused(True)

    def _take(self) -> Data | Item:
        item, cost = self._inbox.popleft()
        self._unread -= cost
        if not isinstance(item, Data):
            self._item_read(item)
        if self._paused and self._unread <= self._max_unread // 2:
            self._resume()
        return item

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._channel is not None:
                self._channel.resume()
            self._reading_paused(False)
            self._arm()

    # Callbacks of the channel (channels.ChannelOwner)

    def channel_data(self, data: bytes, ppid: int) -> None:
        now = self._now()
        if ppid == ASAP_PPID:
            if self._channel is not None and self._channel.control:
                self._perform(self._control(data, now))
                self._pump()
            return
        self._data_received(now)
        if not self._discarding:
            self._deliver(Data(data, ppid), len(data) + ENTRY_COST)

    def channel_writable(self) -> None:
        self._blocked = False
        self._pump()

    def channel_up(self, channel: Channel) -> None:
        raise NotImplementedError

    def channel_restarted(self) -> None:
        raise NotImplementedError

    def channel_down(self, reason: Down) -> None:
        raise NotImplementedError

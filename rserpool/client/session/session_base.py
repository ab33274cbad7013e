"""What the two ends of a session have in common for applications: send, receive, close, within bounds."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, Self, TypeVar

from rserpool.client.errors import SessionClosed
from rserpool.client.session.channels import Channel
from rserpool.client.session.items import Data
from rserpool.errors import LocalProtocolError
from rserpool.model.numbers import ASAP_PPID
from rserpool.protocol.session.outbox import Waiting
from rserpool.settings.session import ENTRY_COST
from rserpool.transport.interface import MAX_USER_MESSAGE, AssociationGone, Down

log = logging.getLogger("rserpool.session")

Item = TypeVar("Item")
Action = TypeVar("Action")


class SessionMachine(Protocol[Action]):
    """What UserSession and ElementSession have in common."""

    @property
    def deadline(self) -> int | None: ...

    def advance(self, now: int) -> list[Action]: ...

    def room(self, octets: int) -> bool: ...

    def send(self, data: bytes, ppid: int) -> None: ...

    def outgoing(self) -> Waiting | None: ...

    def sent(self, now: int) -> list[Action]: ...

    def close(self, now: int) -> list[Action]: ...


class SessionBase(Generic[Item, Action]):
    """One end of a session. It is iterated for what comes; the iteration ends with the session."""

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
        self._deaf = False
        self._readers: list[asyncio.Future[None]] = []
        self._vacancy: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._over = asyncio.Event()
        self._error: SessionClosed | None = None

    # For applications

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._over.is_set()

    @property
    def unread(self) -> int:
        """Octets that were received and not read yet, some for each message among them."""
        return self._unread

    @property
    def has_control_channel(self) -> bool:
        """Whether cookies can travel beside the data (RFC 5354 3.4)."""
        return self._channel is not None and self._channel.control

    async def send(self, data: bytes, ppid: int = 0) -> None:
        """Send one message; waits while as much as is allowed waits already. A PPID is lost over TCP and UDP.

        SessionClosed after the end; LocalProtocolError for PPID 11 and for a message of no octets or too many.
        """
        length = len(data)
        if not 0 < length <= self._max_message:
            raise LocalProtocolError(f"a message has 1 to {self._max_message} octets, not {length}")
        if type(data) is not bytes:  # compiled transports take no subclass
            data = bytes(data)
        if self._turn.locked() or not self._machine.room(length):
            await self._send_in_turn(data, ppid)
            return
        self._accept(data, ppid)

    async def receive(self) -> Data | Item:
        """The next of what the iteration yields. SessionClosed at the end, with the reason where there is one."""
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
        """End in order: what was accepted goes out first, if it can be within ``close_timeout``. What was received can
        still be read."""
        self._deaf = True
        self._resume()
        self._perform(self._machine.close(self._now()))
        self._pump()
        await self._over.wait()

    aclose = close

    # For those who extend it: _perform carries out what the protocol asks for, _taken is told of what is read

    def _perform(self, actions: Sequence[Action]) -> None:
        raise NotImplementedError

    def _taken(self, item: Item) -> None:
        """The application has got an item that is no data."""

    def _halted(self, halted: bool) -> None:
        """The channel is paused because the application does not read, or goes on."""

    def _heard(self, now: int) -> None:
        """Data has come."""

    def _control(self, data: bytes, now: int) -> Sequence[Action]:
        raise NotImplementedError

    def _now(self) -> int:
        return int(self._loop.time() * 1_000_000)

    def _check_open(self) -> None:
        if self._over.is_set():
            raise self._error or SessionClosed("the session is closed")

    async def _send_in_turn(self, data: bytes, ppid: int) -> None:
        async with self._turn:
            while not self._machine.room(len(data)):
                self._check_open()
                self._vacancy = self._loop.create_future()
                await self._vacancy
            self._accept(data, ppid)

    def _accept(self, data: bytes, ppid: int) -> None:
        self._check_open()
        if self._deaf:
            raise SessionClosed("the session is closed")
        self._machine.send(data, ppid)
        self._pump()

    def _pump(self) -> None:
        """Give the channel what it takes."""
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
                    log.warning("a message is dropped: %s", error)
                if actions := machine.sent(self._now()):
                    self._perform(actions)
                if self._channel is not channel:
                    break
            if self._vacancy is not None and not self._vacancy.done():
                self._vacancy.set_result(None)
        self._arm()

    def _arm(self) -> None:
        deadline = self._machine.deadline
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at((deadline + 1) / 1_000_000, self._expired)

    def _expired(self) -> None:
        self._timer = None
        self._perform(self._machine.advance(self._now()))
        self._pump()

    def _finish(self, error: SessionClosed | None) -> None:
        """The session is over."""
        self._error = error
        self._release_channel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._over.set()
        self._wake_readers()
        if self._vacancy is not None and not self._vacancy.done():
            self._vacancy.set_result(None)

    def _release_channel(self) -> None:
        if self._channel is not None:
            self._channel.owner = None
            self._channel = None
        self._blocked = False
        if self._paused:
            self._paused = False
            self._halted(False)

    # The inbox

    async def _wait_for_arrival(self) -> None:
        waiting = self._loop.create_future()
        self._readers.append(waiting)
        try:
            await waiting
        finally:
            self._readers.remove(waiting)

    def _wake_readers(self) -> None:
        for waiting in self._readers:
            if not waiting.done():
                waiting.set_result(None)

    def _deliver(self, item: Data | Item, cost: int, *, first: bool = False) -> None:
        """Give the application an item; the peer has to wait where too many wait already."""
        if first:
            self._inbox.appendleft((item, cost))
        else:
            self._inbox.append((item, cost))
        self._unread += cost
        self._wake_readers()
        self._stall()

    def _stall(self) -> None:
        """Make the peer wait, if there is too much to read."""
        if self._unread >= self._max_unread and not self._paused and self._channel is not None and not self._deaf:
            self._paused = True
            self._channel.pause()
            self._halted(True)

    def _take(self) -> Data | Item:
        item, cost = self._inbox.popleft()
        self._unread -= cost
        if not isinstance(item, Data):
            self._taken(item)
        if self._paused and self._unread <= self._max_unread // 2:
            self._resume()
        return item

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._channel is not None:
                self._channel.resume()
            self._halted(False)
            self._arm()

    # The channel's calls (channels.ChannelOwner)

    def channel_data(self, data: bytes, ppid: int) -> None:
        now = self._now()
        if ppid == ASAP_PPID:
            if self._channel is not None and self._channel.control:
                self._perform(self._control(data, now))
                self._pump()
            return
        self._heard(now)
        if not self._deaf:
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

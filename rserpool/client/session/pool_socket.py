"""Sending to a pool message by message, with no session: the data_send_request primitive (RFC 5352 6.5)."""

import asyncio
import contextlib
import enum
from collections import OrderedDict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rserpool.client.errors import NoElement, SessionClosed, SessionFailed
from rserpool.client.node_addresses import texts
from rserpool.client.pool_user import PoolUser, octets
from rserpool.client.session.channels import Channel
from rserpool.client.session.connector import Connector
from rserpool.client.session.items import Data
from rserpool.errors import LocalProtocolError, RSerPoolError
from rserpool.messages.resolved import ResolvedElement
from rserpool.model.numbers import ASAP_PPID
from rserpool.protocol.session.outbox import check_ppid
from rserpool.settings.session import ENTRY_COST
from rserpool.transport.interface import FAST, MAX_USER_MESSAGE, AssociationGone, Down, Transport, Tuning

MAX_ASSOCIATIONS: Final = 64
"""Elements to which an association is kept: one more ends that which was used longest ago."""
AT_ONCE: Final = MAX_ASSOCIATIONS // 2
"""Elements that a message to all of them is handed to at a time."""
MAX_UNREAD: Final = 262_144
"""Octets received and not yet read, at which who sends more has to wait."""
CONNECT_TIMEOUT: Final = 5.0
"""Seconds that an association may take to come up."""
PATIENCE: Final = 30.0
"""Seconds for which a message is tried on one element after the other."""
PAUSE: Final = 0.25
"""Seconds before the pool is asked again, once every element has failed or there is none."""


class Send(enum.IntFlag):
    """Options of one message (RFC 5352 6.5.5)."""

    DEFAULT = 0x0000
    """By the pool's policy, with failover."""
    FAILOVER = 0x0001
    """Where the element cannot be reached, the next one gets the message."""
    NO_FAILOVER = 0x0002
    """Where the element cannot be reached, that is an error, and the message comes back with it."""
    TO_LAST = 0x0004
    """To the element that got the last message, as long as it is there."""
    TO_ALL = 0x0008
    """A copy to each element, but to the sender itself if it is one."""
    TO_SELF = 0x0010
    """With TO_ALL: to the sender itself too."""
    UNORDERED = 0x1000
    """The order of delivery does not matter. The transports here deliver in order all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message and the element that it is from."""

    data: Data
    element: ResolvedElement


class _ElementLink:
    """The kept association to one element (channels.ChannelOwner)."""

    def __init__(self, socket: "PoolSocket", element: ResolvedElement) -> None:
        self.element = element
        self.channel: Channel | None = None
        self.turn = asyncio.Lock()
        self.paused = False
        self._socket = socket
        self._changed: asyncio.Future[None] | None = None
        self._down = False

    async def give(self, data: bytes, ppid: int) -> bool:
        """Hand over a message, in turn; whether the transport has taken it."""
        async with self.turn:
            if self.channel is None and not self._down:
                await self._connect()
            while not self._down and self.channel is not None:
                if self.channel.ready:
                    try:
                        if self.channel.send(data, ppid):
                            return True
                    except AssociationGone:
                        pass
                await self._change()
            return False

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                channel = await self._socket.opener.open(self.element)
                self.channel = channel
                channel.owner = self
                if channel.ready:
                    channel.resume()
                while not channel.ready and not self._down:
                    await self._change()
        except (OSError, RSerPoolError):
            self.leave()

    async def _change(self) -> None:
        self._changed = asyncio.get_running_loop().create_future()
        await self._changed

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def leave(self) -> None:
        """End it at once."""
        self._down = True
        if self.channel is not None:
            self.channel.owner = None
            self.channel.abort()
            self.channel = None
        self._socket.forget(self)
        self._wake()

    def retire(self) -> None:
        """End it in order."""
        if self.channel is not None:
            self.channel.owner = None
            self.channel.shutdown()
            self.channel = None
        self.leave()

    def pause(self, paused: bool) -> None:
        """Let the element wait, or go on."""
        if self.channel is not None and paused != self.paused:
            self.paused = paused
            (self.channel.pause if paused else self.channel.resume)()

    def channel_up(self, channel: Channel) -> None:
        self._wake()

    def channel_data(self, data: bytes, ppid: int) -> None:
        if ppid != ASAP_PPID:
            self._socket.deliver(self, Data(data, ppid))

    def channel_writable(self) -> None:
        self._wake()

    def channel_restarted(self) -> None:
        """The next message finds the element as the last one did: there is no state."""

    def channel_down(self, reason: Down) -> None:
        self.channel = None
        self._down = True
        self._socket.forget(self)
        self._wake()


class PoolSocket:
    """Messages to and from the elements of one pool, each message to an element of its own: an asynchronous context
    manager. ``user`` resolves the pool: how often is up to its ``stale_cache``. ``identifier`` is the sender's own, if
    it is an element of the pool too. The other arguments are those of open_session()."""

    def __init__(
        self,
        handle: str | bytes,
        user: PoolUser,
        *,
        identifier: int | None = None,
        patience: float = PATIENCE,
        transport: Transport | None = None,
        tuning: Tuning = FAST,
        local: str | Sequence[str] | None = None,
    ) -> None:
        self.pool_handle = octets(handle)
        self.last: ResolvedElement | None = None
        """The element that got the last message."""
        self.opener = Connector(transport, tuning, texts(local))
        self._user = user
        self._identifier = identifier
        self._patience = patience
        self._turn = asyncio.Lock()
        self._lines: OrderedDict[int, _ElementLink] = OrderedDict()
        self._inbox: deque[Received] = deque()
        self._unread = 0
        self._arrival = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, data: bytes, ppid: int = 0, options: Send = Send.DEFAULT) -> tuple[ResolvedElement, ...]:
        """Send one message, and return the elements whose transports took it: one, or with TO_ALL any number of them.

        Messages leave in the order of the calls, also while the pool is being resolved (RFC 5352 6.5.1). SessionFailed,
        with the message in its ``unsent``, where no element could be reached; LocalProtocolError for PPID 11, a message
        of no octets or too many, and options that exclude each other.
        """
        check_ppid(ppid)
        if not 0 < len(data) <= MAX_USER_MESSAGE:
            raise LocalProtocolError(f"a message has 1 to {MAX_USER_MESSAGE} octets, not {len(data)}")
        if Send.FAILOVER in options and Send.NO_FAILOVER in options:
            raise LocalProtocolError("with failover or without?")
        if Send.TO_SELF in options and Send.TO_ALL not in options:
            raise LocalProtocolError("TO_SELF is an addition to TO_ALL (RFC 5352 6.5.5)")
        whole = bytes(data)
        async with self._turn:
            if self._closed:
                raise SessionClosed("the socket is closed")
            if Send.TO_ALL in options:
                return await self._send_to_all(whole, ppid, itself=Send.TO_SELF in options)
            return (await self._send_to_one(whole, ppid, options),)

    async def send_to(self, element: ResolvedElement, data: bytes, ppid: int = 0) -> None:
        """Send one message to that element and to no other (RFC 5352 6.5.3). Raises as send() does."""
        check_ppid(ppid)
        async with self._turn:
            if not await self._give(element, bytes(data), ppid):
                raise self._failure(data, ppid)

    async def receive(self) -> Received:
        """The next message of any element. SessionClosed after close()."""
        while not self._inbox:
            if self._closed:
                raise SessionClosed("the socket is closed")
            self._arrival.clear()
            await self._arrival.wait()
        received = self._inbox.popleft()
        self._unread -= len(received.data) + ENTRY_COST
        if self._unread <= MAX_UNREAD // 2:
            for line in self._lines.values():
                line.pause(False)
        return received

    async def close(self) -> None:
        """End all associations in order."""
        self._closed = True
        self._arrival.set()
        for line in tuple(self._lines.values()):
            line.retire()
        await self.opener.close()

    # Inside

    def _failure(self, data: bytes, ppid: int) -> SessionFailed:
        return SessionFailed(f"no pool element of {self.pool_handle!r} could be reached", (Data(data, ppid),))

    async def _send_to_one(self, data: bytes, ppid: int, options: Send) -> ResolvedElement:
        failed: set[int] = set()
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    element = await self._choose(failed, last=Send.TO_LAST in options)
                    if element is None:
                        failed.clear()
                        await asyncio.sleep(PAUSE)
                        continue
                    if await self._give(element, data, ppid):
                        return element
                    failed.add(element.identifier)
                    if Send.NO_FAILOVER in options:
                        raise self._failure(data, ppid)
        except TimeoutError:
            raise self._failure(data, ppid) from None

    async def _choose(self, failed: Collection[int], *, last: bool) -> ResolvedElement | None:
        if last and self.last is not None and self.last.identifier not in failed:
            return self.last
        with contextlib.suppress(NoElement):
            return await self._user.select(self.pool_handle, exclude=failed)
        return None

    async def _send_to_all(self, data: bytes, ppid: int, *, itself: bool) -> tuple[ResolvedElement, ...]:
        elements = {one.identifier: one for one in await self._user.resolve(self.pool_handle)}
        if not itself and self._identifier is not None:
            elements.pop(self._identifier, None)
        rest = list(elements.values())
        reached: list[ResolvedElement] = []
        while rest:
            some, rest = rest[:AT_ONCE], rest[AT_ONCE:]
            taken = await asyncio.gather(*(self._give(one, data, ppid) for one in some))
            reached += (one for one, took in zip(some, taken, strict=True) if took)
        if not reached:
            raise self._failure(data, ppid)
        return tuple(reached)

    async def _give(self, element: ResolvedElement, data: bytes, ppid: int) -> bool:
        """Hand a message to an element's transport; an element that cannot be reached is reported."""
        line = self._lines.get(element.identifier)
        if line is not None and line.element.user_transport != element.user_transport:
            line.retire()
            line = None
        if line is None:
            while len(self._lines) >= MAX_ASSOCIATIONS:
                next(iter(self._lines.values())).retire()
            line = self._lines[element.identifier] = _ElementLink(self, element)
        self._lines.move_to_end(element.identifier)
        if await line.give(data, ppid):
            self.last = element
            return True
        await self._user.report_unreachable(element)
        return False

    def forget(self, line: _ElementLink) -> None:
        """A line is over."""
        if self._lines.get(line.element.identifier) is line:
            del self._lines[line.element.identifier]

    def deliver(self, line: _ElementLink, data: Data) -> None:
        """A message came."""
        self._inbox.append(Received(data=data, element=line.element))
        self._unread += len(data) + ENTRY_COST
        self._arrival.set()
        if self._unread >= MAX_UNREAD:
            line.pause(True)

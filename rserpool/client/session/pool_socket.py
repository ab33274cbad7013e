"""Sends single messages to a pool, without a session: the data_send_request primitive (RFC 5352 6.5)."""

import asyncio
import contextlib
import enum
from collections import OrderedDict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rserpool.client.errors import NoElement, SessionClosed, SessionFailed
from rserpool.client.node_addresses import address_list
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
"""The largest number of elements to which associations are kept; one more closes the least recently used one."""
AT_ONCE: Final = MAX_ASSOCIATIONS // 2
"""The largest number of elements to which a TO_ALL message is sent at a time."""
MAX_UNREAD: Final = 262_144
"""The senders are paused while this many received octets have not been read."""
CONNECT_TIMEOUT: Final = 5.0
"""Seconds that an association may take to be established."""
PATIENCE: Final = 30.0
"""Seconds for which send() tries one element after the other."""
PAUSE: Final = 0.25
"""Seconds before elements are tried again, after all have failed or the pool was empty."""


class Send(enum.IntFlag):
    """Options of one message (RFC 5352 6.5.5)."""

    DEFAULT = 0x0000
    """Send to an element selected by the pool's policy, with failover."""
    FAILOVER = 0x0001
    """Try the next element if one cannot be reached."""
    NO_FAILOVER = 0x0002
    """Raise SessionFailed, with the message, if the element cannot be reached."""
    TO_LAST = 0x0004
    """Send to the element that got the last message, while it can be reached."""
    TO_ALL = 0x0008
    """Send a copy to each element, except the sender itself if it is one."""
    TO_SELF = 0x0010
    """With TO_ALL: send to the sender itself too."""
    UNORDERED = 0x1000
    """Allow delivery out of order. The transports here still deliver in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message, and the element that sent it."""

    data: Data
    element: ResolvedElement


class _ElementLink:
    """The association to one element, kept between messages (channels.ChannelOwner)."""

    def __init__(self, socket: "PoolSocket", element: ResolvedElement) -> None:
        self.element = element
        self.channel: Channel | None = None
        self._lock = asyncio.Lock()
        self.paused = False
        self._socket = socket
        self._changed: asyncio.Future[None] | None = None
        self._down = False

    async def send(self, data: bytes, ppid: int) -> bool:
        """Send a message after those before it. True if the transport has taken it."""
        async with self._lock:
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
                channel = await self._socket.connector.open(self.element)
                self.channel = channel
                channel.owner = self
                if channel.ready:
                    channel.resume()
                while not channel.ready and not self._down:
                    await self._change()
        except (OSError, RSerPoolError):
            self.abort()

    async def _change(self) -> None:
        self._changed = asyncio.get_running_loop().create_future()
        await self._changed

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def abort(self) -> None:
        """End the association at once."""
        self._down = True
        if self.channel is not None:
            self.channel.owner = None
            self.channel.abort()
            self.channel = None
        self._socket.forget(self)
        self._wake()

    def close(self) -> None:
        """End the association in an orderly way."""
        if self.channel is not None:
            self.channel.owner = None
            self.channel.shutdown()
            self.channel = None
        self.abort()

    def pause(self, paused: bool) -> None:
        """Pause or resume reading from the element."""
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
        """Nothing to do: messages to a pool have no state."""

    def channel_down(self, reason: Down) -> None:
        self.channel = None
        self._down = True
        self._socket.forget(self)
        self._wake()


class PoolSocket:
    """Sends messages to the elements of one pool, each to a newly selected element, and receives their answers: an
    asynchronous context manager.

    ``user`` resolves the pool, as often as its ``stale_cache`` requires. ``identifier`` is the sender's own identifier,
    if it is an element of the pool too. ``patience`` is how long send() tries, in seconds. The other arguments are
    those of open_session().
    """

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
        """The element that got the last message, or None before the first."""
        self.connector = Connector(transport, tuning, address_list(local))
        self._user = user
        self._identifier = identifier
        self._patience = patience
        self._send_lock = asyncio.Lock()
        self._links: OrderedDict[int, _ElementLink] = OrderedDict()
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
        """Send one message, and return the elements whose transports took it: one, or with TO_ALL any number.

        Messages are sent in the order of the calls, also while the pool is being resolved (RFC 5352 6.5.1). Raises
        SessionFailed, with the message in ``unsent``, if no element could be reached; SessionClosed after close();
        LocalProtocolError for PPID 11, an empty or too long message, and options that exclude each other.
        """
        check_ppid(ppid)
        if not 0 < len(data) <= MAX_USER_MESSAGE:
            raise LocalProtocolError(f"a message must have 1 to {MAX_USER_MESSAGE} octets, not {len(data)}")
        if Send.FAILOVER in options and Send.NO_FAILOVER in options:
            raise LocalProtocolError("FAILOVER and NO_FAILOVER exclude each other: choose one")
        if Send.TO_SELF in options and Send.TO_ALL not in options:
            raise LocalProtocolError("TO_SELF needs TO_ALL (RFC 5352 6.5.5)")
        whole = bytes(data)
        async with self._send_lock:
            if self._closed:
                raise SessionClosed("the PoolSocket is closed")
            if Send.TO_ALL in options:
                return await self._send_to_all(whole, ppid, itself=Send.TO_SELF in options)
            return (await self._send_to_one(whole, ppid, options),)

    async def send_to(self, element: ResolvedElement, data: bytes, ppid: int = 0) -> None:
        """Send one message to this element, without failover (RFC 5352 6.5.3). Raises as send() does."""
        check_ppid(ppid)
        async with self._send_lock:
            if not await self._send_to_element(element, bytes(data), ppid):
                raise self._failure(data, ppid)

    async def receive(self) -> Received:
        """Receive the next message from any element. Raises SessionClosed after close()."""
        while not self._inbox:
            if self._closed:
                raise SessionClosed("the PoolSocket is closed")
            self._arrival.clear()
            await self._arrival.wait()
        received = self._inbox.popleft()
        self._unread -= len(received.data) + ENTRY_COST
        if self._unread <= MAX_UNREAD // 2:
            for link in self._links.values():
                link.pause(False)
        return received

    async def close(self) -> None:
        """Close all associations in an orderly way."""
        self._closed = True
        self._arrival.set()
        for link in tuple(self._links.values()):
            link.close()
        await self.connector.close()

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
                    if await self._send_to_element(element, data, ppid):
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
            taken = await asyncio.gather(*(self._send_to_element(one, data, ppid) for one in some))
            reached += (one for one, took in zip(some, taken, strict=True) if took)
        if not reached:
            raise self._failure(data, ppid)
        return tuple(reached)

    async def _send_to_element(self, element: ResolvedElement, data: bytes, ppid: int) -> bool:
        """Send a message to one element. False, after a report to the registrar, if it cannot be reached."""
        link = self._links.get(element.identifier)
        if link is not None and link.element.user_transport != element.user_transport:
            link.close()
            link = None
        if link is None:
            while len(self._links) >= MAX_ASSOCIATIONS:
                next(iter(self._links.values())).close()
            link = self._links[element.identifier] = _ElementLink(self, element)
        self._links.move_to_end(element.identifier)
        if await link.send(data, ppid):
            self.last = element
            return True
        await self._user.report_unreachable(element)
        return False

    def forget(self, link: _ElementLink) -> None:
        """Forget an association that has ended."""
        if self._links.get(link.element.identifier) is link:
            del self._links[link.element.identifier]

    def deliver(self, link: _ElementLink, data: Data) -> None:
        """Queue a message for receive(); pause its sender when the inbox is full."""
        self._inbox.append(Received(data=data, element=link.element))
        self._unread += len(data) + ENTRY_COST
        self._arrival.set()
        if self._unread >= MAX_UNREAD:
            link.pause(True)

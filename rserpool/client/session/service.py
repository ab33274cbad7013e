"""The pool element's side of sessions: a listening service, and its sessions with pool users.

async with Service() as service:
    async for session in service.sessions():
        ...
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self

from rserpool import messages
from rserpool.client.errors import SessionClosed
from rserpool.client.session.channels import Channel
from rserpool.client.session.cookie_sealing import CookieInvalid, Sealer
from rserpool.client.session.items import CookieRejected, Resumed
from rserpool.client.session.listeners import Listener, listen
from rserpool.client.session.session_base import SessionBase
from rserpool.messages import BusinessCard
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.session.element_session import (
    CardReceived,
    CookieEchoed,
    ElementSession,
    ElementSessionAction,
    ElementSessionEnded,
)
from rserpool.settings.session import ENTRY_COST, ServiceSettings
from rserpool.transport.interface import Address, Down, Transport, Tuning

__all__ = ["Service", "ServiceSession"]


ANYWHERE = ("0.0.0.0",)
"""Where a service listens if no addresses are given."""


class ServiceSession(SessionBase[Resumed | CookieRejected, ElementSessionAction]):
    """A session with one pool user.

    It yields Data. If the user comes from another element, the first item is Resumed, or CookieRejected if its cookie
    is invalid.
    """

    _machine: ElementSession

    def __init__(self, service: "Service", channel: Channel, number: int) -> None:
        settings = service.settings
        super().__init__(ElementSession(number, settings, control=channel.control), settings.max_unread)
        self._service = service
        self._channel = channel
        self._max_message = channel.max_message
        self._peer = channel.addresses, channel.port
        self._cookie: bytes | None = None
        self._sequence = 0
        self.restored: bytes | None = None
        """The state that the user brought from its previous element; None if there is none or its cookie is invalid."""
        self.card: BusinessCard | None = None
        """The latest business card of a user that is a pool element too, else None (RFC 5352 3.9)."""
        self.failed = False
        """True if the session has ended with a failure, not in an orderly way."""

    @property
    def peer_addresses(self) -> tuple[Address, ...]:
        """The pool user's addresses."""
        return self._peer[0]

    @property
    def peer_port(self) -> int:
        """The pool user's port."""
        return self._peer[1]

    @property
    def counters(self) -> dict[str, int]:
        """The number of control messages received, by kind; ``malformed``, ``unexpected`` and ``surplus echoes`` were
        ignored."""
        return dict(self._machine.counters)

    @property
    def cookie(self) -> bytes | None:
        """The state sent to the user last, for its next element (RFC 5352 3.8). Setting it sends it as a cookie, sealed
        if the service has a sealer. Of two cookies that wait to be sent, only the later one is sent.

        Setting it raises LocalProtocolError if the session has no control channel, or if the state is empty or too
        long; SessionClosed after the end.
        """
        return self._cookie

    @cookie.setter
    def cookie(self, state: bytes) -> None:
        self._check_open()
        seal = self._service.seal
        cookie = bytes(state)
        if seal is not None and self._machine.control_channel:
            service = self._service
            sequence = self._sequence + 1
            cookie = seal.seal(service.pool_handle, cookie, sequence=sequence, identifier=service.identifier)
            self._sequence = sequence
        self._machine.send_cookie(cookie)
        self._cookie = bytes(state)
        self._pump()

    def send_card(self) -> None:
        """Send the service's current business card, which sets the user's order of failover (RFC 5352 3.9)."""
        card = self._service.card()
        if card is not None:
            self._machine.send_card(card)
            self._pump()

    def abort(self) -> None:
        """End the session at once; the user fails over to another element."""
        self._perform(self._machine.leave(self._now()))

    def _perform(self, actions: Sequence[ElementSessionAction]) -> None:
        for action in actions:
            match action:
                case Shutdown() if self._channel is not None:
                    self._channel.shutdown()
                case Abort() if self._channel is not None:
                    self._channel.owner = None
                    self._channel.abort()
                case CookieEchoed():
                    self._deliver(self._restore(action.cookie), ENTRY_COST + len(action.cookie), first=True)
                case CardReceived():
                    self.card = action.card
                    self._service.learn(action.card)
                case ElementSessionEnded():
                    self.failed = action.failed
                    self._finish(None)
                    self._service.ended(self)

    def _restore(self, cookie: bytes) -> Resumed | CookieRejected:
        """Check the user's cookie, and return the item for the application."""
        service = self._service
        if service.seal is None:
            self.restored = cookie
            return Resumed(cookie=cookie)
        try:
            opened = service.seal.open(service.pool_handle, cookie, at_least=self._sequence)
        except CookieInvalid as invalid:
            service.counters["cookies rejected"] += 1
            return CookieRejected(reason=invalid.reason.value)
        self._sequence = opened.sequence
        self.restored = opened.state
        return Resumed(cookie=opened.state)

    def _item_read(self, item: Resumed | CookieRejected) -> None:
        self._machine.echo_taken()

    def _control(self, data: bytes, now: int) -> Sequence[ElementSessionAction]:
        return self._machine.control(data, now)

    # Callbacks of the channel

    def channel_up(self, channel: Channel) -> None:
        """Never called: the channel is up before the session exists."""

    def channel_restarted(self) -> None:
        """End this session; the restarted user gets a new one."""
        channel = self._channel
        self._perform(self._machine.restarted(self._now()))
        if channel is not None:
            self._service.channel_up(channel)

    def channel_down(self, reason: Down) -> None:
        self._perform(self._machine.down(reason, self._now()))


class Service:
    """Listens for pool users: an asynchronous context manager. Entering it opens the port. Leaving it closes the port
    and aborts the open sessions, so that their users fail over at once.

    ``protocol`` is ``sctp``, ``tcp`` or ``udp``. TCP, UDP, and SCTP without ``control`` carry data only: no cookies and
    no business cards (RFC 5354 3.4). ``addresses`` and ``port`` are where to listen: by default any address (for the
    service of a pool element, the addresses of its node) and any port. ``transport`` carries SCTP; by default one is
    chosen, with ``tuning``. ``seal`` seals the cookies. A pool element opens its service itself, and registers the
    transport that open() returns.
    """

    def __init__(
        self,
        *,
        protocol: str = "sctp",
        addresses: Sequence[str] = (),
        port: int = 0,
        control: bool = True,
        transport: Transport | None = None,
        tuning: Tuning | None = None,
        settings: ServiceSettings | None = None,
        seal: Sealer | None = None,
    ) -> None:
        self.settings = settings or ServiceSettings()
        self.pool_handle = b""
        self.identifier = 0
        """The identifier of the pool element that serves; sealed cookies contain it."""
        self.seal = seal
        self.card: Callable[[], BusinessCard | None] = lambda: None
        """Returns the business card for each user with a control channel, or None for no card."""
        self.learn: Callable[[BusinessCard], None] = lambda card: None
        """Called with the business cards of users that are pool elements too."""
        self.counters: Counter[str] = Counter()
        """Counts ``sessions``, ``refused`` users and ``cookies rejected``."""
        self._where = protocol, tuple(addresses), port
        self._control = control and protocol == "sctp"
        self._given = transport, tuning or Tuning()
        self._listener: Listener | None = None
        self._active: set[ServiceSession] = set()
        self._arrived: deque[ServiceSession] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._number = 0
        self._closed = False

    async def open(
        self,
        pool_handle: bytes = b"",
        addresses: Sequence[str] = (),
        *,
        transport: Transport | None = None,
        card: Callable[[], BusinessCard | None] | None = None,
    ) -> messages.Transport:
        """Start to listen, and return the transport parameter to register. ``addresses``, ``transport`` and ``card``
        count only where the constructor got none.

        Raises OSError with address and port in its text, TransportUnavailable, or LocalProtocolError for an unknown
        protocol.
        """
        self.pool_handle = pool_handle
        self.card = card or self.card
        protocol, own, port = self._where
        given, tuning = self._given
        self._listener = await listen(
            protocol,
            self,
            own or tuple(addresses) or ANYWHERE,
            port,
            self.settings,
            control=self._control,
            transport=given or transport,
            tuning=tuning,
        )
        return self._listener.user_transport

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def user_transport(self) -> messages.Transport:
        """The transport parameter to register: protocol, addresses and port. Raises SessionClosed before open()."""
        if self._listener is None:
            raise SessionClosed("the service is not open")
        return self._listener.user_transport

    @property
    def active(self) -> int:
        """The number of open sessions."""
        return len(self._active)

    async def accept(self) -> ServiceSession:
        """Wait for the next session. Raises SessionClosed after the service is closed."""
        while not self._arrived:
            if self._closed:
                raise SessionClosed("the service is closed")
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            try:
                await waiting
            finally:
                self._waiting.remove(waiting)
        return self._arrived.popleft()

    async def sessions(self) -> AsyncIterator[ServiceSession]:
        """Iterate over new sessions, until the service is closed."""
        while True:
            try:
                session = await self.accept()
            except SessionClosed:
                return
            yield session

    async def close(self) -> None:
        """Abort the open sessions, and close the port."""
        self._closed = True
        for session in tuple(self._active):
            session.abort()
        self._arrived.clear()
        self._wake()
        if self._listener is not None:
            await self._listener.close()

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def ended(self, session: ServiceSession) -> None:
        """Forget a session that has ended; if it waits to be accepted with unread items, it can still be accepted."""
        self._active.discard(session)
        if session in self._arrived and not session.unread:
            self._arrived.remove(session)

    def channel_up(self, channel: Channel) -> None:
        """Make a session for a new user (channels.ChannelOwner, of channels that have no session yet)."""
        if self._closed or max(len(self._active), len(self._arrived)) >= self.settings.max_sessions:
            self.counters["refused"] += 1
            channel.owner = None
            channel.abort()
            return
        self._number += 1
        self.counters["sessions"] += 1
        session = ServiceSession(self, channel, self._number)
        channel.owner = session
        self._active.add(session)
        self._arrived.append(session)
        session.send_card()
        self._wake()

    def channel_data(self, data: bytes, ppid: int) -> None:
        """Never called: each channel has a session from its first event on."""

    def channel_writable(self) -> None:
        """Never called; see channel_data."""

    def channel_restarted(self) -> None:
        """Never called; see channel_data."""

    def channel_down(self, reason: Down) -> None:
        """Never called; see channel_data."""

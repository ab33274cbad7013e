"""The pool user's session: it fails over to another pool element when one fails (RFC 5352 3.8, 3.9, 6.5).

async with open_session("EchoPool", registrars=["10.0.0.1"]) as session:
    await session.send(b"hello")
    print(await session.receive())
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypedDict, Unpack

from rserpool.client.errors import SessionFailed, UnknownPool
from rserpool.client.node_addresses import address_list
from rserpool.client.pool_element import PoolElement
from rserpool.client.pool_user import PoolUser, octets
from rserpool.client.session.channels import Channel
from rserpool.client.session.connector import Connector
from rserpool.client.session.items import Data
from rserpool.client.session.session_base import SessionBase
from rserpool.errors import LocalProtocolError, RSerPoolError
from rserpool.messages import BusinessCard
from rserpool.messages.resolved import ResolvedElement
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.session.user_session import (
    Confirm,
    FailedOver,
    FailoverEvent,
    Open,
    Report,
    Resolve,
    Select,
    UserSession,
    UserSessionAction,
    UserSessionEnded,
)
from rserpool.protocol.session.user_table import UserSessionState
from rserpool.settings.session import ENTRY_COST, Failover, SessionSettings
from rserpool.transport.interface import FAST, Down, Transport, Tuning

__all__ = ["FailoverEvent", "Session", "open_session"]

MAX_EVENTS = 64
"""The largest number of FailoverEvents queued for the application; one more replaces the latest."""
REPORT_WAIT = 1.0
"""Seconds that close() waits for unreachability reports to be sent."""


class Session(SessionBase[FailoverEvent, UserSessionAction]):
    """A session with a pool, served by one pool element at a time. Made by open_session().

    It yields Data, and FailoverEvent with ``failover="event"``.
    """

    _machine: UserSession

    def __init__(
        self,
        handle: bytes,
        user: PoolUser,
        connector: Connector,
        settings: SessionSettings,
        card: Callable[[], BusinessCard | None] = lambda: None,
    ) -> None:
        super().__init__(UserSession(handle, settings, random.random, card), settings.max_unread)
        self._user = user
        self._connector = connector
        self._opened = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reports: set[asyncio.Task[None]] = set()
        self._opening: asyncio.Task[None] | None = None
        self._events = 0
        self._cause: Exception | None = None

    @property
    def pool_handle(self) -> bytes:
        """The pool handle."""
        return self._machine.pool_handle

    @property
    def element(self) -> ResolvedElement | None:
        """The element that serves the session, or None while there is none."""
        return (
            self._machine.element if self._machine.state in (UserSessionState.OPEN, UserSessionState.CLOSING) else None
        )

    @property
    def cookie(self) -> bytes | None:
        """The latest cookie that an element has sent."""
        return self._machine.cookie

    @property
    def failovers(self) -> int:
        """The number of failovers to another element."""
        return self._machine.failovers

    @property
    def counters(self) -> dict[str, int]:
        """The number of control messages received, by kind; ``malformed`` and ``unexpected`` ones were ignored."""
        return dict(self._machine.counters)

    async def start(self) -> None:
        """Select an element, and wait until it serves. Raises SessionFailed if none does within ``patience``
        seconds."""
        self._perform(self._machine.start(self._now()))
        self._arm()
        await self._opened.wait()
        if self._error is not None:
            raise self._error

    async def force_failover(self, *, report: bool = False) -> None:
        """Fail over to another element, and wait until one serves. With ``report``, report the old element to the
        registrar as unreachable. Raises SessionFailed if no element serves within ``patience`` seconds."""
        self._check_open()
        self._opened.clear()
        self._perform(self._machine.force(self._now(), report=report))
        self._arm()
        await self._opened.wait()
        self._check_open()

    def send_card(self) -> None:
        """Send the new business card of this pool user's own pool element (RFC 5352 3.9)."""
        self._machine.send_card()
        self._pump()

    async def close(self) -> None:
        """Close the session in an orderly way; see SessionBase.close. Also waits up to REPORT_WAIT seconds for
        reports."""
        await super().close()
        if self._reports:
            await asyncio.wait(self._reports, timeout=REPORT_WAIT)
        tasks = self._tasks | self._reports
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._connector.close()

    aclose = close

    # The actions of the state machine

    def _perform(self, actions: Sequence[UserSessionAction]) -> None:
        for action in actions:
            match action:
                case Select():
                    self._spawn(self._select(action.exclude), self._tasks)
                case Open():
                    self._opening = self._spawn(self._open(action), self._tasks)
                case Resolve():
                    self._spawn(self._resolve_card(action.pool_handle), self._tasks)
                case Confirm():
                    self._spawn(self._confirm(action.element), self._tasks)
                case Report():
                    self._spawn(self._report(action.element), self._reports)
                case Abort():
                    self._leave_channel()
                case Shutdown():
                    if self._channel is not None:
                        self._channel.shutdown()
                case FailedOver():
                    self._deliver_event(action.event)
                case UserSessionEnded():
                    self._end(action)

    def _spawn(self, work: Coroutine[Any, Any, None], group: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        group.add(task)
        task.add_done_callback(group.discard)
        return task

    async def _select(self, exclude: frozenset[int]) -> None:
        try:
            element = await self._user.select(self.pool_handle, exclude=exclude)
        except RSerPoolError as error:
            self._cause = error
            self._perform(self._machine.nothing_selected(self._now()))
        else:
            self._perform(self._machine.selected(element, self._now()))
        self._arm()

    async def _open(self, action: Open) -> None:
        try:
            channel = await self._connector.open(action.element)
        except (OSError, RSerPoolError) as error:
            self._cause = error
            tried = isinstance(error, ConnectionError | TimeoutError)
            self._perform(self._machine.down(action.channel, Down.CANT_START, self._now(), tried=tried))
            self._arm()
            return
        if self._machine.channel != action.channel or self._machine.state is not UserSessionState.CONNECTING:
            channel.abort()
            return
        self._channel = channel
        channel.owner = self
        if channel.ready:
            self.channel_up(channel)
            channel.resume()

    async def _resolve_card(self, handle: bytes) -> None:
        with contextlib.suppress(RSerPoolError):
            await self._user.resolve(handle)

    async def _confirm(self, element: ResolvedElement) -> None:
        """Ask the pool whether the element is still registered. Without an answer it counts as registered, so that the
        session ends."""
        try:
            elements = await self._user.resolve(self.pool_handle, fresh_within=0.0)
            listed = element.identifier in {one.identifier for one in elements}
        except UnknownPool:
            listed = False
        except RSerPoolError:
            listed = True
        self._perform(self._machine.confirmed(element, listed=listed, now=self._now()))
        self._arm()

    async def _report(self, element: ResolvedElement) -> None:
        with contextlib.suppress(RSerPoolError):
            await self._user.report_unreachable(element)

    def _leave_channel(self) -> None:
        channel = self._channel
        self._release_channel()
        if channel is not None:
            channel.abort()
        elif self._opening is not None:
            self._opening.cancel()

    def _deliver_event(self, event: FailoverEvent) -> None:
        if self._events < MAX_EVENTS:
            self._events += 1
            self._deliver(event, ENTRY_COST)
            return
        for index in range(len(self._inbox) - 1, -1, -1):
            if isinstance(self._inbox[index][0], FailoverEvent):
                del self._inbox[index]
                self._inbox.append((event, ENTRY_COST))
                return

    def _end(self, action: UserSessionEnded) -> None:
        error = None
        if action.reason is not None:
            error = SessionFailed(action.reason, tuple(Data(one.data, one.ppid) for one in action.unsent))
            error.__cause__ = self._cause
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self._finish(error)
        self._opened.set()

    def _item_read(self, item: FailoverEvent) -> None:
        self._events -= 1

    def _reading_paused(self, paused: bool) -> None:
        if paused:
            self._machine.hold()
        else:
            self._machine.release(self._now())

    def _data_received(self, now: int) -> None:
        self._machine.heard()

    def _control(self, data: bytes, now: int) -> Sequence[UserSessionAction]:
        return self._machine.control(self._machine.channel, data, now)

    # Callbacks of the channel

    def channel_up(self, channel: Channel) -> None:
        if channel is not self._channel or self._machine.state is not UserSessionState.CONNECTING:
            return
        self._max_message = channel.max_message
        self._perform(self._machine.up(self._machine.channel, self._now()))
        self._opened.set()
        self._pump()

    def channel_restarted(self) -> None:
        self._perform(self._machine.restarted(self._machine.channel, self._now()))
        self._arm()

    def channel_down(self, reason: Down) -> None:
        self._release_channel()
        self._perform(self._machine.down(self._machine.channel, reason, self._now()))
        self._arm()


class SessionOptions(TypedDict, total=False):
    """The fields of SessionSettings that open_session() takes directly."""

    failover: str | Failover
    silence: float | None
    reopen: bool | None
    patience: float
    max_unread: int


def session_settings(settings: SessionSettings, changes: SessionOptions) -> SessionSettings:
    """The settings with those changes. Raises LocalProtocolError for a value that makes no sense."""
    values: dict[str, Any] = {"failover": settings.failover, **changes}
    try:
        values["failover"] = Failover(values["failover"])
    except ValueError:
        raise LocalProtocolError(f"failover must be silent, event or error, not {values['failover']!r}") from None
    return replace(settings, **values)


@contextlib.asynccontextmanager
async def open_session(
    handle: str | bytes,
    *,
    user: PoolUser | None = None,
    pool_element: PoolElement | None = None,
    registrars: Sequence[str] = (),
    local: str | Sequence[str] | None = None,
    settings: SessionSettings | None = None,
    transport: Transport | None = None,
    tuning: Tuning = FAST,
    **changes: Unpack[SessionOptions],
) -> AsyncIterator[Session]:
    """Open a session with a pool: an asynchronous context manager that yields the Session and closes it at the end.

    ``failover`` ("silent", "event" or "error"), ``silence``, ``reopen``, ``patience`` and ``max_unread`` change these
    fields of ``settings``; see SessionSettings, whose defaults apply without ``settings``.

    ``user`` selects the elements. Without it the session makes a pool user: on the node of ``pool_element``, or with
    ``registrars`` (by default found by multicast) and ``local``. ``pool_element`` is this pool user's own pool element,
    if it has one; the session sends that element's business card to each element that serves (RFC 5352 3.9).

    ``transport`` carries SCTP data; by default one is chosen, with ``tuning``. FAST finds a silent element within
    0.4 s, but no element may block its event loop for 0.3 s where SCTP runs in its process. ``local`` holds the local
    addresses to use.

    Raises SessionFailed if no element serves within ``patience`` seconds, and LocalProtocolError for an invalid
    argument.
    """
    chosen = session_settings(settings or SessionSettings(), changes)
    async with contextlib.AsyncExitStack() as stack:
        if user is None:
            own = PoolUser(node=pool_element.node) if pool_element else PoolUser(registrars=registrars, local=local)
            user = await stack.enter_async_context(own)
        card = pool_element.business_card if pool_element is not None else lambda: None
        session = Session(octets(handle), user, Connector(transport, tuning, address_list(local)), chosen, card)
        stack.push_async_callback(session.close)
        await session.start()
        yield session

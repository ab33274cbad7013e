"""An ASAP endpoint for pool elements and a pool user: connects the protocol machine with transports and timers."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypedDict

from rserpool.client.node_addresses import address_list, announcement_groups, local_addresses, server_addresses
from rserpool.errors import LocalProtocolError
from rserpool.model.addresses import Address
from rserpool.model.numbers import ASAP_PPID
from rserpool.protocol.actions import Abort, Note, Send, Shutdown
from rserpool.protocol.client import node as protocol
from rserpool.protocol.client.actions import Action, Dial, Publish
from rserpool.protocol.client.events import ClientEvent, ElementStatus, Home, HomeChanged, PoolChanged, Resolution
from rserpool.settings.client import ClientSettings
from rserpool.transport.association_table import (
    AssociationEntry,
    AssociationEvents,
    AssociationTable,
    EndpointAdapter,
)
from rserpool.transport.choose import choose
from rserpool.transport.interface import Endpoint, Transport, Tuning
from rserpool.transport.notes import Notes
from rserpool.transport.tcp.endpoint import TcpTransport
from rserpool.transport.udp.announce import AnnounceListener
from rserpool.transport.wheel_timer import WheelTimer

log = logging.getLogger("rserpool.client")

REJOIN = 30.0
"""Seconds between two checks for new network interfaces on which to listen for announcements."""
QUEUE_LIMIT = 1 << 18
"""Octets that may wait for a registrar that does not read. Beyond, its association is aborted."""


class NodeOptions(TypedDict, total=False):
    """The arguments that a pool element or pool user with a node of its own passes on to that node. See Node."""

    registrars: Sequence[str]
    settings: ClientSettings | None
    transport: Transport | None
    local: str | Sequence[str] | None
    groups: Sequence[str] | None
    interfaces: Sequence[str] | None


class UserNodeOptions(NodeOptions, total=False):
    """NodeOptions, and those for pool users alone: a pool element does not use TCP (RFC 5352 2.1)."""

    tcp: bool
    tcp_transport: Transport | None


class Node:
    """An ASAP endpoint with one home registrar, shared by pool elements and a pool user: an asynchronous context
    manager.

    ``registrars``: the configured registrars, as node_addresses.server_addresses reads them. ``groups``: the multicast
    groups, ADDRESS:PORT, in which registrars announce themselves; by default those of IANA and rsplib if no registrar
    is configured, else none. ``interfaces``: the network interfaces to listen on for announcements; by default all.
    ``local``: the local addresses to use; ``preferred``: addresses of this host to use if ``local`` is not given.
    ``tcp``: use a registrar that announces TCP; for a pool user only. ``listen``: let registrars open associations to
    this node, which pool elements need. ``transport`` carries SCTP, ``tcp_transport`` TCP; the node stops only those
    that it chose itself.

    Raises LocalProtocolError for an invalid argument. Entering raises OSError or TransportUnavailable.
    """

    def __init__(
        self,
        *,
        registrars: Sequence[str] = (),
        settings: ClientSettings | None = None,
        transport: Transport | None = None,
        tcp_transport: Transport | None = None,
        local: str | Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        interfaces: Sequence[str] | None = None,
        tcp: bool = False,
        listen: bool = True,
        preferred: Sequence[Address] = (),
    ) -> None:
        self.settings = settings or ClientSettings()
        self._registrars = server_addresses(registrars)
        self._groups = announcement_groups(groups, registrars)
        self._interfaces = interfaces
        self._local = address_list(local)
        self._listen = listen
        self._preferred = preferred
        self._given = {True: transport, False: tcp_transport}
        self._tcp = tcp or any(not registrar.sctp for registrar in self._registrars)
        self._sctp = bool(self._groups) or any(registrar.sctp for registrar in self._registrars)
        self._protocol: protocol.Node | None = None
        self._adapters: dict[bool, EndpointAdapter] = {}
        self._endpoints: dict[bool, Endpoint] = {}
        self._own: list[Transport] = []
        self._listeners: list[AnnounceListener] = []
        self._rejoin: asyncio.TimerHandle | None = None
        self._notes = Notes(log)
        self._elements: dict[int, Callable[[ElementStatus], None]] = {}
        self._resolutions: dict[int, asyncio.Future[Resolution]] = {}
        self._watchers: dict[bytes, list[Callable[[PoolChanged | None], None]]] = {}
        self.home: Home | None = None
        """The home registrar, or None while there is none."""

    # Life

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Open the endpoints, and start to look for a registrar."""
        if self._protocol is not None:
            raise LocalProtocolError("a node can be opened only once: make another one")
        self._loop = asyncio.get_running_loop()
        self._timer = WheelTimer(self._loop, self._expired)
        randomness = random.SystemRandom()
        self._protocol = protocol.Node(self.settings, randomness, self.now(), self._registrars, tcp=self._tcp)
        events = AssociationEvents(up=self._up, message=self._message, down=lambda entry: self._down(entry.number))
        self._associations = AssociationTable(events, self._protocol.number)
        try:
            if self._sctp:
                await self._open(sctp=True)
            if self._tcp:
                await self._open(sctp=False)
        except BaseException:
            await self.close()
            raise
        for group in self._groups:
            try:
                self._listeners.append(AnnounceListener([group], self.announced, interfaces=self._interfaces))
            except OSError as error:
                log.info("cannot listen for registrars' announcements: %s", error.strerror or error)
        if self._listeners:
            self._rejoin = self._loop.call_later(REJOIN, self._join_new_interfaces)
        self._carry_out(self._protocol.start(self.now()))

    async def _open(self, *, sctp: bool) -> None:
        assert self._protocol is not None
        transport = self._given[sctp]
        if transport is None:
            tuning = tuning_for(self.settings.registrar_silence)
            transport, why = choose(tuning=tuning) if sctp else (TcpTransport(), "for pool users")
            log.debug("%s: %s", transport.name, why)
            self._own.append(transport)
        adapter = self._adapters[sctp] = EndpointAdapter(self._associations, ASAP_PPID, QUEUE_LIMIT)
        addresses = self._local or []
        if sctp:
            reached = [registrar for registrar in self._registrars if registrar.sctp]
            multihomed = transport.name == "kernel"
            addresses = self._local or local_addresses(reached, self._preferred, multihomed=multihomed)
        endpoint = await transport.endpoint(adapter, addresses=addresses, listen=self._listen and sctp)
        self._endpoints[sctp] = endpoint

    async def close(self) -> None:
        """Shut down the associations and end all waits. Pool elements are not deregistered; the registrar removes them
        when their association ends."""
        if self._protocol is not None:
            self._timer.cancel()
        if self._rejoin is not None:
            self._rejoin.cancel()
            self._rejoin = None
        while self._listeners:
            self._listeners.pop().close()
        if self._protocol is not None and not self._protocol.stopped:
            self._carry_out(self._protocol.stop(self.now()))
            for watchers in tuple(self._watchers.values()):
                for watcher in tuple(watchers):
                    watcher(None)
        while self._endpoints:
            await self._endpoints.popitem()[1].close()
        while self._own:
            await self._own.pop().stop()

    @property
    def protocol(self) -> protocol.Node:
        """The protocol machine. Raises LocalProtocolError before the node is opened and after it is closed."""
        if self._protocol is None or self._protocol.stopped:
            raise LocalProtocolError("the node is not open: enter it first, and do not use it after its end")
        return self._protocol

    @property
    def takes_elements(self) -> bool:
        """True if the node can register pool elements: it speaks SCTP, and registrars may open associations to it."""
        return self._sctp and self._listen

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """The addresses of the SCTP endpoint. The addresses of a registered element must be among them (RFC 5352
        2.2.1)."""
        return self._endpoints[True].local_addresses if True in self._endpoints else ()

    @property
    def port(self) -> int:
        """The port of the SCTP endpoint; 0 without one."""
        return self._endpoints[True].port if True in self._endpoints else 0

    def now(self) -> int:
        """The time of the event loop in microseconds."""
        return self._timer.now()

    # Requests of pool elements and the pool user

    def carry_out_pending(self) -> None:
        """Carry out the actions that calls on the protocol machine have queued."""
        self._carry_out(self.protocol.drain())

    def watch_element(self, number: int, callback: Callable[[ElementStatus], None] | None) -> None:
        """Set the callback for changes of one element's state; None removes it."""
        if callback is None:
            self._elements.pop(number, None)
        else:
            self._elements[number] = callback

    async def resolution(self, handle: bytes, items: int, fresh_within: float | None = None) -> Resolution:
        """Resolve a pool handle once. Cancelling the call cancels the request."""
        user = self.protocol.user
        ticket = user.resolve(handle, self.now(), items, fresh_within)
        answer: asyncio.Future[Resolution] = self._loop.create_future()
        self._resolutions[ticket] = answer
        try:
            self.carry_out_pending()
            return await answer
        finally:
            del self._resolutions[ticket]
            user.cancel(ticket)

    def watch_pool(self, handle: bytes, interval: float, callback: Callable[[PoolChanged | None], None]) -> None:
        """Call ``callback`` with the pool as it is, and after each change; with None when the node is closed."""
        self._watchers.setdefault(handle, []).append(callback)
        self.protocol.user.watch(handle, self.now(), interval)
        self.carry_out_pending()

    def unwatch_pool(self, handle: bytes, callback: Callable[[PoolChanged | None], None]) -> None:
        """Stop calling ``callback``."""
        watchers = self._watchers[handle]
        watchers.remove(callback)
        if not watchers:
            del self._watchers[handle]
            with contextlib.suppress(LocalProtocolError):
                self.protocol.user.unwatch(handle, self.now())
                self.carry_out_pending()

    # Events of the transports

    def announced(self, data: bytes, address: Address, port: int) -> None:
        """Handle an announcement: a datagram to one of the multicast groups."""
        self._carry_out(self.protocol.announced(data, address, port, self.now()))

    def _join_new_interfaces(self) -> None:
        self._rejoin = self._loop.call_later(REJOIN, self._join_new_interfaces)
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.rejoin()

    def _up(self, entry: AssociationEntry) -> None:
        assert entry.peer is not None
        self._carry_out(self.protocol.up(entry.number, entry.peer, self.now()))

    def _message(self, entry: AssociationEntry, data: bytes) -> None:
        self._carry_out(self.protocol.received(entry.number, data, self.now()))

    def _down(self, number: int) -> None:
        assert self._protocol is not None
        self._carry_out(self._protocol.down(number, self.now()))

    # Actions and time

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(number, data):
                    self._associations.send(number, data)
                case Dial():
                    self._dial(action)
                case Abort(number):
                    self._associations.abort(number)
                case Shutdown(number):
                    self._associations.shutdown(number)
                case Publish(event):
                    self._publish(event)
                case Note():
                    self._notes.write(action, self._loop.time())
        assert self._protocol is not None
        self._timer.schedule(self._protocol.next_expiry)

    def _dial(self, call: Dial) -> None:
        failed = partial(self._down, call.association)
        adapter = self._adapters.get(call.sctp)
        if adapter is None or not adapter.connect(
            self._endpoints[call.sctp], call.addresses, call.port, failed, call.association
        ):
            self._loop.call_soon(failed)

    def _publish(self, event: ClientEvent) -> None:
        match event:
            case ElementStatus(element=number) if number in self._elements:
                self._elements[number](event)
            case Resolution(ticket=ticket) if ticket in self._resolutions:
                if not self._resolutions[ticket].done():
                    self._resolutions[ticket].set_result(event)
            case PoolChanged(pool_handle=handle):
                for watcher in tuple(self._watchers.get(handle, ())):
                    watcher(event)
            case HomeChanged(home=home):
                self.home = home

    def _expired(self) -> None:
        self._carry_out(self.protocol.advance(self.now()))


def tuning_for(silence: float) -> Tuning:
    """The SCTP timers that detect the loss of an idle peer within ``silence`` seconds (Tuning.found_idle). If
    ``silence`` is 0, the default timers."""
    if not silence:
        return Tuning()
    beat = silence / 15
    return Tuning(
        rto_initial=beat,
        rto_min=beat / 2,
        rto_max=beat,
        association_retransmissions=4,
        path_retransmissions=2,
        init_retransmissions=4,
        heartbeat=beat,
    )

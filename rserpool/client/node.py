"""An ASAP endpoint of pool elements and of a pool user: the protocol object between transports, timers and tasks."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypedDict

from rserpool.client.node_addresses import announcement_groups, local_addresses, server_addresses, texts
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
"""Seconds between two looks for interfaces that have appeared, and on which registrars may be heard."""
QUEUE_LIMIT = 1 << 18
"""Octets that may wait for a registrar that does not read. Beyond, its association is aborted."""


class NodeOptions(TypedDict, total=False):
    """The arguments of a Node that its only pool element or pool user passes on, for a node of its own. See Node."""

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
    """Where pool elements and a pool user live together, with one home registrar: an asynchronous context manager.

    ``registrars``: the configured registrars, as node_addresses.server_addresses reads them. ``groups``: the multicast
    groups, ADDRESS:PORT, in which registrars announce themselves; by default those of IANA and rsplib if no registrar
    is configured, else none. ``interfaces``: the network interfaces to listen on for announcements; by default all.
    ``local``: the addresses to speak from; ``preferred``: addresses of this host to use if ``local`` is not given.
    ``tcp``: use a registrar that announces TCP; for a pool user only. ``listen``: let registrars open associations to
    this node, which pool elements need. ``transport`` carries SCTP, ``tcp_transport`` TCP; the node stops only those
    that it chose itself.

    Raises LocalProtocolError for an argument that makes no sense. Entering raises OSError or TransportUnavailable.
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
        self._local = texts(local)
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
        """The home registrar; None while there is none."""

    # Life

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Open the endpoints, and begin to look for a registrar."""
        if self._protocol is not None:
            raise LocalProtocolError("the node is open, or was: make another one")
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
                log.info("registrars are not heard: %s", error.strerror or error)
        if self._listeners:
            self._rejoin = self._loop.call_later(REJOIN, self._look_for_interfaces)
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
        """End at once: associations are shut down, who waits is told. Elements are not deregistered: registrars notice
        that their association has ended."""
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
        """The protocol object. LocalProtocolError before the node is open, and after it was closed."""
        if self._protocol is None or self._protocol.stopped:
            raise LocalProtocolError("the node is not open")
        return self._protocol

    @property
    def takes_elements(self) -> bool:
        """Whether pool elements can live here: not where registrars are reached over TCP only, or may not call."""
        return self._sctp and self._listen

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """The addresses of the SCTP endpoint, which registered addresses must be among (RFC 5352 2.2.1)."""
        return self._endpoints[True].local_addresses if True in self._endpoints else ()

    @property
    def port(self) -> int:
        """The port of the SCTP endpoint; 0 without one."""
        return self._endpoints[True].port if True in self._endpoints else 0

    def now(self) -> int:
        """Microseconds of the loop's clock."""
        return self._timer.now()

    # What elements and users ask of it

    def settle(self) -> None:
        """Carry out what the protocol object has been asked for."""
        self._carry_out(self.protocol.drain())

    def watch_element(self, number: int, heard: Callable[[ElementStatus], None] | None) -> None:
        """Who hears of an element's state; None for nobody any more."""
        if heard is None:
            self._elements.pop(number, None)
        else:
            self._elements[number] = heard

    async def resolution(self, handle: bytes, items: int, fresh_within: float | None = None) -> Resolution:
        """The answer to one handle resolution; cancelled if the caller gives up."""
        user = self.protocol.user
        ticket = user.resolve(handle, self.now(), items, fresh_within)
        answer: asyncio.Future[Resolution] = self._loop.create_future()
        self._resolutions[ticket] = answer
        try:
            self.settle()
            return await answer
        finally:
            del self._resolutions[ticket]
            user.cancel(ticket)

    def watch_pool(self, handle: bytes, interval: float, heard: Callable[[PoolChanged | None], None]) -> None:
        """Tell of a pool as it is and of its changes; None once the node is closed."""
        self._watchers.setdefault(handle, []).append(heard)
        self.protocol.user.watch(handle, self.now(), interval)
        self.settle()

    def unwatch_pool(self, handle: bytes, heard: Callable[[PoolChanged | None], None]) -> None:
        """Tell this one no more."""
        watchers = self._watchers[handle]
        watchers.remove(heard)
        if not watchers:
            del self._watchers[handle]
            with contextlib.suppress(LocalProtocolError):
                self.protocol.user.unwatch(handle, self.now())
                self.settle()

    # The transports' events

    def announced(self, data: bytes, address: Address, port: int) -> None:
        """A datagram came to one of the groups."""
        self._carry_out(self.protocol.announced(data, address, port, self.now()))

    def _look_for_interfaces(self) -> None:
        self._rejoin = self._loop.call_later(REJOIN, self._look_for_interfaces)
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
                    self._happened(event)
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

    def _happened(self, event: ClientEvent) -> None:
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
    """The timers with which SCTP finds an idle peer lost within so many seconds (Tuning.found_idle); the usual ones for
    0."""
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

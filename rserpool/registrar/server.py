"""The registrar process: connects the protocol object with the transports, the timer wheel and the log."""

import asyncio
import errno
import itertools
import logging
import random
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import Protocol as Typed

from rserpool._fast.lane.journal import Journal
from rserpool.model.addresses import Address
from rserpool.model.numbers import ASAP_PORT, ENRP_PORT
from rserpool.protocol.actions import Abort, Note, Send
from rserpool.protocol.registrar.actions import Action, Announce, AnnouncePresence, Connect, Protocol, Renumber, SendRow
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.registrar import Reachable, Registrar
from rserpool.registrar.config import Config
from rserpool.registrar.instruments.observers import MULTICAST, UNICAST, Channel, Observer
from rserpool.registrar.moderation import Moderation
from rserpool.registrar.multicast import Multicast, groups_of
from rserpool.settings.checks import ConfigError
from rserpool.settings.locator import parse_addresses, parse_peers
from rserpool.settings.registrar import Settings
from rserpool.transport.association_table import (
    IDLE_ROUNDS,
    AssociationEntry,
    AssociationEvents,
    AssociationTable,
    EndpointAdapter,
)
from rserpool.transport.choose import choose
from rserpool.transport.host import host_addresses
from rserpool.transport.interface import Endpoint, Transport
from rserpool.transport.notes import Notes
from rserpool.transport.tcp.endpoint import TcpTransport
from rserpool.transport.wheel_timer import WheelTimer

log = logging.getLogger("rserpool.registrar")

PORT_DRAWS = 16
"""The number of attempts to find an SCTP port whose TCP port is free too, if any port will do."""


class Announcing(Typed):
    """Sends announcements."""

    def announce(self, data: bytes) -> object:
        """Send one datagram to every group."""

    def close(self) -> None:
        """Send no more announcements, and receive none."""


class Server:
    """One registrar. start() binds its endpoints and begins to serve; stop() ends it in an orderly way.

    ``sctp``, ``tcp`` and ``announcer`` replace what the configuration names; the caller stops those transports. Pass
    ``moderation`` only if the loop serves nothing but this server, because it may put the loop to sleep.
    """

    def __init__(
        self,
        config: Config,
        *,
        sctp: Transport | None = None,
        tcp: Transport | None = None,
        announcer: Announcing | None = None,
        moderation: Moderation | None = None,
    ) -> None:
        self.config = config
        self.loop = asyncio.get_running_loop()
        self.moderation = moderation
        self._timer = WheelTimer(self.loop, self._expired)
        self.registrar = self._registrar(config.settings)
        events = AssociationEvents(
            up=self._up, message=self._message, down=self._down, ignored=self._ignored, overflow=self._overflow
        )
        self.associations = AssociationTable(events, itertools.count(1).__next__, renew_restarted=True)
        limits = config.settings.limits
        self._queue_limits = {Protocol.ASAP: limits.queued_octets, Protocol.ENRP: limits.queued_octets_of_peers}
        self.observers: list[Observer] = []
        self.journal: Journal | None = None
        self.endpoints: dict[Protocol, Endpoint] = {}
        self._adapters: dict[Protocol, EndpointAdapter] = {}
        self._sctp = sctp
        self._tcp = tcp
        self._tcp_endpoint: Endpoint | None = None
        self._transports: list[Transport] = []
        self._reachable: tuple[Reachable | None, Reachable | None] = (None, None)
        self._announcers: dict[type[Action], Announcing] = {} if announcer is None else {Announce: announcer}
        self._notes = Notes(log)
        self._sweeper: asyncio.TimerHandle | None = None

    def _registrar(self, settings: Settings) -> Registrar:
        randomness = random.SystemRandom()
        return Registrar(
            settings,
            randomness,
            seed=randomness.getrandbits(64),
            now=self._timer.now(),
            static_peers=parse_peers(self.config.server.peer, ENRP_PORT),
        )

    # Start and stop

    async def start(self) -> None:
        """Bind the endpoints, serve, announce and connect to peers. ConfigError, OSError, TransportUnavailable."""
        options = self.config.server
        addresses, port = self._addresses(options.asap, ASAP_PORT, "--asap")
        transport = self._sctp_transport()
        enrp = None
        if options.enrp != ("off",):  # before ASAP, so that ENRP is up wherever ASAP answers
            enrp_addresses, enrp_port = self._addresses(options.enrp or addresses, ENRP_PORT, "--enrp")
            enrp = await self._bind(transport, Protocol.ENRP, enrp_addresses, enrp_port)
        asap, tcp = await self._serve_asap(transport, addresses, port)
        self._start_multicast(asap, enrp)
        log.info(
            "registrar 0x%08x serves ASAP at %s, port %d%s, profile %s",
            self.config.settings.identifier,
            ", ".join(map(str, asap.local_addresses)),
            asap.port,
            f", and peers at port {enrp.port}" if enrp is not None else "",
            self.config.settings.profile.name,
        )
        self._reachable = (
            Reachable(sctp=asap.local_addresses, port=asap.port, tcp=tcp) if Announce in self._announcers else None,
            Reachable(sctp=enrp.local_addresses, port=enrp.port) if enrp is not None else None,
        )
        self._carry_out(self.registrar.start(self._timer.now(), *self._reachable))
        if options.idle_timeout:
            self._sweeper = self.loop.call_later(options.idle_timeout / IDLE_ROUNDS, self._sweep)

    def _renumber(self) -> None:
        """Start again under another server identifier; state learnt under the old identifier is discarded."""
        self.associations.abort_all()
        settings = replace(self.registrar.settings, identifier=secrets.randbelow(0xFFFFFFFF) + 1)
        log.error("another registrar has this server identifier; starting again as 0x%08x", settings.identifier)
        former, self.registrar = self.registrar, self._registrar(settings)
        self.registrar.continue_watches(former)
        self._carry_out(self.registrar.start(self._timer.now(), *self._reachable))

    async def _serve_asap(
        self, transport: Transport, addresses: list[str], port: int
    ) -> tuple[Endpoint, tuple[Address, ...]]:
        """Bind ASAP over SCTP, and over TCP on the same port; return the SCTP endpoint and the TCP addresses.

        With port 0, draw another port if the TCP port is taken.
        """
        for left in reversed(range(PORT_DRAWS)):
            endpoint = await self._bind(transport, Protocol.ASAP, addresses, port)
            try:
                return endpoint, await self._start_tcp(list(map(str, endpoint.local_addresses)), endpoint.port)
            except OSError as error:
                if port or not left or error.errno != errno.EADDRINUSE:
                    raise
                await endpoint.close()
        raise AssertionError

    async def _bind(self, transport: Transport, protocol: Protocol, addresses: list[str], port: int) -> Endpoint:
        adapter = self._adapters[protocol] = self._adapter(protocol)
        endpoint = self.endpoints[protocol] = await transport.endpoint(adapter, addresses=addresses, port=port)
        return endpoint

    def _adapter(self, protocol: Protocol) -> EndpointAdapter:
        return EndpointAdapter(self.associations, protocol.value, self._queue_limits[protocol])

    def _sctp_transport(self) -> Transport:
        if self._sctp is not None:
            return self._sctp
        transport, why = choose(self.config.server.transport)
        log.info("SCTP by %s: %s", transport.name, why)
        self._transports.append(transport)
        return transport

    async def _start_tcp(self, addresses: list[str], port: int) -> tuple[Address, ...]:
        """Serve pool users over TCP if configured; return the addresses that do."""
        if not self.config.server.tcp:
            return ()
        transport = self._tcp
        if transport is None:
            transport = TcpTransport()
            self._transports.append(transport)
        adapter = self._adapter(Protocol.ASAP)
        self._tcp_endpoint = await transport.endpoint(adapter, addresses=addresses, port=port)
        return self._tcp_endpoint.local_addresses

    def _start_multicast(self, asap: Endpoint, enrp: Endpoint | None) -> None:
        options = self.config.server
        if options.announce and Announce not in self._announcers:
            groups = groups_of(options.announce, ASAP_PORT, "--announce")
            self._announcers[Announce] = Multicast(asap, groups, self._announcement, options.announce_ttl)
        if enrp is not None and options.enrp_announce and self.config.settings.profile.multicast_presence:
            groups = groups_of(options.enrp_announce, ENRP_PORT, "--enrp-announce")
            self._announcers[AnnouncePresence] = Multicast(enrp, groups, self._presence, options.announce_ttl)

    async def stop(self) -> None:
        """Stop announcing and shut down every association. Peer registrars keep the elements and take them over."""
        self._timer.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._announcers:
            self._announcers.popitem()[1].close()
        if self._tcp_endpoint is not None:
            await self._tcp_endpoint.close()
        for endpoint in self.endpoints.values():
            await endpoint.close()
        for transport in self._transports:
            await transport.stop()

    def _addresses(self, given: Sequence[str], default_port: int, option: str) -> tuple[list[str], int]:
        """Return the addresses and the port that an option names, or all addresses of this host in scope."""
        listed = parse_addresses(given, default_port, least_port=0)
        if not listed:
            found = host_addresses(self.config.settings.address_scope)
            if not found:
                scope = self.config.settings.address_scope.name.lower().replace("_", "-")
                raise ConfigError(f"this host has no address of scope {scope} or wider; name one with {option}")
            return found, default_port
        ports = {port for _, port in listed}
        if len(ports) > 1:
            raise ConfigError(f"{option}: all addresses must have the same port")
        if any(ip_address(host).is_unspecified for host, _ in listed):
            only = 4 if all(ip_address(host).version == 4 for host, _ in listed) else None
            return host_addresses(self.config.settings.address_scope, only), ports.pop()
        return [host for host, _ in listed], ports.pop()

    # Events of the transports

    def _up(self, entry: AssociationEntry) -> None:
        assert entry.peer is not None
        number = entry.number
        protocol = Protocol(entry.adapter.ppid)
        self._carry_out(self.registrar.associated(number, protocol, entry.peer, self._timer.now()))
        lane = self.registrar.lane(number)
        if lane is not None:
            lane.context.journal = self.journal
            lane.renewed = self._renewed
            if self.moderation is not None:
                self.moderation.add_lane(lane)
            self.associations.attach(number, lane)

    def _renewed(self) -> None:
        self._carry_out(self.registrar.renewed(self._timer.now()))

    def _message(self, entry: AssociationEntry, data: bytes) -> None:
        if self.observers:
            self._observe_received(UNICAST.get(Protocol(entry.adapter.ppid)), data)
        self._carry_out(self.registrar.received(entry.number, data, self._timer.now()))

    def _down(self, entry: AssociationEntry) -> None:
        self._carry_out(self.registrar.lost(entry.number, self._timer.now()))

    def _connect(self, call: Connect) -> None:
        endpoint, adapter = self.endpoints[call.protocol], self._adapters[call.protocol]
        adapter.connect(endpoint, call.addresses, call.port, partial(self._unreachable, call))

    def _unreachable(self, call: Connect) -> None:
        self._carry_out(self.registrar.unreachable(call.protocol, call.addresses, call.port, self._timer.now()))

    def _ignored(self, entry: AssociationEntry, ppid: int) -> None:
        self.registrar.counters.count(Count.OTHER_PROTOCOLS)
        log.debug("association %d: ignored a message with payload protocol identifier %d", entry.number, ppid)

    def _overflow(self, entry: AssociationEntry) -> None:
        self.registrar.counters.count(Count.SLOW_READERS_ABORTED)

    def _announcement(self, data: bytes, address: Address, port: int) -> None:
        self._observe_received(Channel.MULTICAST_ASAP, data)
        self.registrar.announcement_heard(data, self._timer.now())

    def _presence(self, data: bytes, address: Address, port: int) -> None:
        self._observe_received(Channel.MULTICAST_ENRP, data)
        self._carry_out(self.registrar.presence_heard(data, address, port, self._timer.now()))

    # Observers

    def _channel(self, number: int) -> Channel | None:
        entry = self.associations.get(number)
        return UNICAST.get(Protocol(entry.adapter.ppid)) if entry is not None else None

    def _observe_received(self, channel: Channel | None, data: bytes) -> None:
        if channel is not None:
            for observer in self.observers:
                observer.received(channel, data)

    def _observe_sent(self, channel: Channel | None, data: bytes) -> None:
        if channel is not None:
            for observer in self.observers:
                observer.sent(channel, data)

    # Actions and time

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(number, data):
                    if self.observers:
                        self._observe_sent(self._channel(number), data)
                    self.associations.send(number, data)
                case SendRow(number, messages):
                    for data in messages if self.observers else ():
                        self._observe_sent(self._channel(number), data)
                    self.associations.send_row(number, messages)
                case Note():
                    self._notes.write(action, self.loop.time())
                case Abort(number):
                    self.associations.abort(number)
                case Renumber():
                    self._renumber()
                    return
                case Connect():
                    self._connect(action)
                case Announce(data) | AnnouncePresence(data):
                    announcer = self._announcers.get(type(action))
                    if announcer is not None:
                        announcer.announce(data)
                        self._observe_sent(MULTICAST[type(action)], data)
        self._timer.schedule(self.registrar.wheel.next_expiry())

    def _sweep(self) -> None:
        self._sweeper = self.loop.call_later(self.config.server.idle_timeout / IDLE_ROUNDS, self._sweep)
        self.associations.sweep()

    def _expired(self) -> None:
        self._carry_out(self.registrar.advance(self._timer.now()))

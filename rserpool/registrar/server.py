"""The registrar process: the protocol object between transports, timer wheel and log."""

import asyncio
import errno
import logging
import random
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Protocol as Typed

from rserpool.model.addresses import Address
from rserpool.model.numbers import ASAP_PORT, ENRP_PORT
from rserpool.protocol.actions import Abort, Note, Send
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Action, Announce, AnnouncePresence, Connect, Protocol, Renumber, SendRow
from rserpool.protocol.registrar.registrar import Reachable, Registrar
from rserpool.registrar.config import Config
from rserpool.registrar.instruments.observers import MULTICAST, UNICAST, Channel, Observer
from rserpool.registrar.links import IDLE_ROUNDS, Events, Face, Links
from rserpool.registrar.moderation import Moderation
from rserpool.registrar.multicast import Multicast, groups_of
from rserpool.settings.checks import ConfigError
from rserpool.settings.locator import parse_addresses, parse_peers
from rserpool.settings.registrar import Settings
from rserpool.transport.choose import choose
from rserpool.transport.host import host_addresses
from rserpool.transport.interface import Endpoint, Transport
from rserpool.transport.notes import Notes
from rserpool.transport.tcp.endpoint import TcpTransport

log = logging.getLogger("rserpool.registrar")

SECONDS = 1e-6
PORT_DRAWS = 16
"""Free ports that are tried until one is free for TCP too."""


class Announcing(Typed):
    """Where announcements go."""

    def announce(self, data: bytes) -> object:
        """Send one datagram to every group."""

    def close(self) -> None:
        """No more of them."""


class Server:
    """One registrar. ``start`` binds and serves, ``stop`` ends it cleanly; in between it runs by itself.

    Transports and announcers that are given are used instead of those that the configuration names. With a moderation
    the loop belongs to the server, and may be put to sleep.
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
        self.registrar = self._registrar(config.settings)
        limits = config.settings.limits
        queued = {Protocol.ASAP: limits.queued_octets, Protocol.ENRP: limits.queued_octets_of_peers}
        events = Events(
            up=self._up,
            message=self._message,
            down=self._down,
            unreachable=self._unreachable,
            ignored=self._ignored,
            answer=self._send,
        )
        self.links = Links(events, queued)
        self.observers: list[Observer] = []
        self.endpoints: dict[Protocol, Endpoint] = {}
        self._faces: dict[Protocol, Face] = {}
        self._sctp = sctp
        self._tcp = tcp
        self._tcp_endpoint: Endpoint | None = None
        self._transports: list[Transport] = []
        self._reachable: tuple[Reachable | None, Reachable | None] = (None, None)
        self._announcers: dict[type[Action], Announcing] = {} if announcer is None else {Announce: announcer}
        self._notes = Notes(log)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0
        self._sweeper: asyncio.TimerHandle | None = None

    def _registrar(self, settings: Settings) -> Registrar:
        randomness = random.SystemRandom()
        return Registrar(
            settings,
            randomness,
            seed=randomness.getrandbits(64),
            now=self._now(),
            static_peers=parse_peers(self.config.server.peer, ENRP_PORT),
        )

    def _now(self) -> int:
        return round(self.loop.time() * 1_000_000)

    # Life

    async def start(self) -> None:
        """Bind, begin to serve, to announce and to meet peers. Raises ConfigError, OSError or TransportUnavailable."""
        options = self.config.server
        addresses, port = self._addresses(options.asap, ASAP_PORT, "--asap")
        transport = self._sctp_transport()
        enrp = None
        if options.enrp != ("off",):  # first: who finds ASAP served finds ENRP too
            where = self._addresses(options.enrp or addresses, ENRP_PORT, "--enrp")
            enrp = await self._bind(transport, Protocol.ENRP, *where)
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
        self._carry_out(self.registrar.start(self._now(), *self._reachable))
        if options.idle_timeout:
            self._sweeper = self.loop.call_later(options.idle_timeout / IDLE_ROUNDS, self._sweep)

    def _renumber(self) -> None:
        """Begin anew under another identifier: nothing of what was said under the taken one holds."""
        self.links.abort_all()
        settings = replace(self.registrar.settings, identifier=secrets.randbelow(0xFFFFFFFF) + 1)
        log.error("the identifier is another registrar's: this one is 0x%08x from now on", settings.identifier)
        self.registrar = self._registrar(settings)
        self._carry_out(self.registrar.start(self._now(), *self._reachable))

    async def _serve_asap(
        self, transport: Transport, addresses: list[str], port: int
    ) -> tuple[Endpoint, tuple[Address, ...]]:
        """The endpoint, and the addresses that serve TCP at the same port; another port 0 where TCP's is taken."""
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
        self._faces[protocol] = Face(self.links, protocol)
        endpoint = await transport.endpoint(self._faces[protocol], addresses=addresses, port=port)
        self.endpoints[protocol] = endpoint
        return endpoint

    def _sctp_transport(self) -> Transport:
        if self._sctp is not None:
            return self._sctp
        transport, why = choose(self.config.server.transport)
        log.info("SCTP by %s: %s", transport.name, why)
        self._transports.append(transport)
        return transport

    async def _start_tcp(self, addresses: list[str], port: int) -> tuple[Address, ...]:
        """Serve pool users over TCP too, if so configured; the addresses."""
        if not self.config.server.tcp:
            return ()
        transport = self._tcp
        if transport is None:
            transport = TcpTransport()
            self._transports.append(transport)
        face = Face(self.links, Protocol.ASAP, sctp=False)
        self._tcp_endpoint = await transport.endpoint(face, addresses=addresses, port=port)
        return self._tcp_endpoint.local_addresses

    def _start_multicast(self, asap: Endpoint, enrp: Endpoint | None) -> None:
        options = self.config.server
        if options.announce and Announce not in self._announcers:
            groups = groups_of(options.announce, ASAP_PORT, "--announce")
            self._announcers[Announce] = Multicast(asap, groups, self._announced, options.announce_ttl)
        if enrp is not None and options.enrp_announce and self.config.settings.profile.multicast_presence:
            groups = groups_of(options.enrp_announce, ENRP_PORT, "--enrp-announce")
            self._announcers[AnnouncePresence] = Multicast(enrp, groups, self._presence, options.announce_ttl)

    async def stop(self) -> None:
        """Stop announcing and close every association cleanly; elements stay known to peers, which take them over."""
        for timer in (self._timer, self._sweeper):
            if timer is not None:
                timer.cancel()
        while self._announcers:
            self._announcers.popitem()[1].close()
        if self._tcp_endpoint is not None:
            await self._tcp_endpoint.close()
        for endpoint in self.endpoints.values():
            await endpoint.close()
        for transport in self._transports:
            await transport.stop()

    def _addresses(self, given: Sequence[str], default_port: int, option: str) -> tuple[list[str], int]:
        """The addresses and the one port of an endpoint."""
        listed = parse_addresses(given, default_port, least_port=0)
        if not listed:
            found = host_addresses(self.config.settings.address_scope)
            if not found:
                raise ConfigError(f"this host has no address that reaches far enough; name one with {option}")
            return found, default_port
        ports = {port for _, port in listed}
        if len(ports) > 1:
            raise ConfigError(f"{option}: all addresses of one endpoint have the same port")
        if any(ip_address(host).is_unspecified for host, _ in listed):
            only = 4 if all(ip_address(host).version == 4 for host, _ in listed) else None
            return host_addresses(self.config.settings.address_scope, only), ports.pop()
        return [host for host, _ in listed], ports.pop()

    # The transports' events

    def _up(self, number: int, protocol: Protocol, peer: Peer) -> None:
        self._carry_out(self.registrar.associated(number, protocol, peer, self._now()))
        lane = self.registrar.lane(number)
        if lane is not None and not self.observers:
            lane.renewed = self._renewed
            if self.moderation is not None:
                self.moderation.attend(lane)
            self.links.attach(number, lane)

    def _renewed(self) -> None:
        self._carry_out(self.registrar.renewed(self._now()))

    def _message(self, number: int, data: bytes) -> None:
        if self.observers:
            self._observe_received(UNICAST.get(self.links.protocol(number)), data)
        self._carry_out(self.registrar.received(number, data, self._now()))

    def _down(self, number: int) -> None:
        self._carry_out(self.registrar.lost(number, self._now()))

    def _unreachable(self, protocol: Protocol, addresses: tuple[Address, ...], port: int) -> None:
        self._carry_out(self.registrar.unreachable(protocol, addresses, port, self._now()))

    def _ignored(self, number: int, ppid: int) -> None:
        self.registrar.asap.counters["messages of another protocol"] += 1
        log.debug("association %d: a message with payload protocol identifier %d is ignored", number, ppid)

    def _announced(self, data: bytes, address: Address, port: int) -> None:
        self._observe_received(Channel.MULTICAST_ASAP, data)
        self.registrar.announcement_heard(data, self._now())

    def _presence(self, data: bytes, address: Address, port: int) -> None:
        self._observe_received(Channel.MULTICAST_ENRP, data)
        self._carry_out(self.registrar.presence_heard(data, address, port, self._now()))

    # Observers

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
                        self._observe_sent(UNICAST.get(self.links.protocol(number)), data)
                    self._send(number, data)
                case SendRow(number, messages):
                    for data in messages if self.observers else ():
                        self._observe_sent(UNICAST.get(self.links.protocol(number)), data)
                    self._sent(number, self.links.send_row(number, messages))
                case Note():
                    self._notes.write(action, self.loop.time())
                case Abort(number):
                    self.links.abort(number)
                case Renumber():
                    self._renumber()
                    return
                case Connect(protocol):
                    self._faces[protocol].connect(self.endpoints[protocol], action)
                case Announce(data) | AnnouncePresence(data):
                    announcer = self._announcers.get(type(action))
                    if announcer is not None:
                        announcer.announce(data)
                        self._observe_sent(MULTICAST[type(action)], data)
        for observer in self.observers:
            observer.settled()
        self._schedule()

    def _send(self, number: int, data: bytes) -> None:
        self._sent(number, self.links.send(number, data))

    def _sent(self, number: int, taken: bool) -> None:
        """A message was sent, or it was one too many for a peer that does not read."""
        if not taken:
            self.registrar.asap.counters["slow readers aborted"] += 1
            self.links.abort(number)

    def _schedule(self) -> None:
        """One loop timer, for the next expiry of the wheel."""
        due = self.registrar.wheel.next_expiry()
        if due is None or (self._timer is not None and self._timer_due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self.loop.call_at(due * SECONDS, self._expired)

    def _sweep(self) -> None:
        self._sweeper = self.loop.call_later(self.config.server.idle_timeout / IDLE_ROUNDS, self._sweep)
        self.links.sweep()

    def _expired(self) -> None:
        self._timer = None
        self._carry_out(self.registrar.advance(self._now()))

"""The registrar process: ASAP's protocol object between transports, timer wheel and log."""

import asyncio
import logging
import random
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Protocol, cast

import ifaddr

from rserpool._fast.handlespace import Handlespace
from rserpool._fast.wheel import Wheel
from rserpool.errors import RemoteProtocolError
from rserpool.locator import ASAP_PORT, parse_addresses
from rserpool.messages import ServerAnnounce, decode
from rserpool.protocol.actions import Abort, Action, Announce, Note, Send, Update
from rserpool.protocol.addresses import Address, scope, usable
from rserpool.protocol.asap import AsapRegistrar
from rserpool.protocol.association import Peer
from rserpool.registrar.config import Config
from rserpool.registrar.links import IDLE_ROUNDS, Events, Face, Links
from rserpool.registrar.notes import Notes
from rserpool.registrar.observe import Channel, Observer, Sizes, Totals
from rserpool.registrar.schema import ConfigError
from rserpool.settings import Scope
from rserpool.transport.announce import AnnounceListener, Announcer, Group, as_group
from rserpool.transport.choose import choose
from rserpool.transport.interface import DatagramSender, Endpoint, Transport
from rserpool.transport.tcp import TcpTransport

log = logging.getLogger("rserpool.registrar")

SECONDS = 1e-6


class Announcing(Protocol):
    """Where announcements go."""

    def announce(self, data: bytes) -> object:
        """Send one datagram to every group."""


class Server:
    """One registrar. ``start`` binds and serves, ``stop`` ends it cleanly; in between it runs by itself.

    Transports that are given are used instead of those that the configuration names, and stay the giver's.
    """

    def __init__(
        self,
        config: Config,
        *,
        sctp: Transport | None = None,
        tcp: Transport | None = None,
        announcer: Announcing | None = None,
    ) -> None:
        self.config = config
        self.loop = asyncio.get_running_loop()
        self._sctp = sctp
        self._tcp = tcp
        wheel = Wheel(self._now())
        self.wheel = wheel
        identifier = config.settings.identifier
        randomness = random.SystemRandom()
        self.handlespace = Handlespace(identifier, seed=randomness.getrandbits(64), wheel=wheel)
        self.asap = AsapRegistrar(config.settings, self.handlespace, wheel, randomness)
        events = Events(up=self._up, message=self._message, down=self._down, ignored=self._ignored)
        self.links = Links(events, config.settings.limits.queued_octets)
        self.observers: list[Observer] = []
        self.endpoints: list[Endpoint] = []
        self._transports: list[Transport] = []
        self._announcer: Announcing | None = announcer
        self._listeners: list[AnnounceListener] = []
        self._notes = Notes()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0
        self._sweeper: asyncio.TimerHandle | None = None

    def _now(self) -> int:
        return round(self.loop.time() * 1_000_000)

    # Life

    async def start(self) -> None:
        """Bind, begin to serve and to announce. Raises ConfigError, OSError or TransportUnavailable."""
        addresses, port = self._asap_addresses()
        sctp = await self._sctp_transport().endpoint(Face(self.links, sctp=True), addresses=addresses, port=port)
        self.endpoints.append(sctp)
        tcp = await self._start_tcp(addresses, sctp.port)
        if self.config.server.announce:
            self._start_announcing(sctp, tcp)
        self._schedule()
        if self.config.server.idle_timeout:
            self._sweeper = self.loop.call_later(self.config.server.idle_timeout / IDLE_ROUNDS, self._sweep)
        log.info(
            "registrar 0x%08x serves ASAP at %s, port %d, profile %s",
            self.config.settings.identifier,
            ", ".join(map(str, sctp.local_addresses)),
            sctp.port,
            self.config.settings.profile.name,
        )

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
        endpoint = await transport.endpoint(Face(self.links, sctp=False), addresses=addresses, port=port)
        self.endpoints.append(endpoint)
        return endpoint.local_addresses

    def _start_announcing(self, sctp: Endpoint, tcp: tuple[Address, ...]) -> None:
        server = self.config.server
        if self._announcer is None:
            try:
                groups = [as_group(*entry) for entry in parse_addresses(server.announce, ASAP_PORT)]
            except ValueError as error:
                raise ConfigError(f"--announce: {error}") from None
            self._announcer = Announcer(cast(DatagramSender, sctp), groups, ttl=server.announce_ttl)
            interfaces = interfaces_of(sctp.local_addresses)
            for group in groups:
                self._listen(group, interfaces)
        least = self.config.settings.address_scope
        self._carry_out(
            self.asap.start(self._now(), usable(sctp.local_addresses, least), sctp.port, usable(tcp, least), sctp.port)
        )

    def _listen(self, group: Group, interfaces: list[str]) -> None:
        """Hear the other registrars' announcements, where the interfaces have multicast of that kind."""
        try:
            self._listeners.append(AnnounceListener([group], self._announced, interfaces=interfaces))
        except OSError as error:
            log.info("announcements of other registrars are not heard: %s", error.strerror)

    async def stop(self) -> None:
        """Stop announcing and close every association cleanly; elements stay known to peers, which take them over."""
        for timer in (self._timer, self._sweeper):
            if timer is not None:
                timer.cancel()
        self._announcer = None
        for listener in self._listeners:
            listener.close()
        for endpoint in self.endpoints:
            await endpoint.close()
        for transport in self._transports:
            await transport.stop()

    def _asap_addresses(self) -> tuple[list[str], int]:
        listed = parse_addresses(self.config.server.asap, ASAP_PORT)
        if not listed:
            found = host_addresses(self.config.settings.address_scope)
            if not found:
                raise ConfigError("this host has no address that reaches far enough; name one with --asap")
            return found, ASAP_PORT
        ports = {port for _, port in listed}
        if len(ports) > 1:
            raise ConfigError("--asap: all addresses of one endpoint have the same port")
        if any(ip_address(host).is_unspecified for host, _ in listed):
            only = 4 if all(ip_address(host).version == 4 for host, _ in listed) else None
            return host_addresses(self.config.settings.address_scope, only), ports.pop()
        return [host for host, _ in listed], ports.pop()

    # For instruments

    def peers(self) -> tuple[int, ...]:
        """The server identifiers of the peer registrars."""
        return ()

    def sizes(self) -> Sizes:
        """How much there is now."""
        return Sizes(
            peers=len(self.peers()),
            pools=self.handlespace.pool_count,
            elements=len(self.handlespace),
            owned=self.handlespace.home_size(self.config.settings.identifier),
        )

    def totals(self) -> Totals:
        """What has been done so far."""
        counters = self.asap.counters
        return Totals(
            registrations=counters["registrations"] + counters["re-registrations"],
            reregistrations=counters["re-registrations"],
            deregistrations=counters["deregistrations"],
            handle_resolutions=counters["handle resolutions"],
            failure_reports=counters["reports"],
            keep_alives=counters["keep-alives"],
        )

    # The transports' events

    def _up(self, number: int, peer: Peer) -> None:
        self._carry_out(self.asap.associated(number, peer, self._now()))

    def _message(self, number: int, data: bytes) -> None:
        for observer in self.observers:
            observer.received(Channel.ASAP, data)
        self._carry_out(self.asap.received(number, data, self._now()))

    def _down(self, number: int) -> None:
        self._carry_out(self.asap.lost(number, self._now()))

    def _ignored(self, number: int, ppid: int) -> None:
        self.asap.counters["messages of another protocol"] += 1
        log.debug("association %d: a message with payload protocol identifier %d is ignored", number, ppid)

    def _announced(self, data: bytes, address: Address, port: int) -> None:
        if not self.asap.announcing.within_rate(self._now()):
            self.asap.counters["announcements over the rate"] += 1
            return
        for observer in self.observers:
            observer.received(Channel.MULTICAST_ASAP, data)
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            self.asap.counters["malformed announcements"] += 1
            return
        if isinstance(message, ServerAnnounce):
            self.asap.announcing.heard(message.server_identifier, self._now())

    # Actions and time

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(number, data):
                    if not self.links.send(number, data):
                        self.asap.counters["slow readers aborted"] += 1
                        self.links.abort(number)
                    for observer in self.observers:
                        observer.sent(Channel.ASAP, data)
                case Note():
                    self._notes.write(action, self.loop.time())
                case Abort(number):
                    self.links.abort(number)
                case Announce(data):
                    if self._announcer is not None:
                        self._announcer.announce(data)
                        for observer in self.observers:
                            observer.sent(Channel.MULTICAST_ASAP, data)
                case Update():
                    pass
        for observer in self.observers:
            observer.settled()
        self._schedule()

    def _schedule(self) -> None:
        """One loop timer, for the next expiry of the wheel."""
        due = self.wheel.next_expiry()
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
        self._carry_out(self.asap.advance(self._now()))


def interfaces_of(addresses: Iterable[Address]) -> list[str]:
    """The names of the network interfaces that have these addresses."""
    wanted = {str(address) for address in addresses}
    return [
        adapter.name
        for adapter in ifaddr.get_adapters()
        if any((ip.ip if isinstance(ip.ip, str) else ip.ip[0]) in wanted for ip in adapter.ips)
    ]


def host_addresses(least: Scope, only: int | None = None) -> list[str]:
    """The addresses of this host's interfaces that reach far enough, of one IP version or of both."""
    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if scope(address) >= least and only in (None, address.version):
                found.append(str(address))
    return found

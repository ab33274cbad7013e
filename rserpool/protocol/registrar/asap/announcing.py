"""Announces the registrar by multicast, less often if other registrars announce themselves too (RFC 5352 3.6)."""

from rserpool._fast.base.bucket import Bucket
from rserpool.errors import RemoteProtocolError
from rserpool.messages import SCTPTransport, ServerAnnounce, TCPTransport, decode
from rserpool.model.addresses import Address
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.registrar.actions import Action, Announce
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count

JITTER = 0.125
"""The largest relative deviation of the period, if the profile keeps it constant."""


class Announcing:
    """The announcement and its period: (N + 1) * T6 with N other registrars heard within T7, or T6 if the profile keeps
    it constant."""

    def __init__(self, context: RegistrarContext) -> None:
        self._context = context
        self._announcement = b""
        self._heard: dict[int, int] = {}
        """Times of the last announcements, by server identifier."""
        rate = context.settings.limits.announcement_rate
        self._rate = Bucket(rate, rate, 0)

    def start(
        self, now: int, sctp: tuple[Address, ...], sctp_port: int, tcp: tuple[Address, ...], tcp_port: int
    ) -> list[Action]:
        """Begin to announce the registrar at these addresses."""
        transports: list[TCPTransport | SCTPTransport] = [
            TCPTransport(port=tcp_port, address=address) for address in tcp
        ]
        if sctp:
            # Last, because rsplib reads transports in this order only.
            transports.append(SCTPTransport(port=sctp_port, transport_use=0, addresses=sctp))
        self._announcement = ServerAnnounce(
            server_identifier=self._context.identifier, transports=tuple(transports)
        ).encode()
        return self._announce(now)

    def _announce(self, now: int) -> list[Action]:
        self._context.wheel.insert(now + self._period(now), self._announce)
        return [Announce(self._announcement)]

    def received(self, data: bytes, now: int) -> None:
        """A datagram arrived at the groups in which registrars announce themselves."""
        if not self._rate.take(now):
            self._context.counters.count(Count.ANNOUNCEMENTS_OVER_RATE)
            return
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            self._context.counters.count(Count.MALFORMED_ANNOUNCEMENTS)
            return
        if isinstance(message, ServerAnnounce):
            self._count(message.server_identifier, now)

    def _count(self, server_identifier: int, now: int) -> None:
        if server_identifier in (0, self._context.identifier):
            return
        if server_identifier in self._heard or len(self._heard) < self._context.settings.limits.announcements:
            self._heard[server_identifier] = now

    def _period(self, now: int) -> int:
        """Microseconds until the next announcement."""
        settings = self._context.settings
        draw = self._context.randomness.random()
        interval = settings.announce_interval * MICROSECONDS
        if settings.profile.announce_per_peer:
            oldest = now - int(settings.announce_timeout * MICROSECONDS)
            self._heard = {server: when for server, when in self._heard.items() if when >= oldest}
            return round(interval * (len(self._heard) + 1))
        return round(interval * (1 + JITTER * (2 * draw - 1)))

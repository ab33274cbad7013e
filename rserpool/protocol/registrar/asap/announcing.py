"""When the registrar announces itself, and to whom it gives way (RFC 5352 3.6)."""

from rserpool._fast.base.bucket import Bucket
from rserpool.messages import SCTPTransport, ServerAnnounce, TCPTransport
from rserpool.model.addresses import Address
from rserpool.model.numbers import MICROSECONDS
from rserpool.settings.registrar import Settings

JITTER = 0.125


class Announcing:
    """The announcement and its period: (N + 1) * T6 beside N other registrars that were heard within T7, or T6 where
    the profile keeps it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._heard: dict[int, int] = {}
        self._rate = Bucket(settings.limits.announcement_rate, settings.limits.announcement_rate, 0)

    def message(self, sctp: tuple[Address, ...], sctp_port: int, tcp: tuple[Address, ...], tcp_port: int) -> bytes:
        """The announcement with all ASAP transports: TCP first, SCTP last (the only order that rsplib reads)."""
        transports: list[TCPTransport | SCTPTransport] = [
            TCPTransport(port=tcp_port, address=address) for address in tcp
        ]
        if sctp:
            transports.append(SCTPTransport(port=sctp_port, transport_use=0, addresses=sctp))
        return ServerAnnounce(server_identifier=self._settings.identifier, transports=tuple(transports)).encode()

    def within_rate(self, now: int) -> bool:
        """Whether one more announcement is worth a look."""
        return self._rate.take(now)

    def heard(self, server_identifier: int, now: int) -> None:
        """Another registrar announced itself."""
        if server_identifier in (0, self._settings.identifier):
            return
        if server_identifier in self._heard or len(self._heard) < self._settings.limits.announcements:
            self._heard[server_identifier] = now

    def period(self, now: int, draw: float) -> int:
        """Microseconds until the next announcement; ``draw`` is a random number from 0 up to 1."""
        interval = self._settings.announce_interval * MICROSECONDS
        if self._settings.profile.announce_per_peer:
            oldest = now - int(self._settings.announce_timeout * MICROSECONDS)
            self._heard = {server: when for server, when in self._heard.items() if when >= oldest}
            return round(interval * (len(self._heard) + 1))
        return round(interval * (1 + JITTER * (2 * draw - 1)))

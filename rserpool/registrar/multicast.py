"""Multicast announcements and presences: sent from an endpoint's own port, received from other registrars."""

import logging
from collections.abc import Iterable, Sequence
from typing import cast

import ifaddr

from rserpool.model.addresses import Address
from rserpool.settings.checks import ConfigError
from rserpool.settings.locator import parse_addresses
from rserpool.transport.interface import DatagramSender, Endpoint
from rserpool.transport.udp.announce import AnnounceListener, Announcer, Callback, Group, as_group

log = logging.getLogger("rserpool.registrar")


def groups_of(listed: Sequence[str], port: int, option: str) -> list[Group]:
    """Return the multicast groups that an option lists. ConfigError."""
    try:
        return [as_group(*entry) for entry in parse_addresses(listed, port)]
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None


class Multicast:
    """Sends to the groups of one endpoint, and receives from those whose interfaces can multicast."""

    def __init__(self, endpoint: Endpoint, groups: Sequence[Group], heard: Callback, ttl: int) -> None:
        self._announcer = Announcer(cast(DatagramSender, endpoint), groups, ttl=ttl)
        self._listeners: list[AnnounceListener] = []
        interfaces = interfaces_of(endpoint.local_addresses)
        for group in groups:
            try:
                self._listeners.append(AnnounceListener([group], heard, interfaces=interfaces))
            except OSError as error:
                log.info("cannot receive multicast from other registrars: %s", error.strerror)

    def announce(self, data: bytes) -> None:
        """Send one datagram to every group."""
        self._announcer.announce(data)

    def close(self) -> None:
        """Stop receiving."""
        for listener in self._listeners:
            listener.close()


def interfaces_of(addresses: Iterable[Address]) -> list[str]:
    """Return the names of the network interfaces that have these addresses."""
    wanted = {str(address) for address in addresses}
    return [
        adapter.name
        for adapter in ifaddr.get_adapters()
        if any((ip.ip if isinstance(ip.ip, str) else ip.ip[0]) in wanted for ip in adapter.ips)
    ]

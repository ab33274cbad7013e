"""Parses addresses in configuration: ADDRESS, ADDRESS:PORT, IPV6 or [IPV6]:PORT."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from rserpool.errors import LocalProtocolError

ASAP_GROUPS = ("224.0.1.185:3863", "239.0.0.50:3863", "[ff05::133]:3863")
"""Multicast groups in which registrars announce themselves: IANA's for IPv4 (RFC 5352 8.4), rsplib's, IANA's for
IPv6."""


def parse_addresses(listed: Sequence[str], default_port: int, *, least_port: int = 1) -> list[tuple[str, int]]:
    """Parse each entry into an IP address and a port. Raises LocalProtocolError with one line that names the entry."""
    return [parse_address(entry, default_port, least_port=least_port) for entry in listed]


def parse_peers(entries: Sequence[str], default_port: int) -> list[tuple[tuple[IPv4Address | IPv6Address, ...], int]]:
    """Parse each entry into the addresses and the port of one peer. Commas separate the addresses of a peer, which
    share one port. Raises LocalProtocolError."""
    peers = []
    for entry in entries:
        listed = parse_addresses([part.strip() for part in entry.split(",")], default_port)
        ports = {port for _, port in listed}
        if len(ports) > 1:
            raise LocalProtocolError(f"{entry!r}: all addresses of one peer must have the same port")
        peers.append((tuple(ip_address(host) for host, _ in listed), ports.pop()))
    return peers


def parse_address(entry: str, default_port: int, *, least_port: int = 1) -> tuple[str, int]:
    """Parse one entry, see parse_addresses. ``least_port=0`` allows port 0, for binding to any port."""
    host, port = entry, ""
    if entry.startswith("["):
        host, bracket, port = entry[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise LocalProtocolError(f"{entry!r} is not an address: write [IPV6]:PORT")
        port = port[1:]
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    if port and not (port.isascii() and port.isdigit() and least_port <= int(port) < 65536):
        raise LocalProtocolError(f"{entry!r} has a bad port: use {least_port} to 65535")
    try:
        return str(ip_address(host)), int(port) if port else default_port
    except ValueError:
        raise LocalProtocolError(f"{entry!r} is not an IP address, alone or with :PORT") from None

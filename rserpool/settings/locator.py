"""How an operator writes where something is: ADDRESS, ADDRESS:PORT, IPV6 or [IPV6]:PORT."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from rserpool.errors import LocalProtocolError

ASAP_GROUPS = ("224.0.1.185:3863", "239.0.0.50:3863", "[ff05::133]:3863")
"""Where registrars announce themselves: IANA's groups (RFC 5352 8.4), and rsplib's between them."""


def parse_addresses(listed: Sequence[str], default_port: int, *, least_port: int = 1) -> list[tuple[str, int]]:
    """Each entry as an IP address and a port. Raises LocalProtocolError with one line that names the entry."""
    return [parse_address(entry, default_port, least_port=least_port) for entry in listed]


def parse_peers(entries: Sequence[str], default_port: int) -> list[tuple[tuple[IPv4Address | IPv6Address, ...], int]]:
    """Each entry as the addresses and the port of one peer. Commas within an entry separate the addresses of one peer,
    which all have one port. Raises LocalProtocolError."""
    peers = []
    for entry in entries:
        listed = parse_addresses([part.strip() for part in entry.split(",")], default_port)
        ports = {port for _, port in listed}
        if len(ports) > 1:
            raise LocalProtocolError(f"{entry!r}: all addresses of one peer have the same port")
        peers.append((tuple(ip_address(host) for host, _ in listed), ports.pop()))
    return peers


def parse_address(entry: str, default_port: int, *, least_port: int = 1) -> tuple[str, int]:
    """One entry; see parse_addresses. ``least_port`` 0 is for what is to be bound: to any port."""
    host, port = entry, ""
    if entry.startswith("["):
        host, bracket, port = entry[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise LocalProtocolError(f"{entry!r} is no address: write [IPV6]:PORT")
        port = port[1:]
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    if port and not (port.isascii() and port.isdigit() and least_port <= int(port) < 65536):
        raise LocalProtocolError(f"{entry!r} has no port from {least_port} to 65535")
    try:
        return str(ip_address(host)), int(port) if port else default_port
    except ValueError:
        raise LocalProtocolError(f"{entry!r} has no IP address") from None

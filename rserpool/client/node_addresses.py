"""Where registrars are, where to hear of them, and from which addresses to speak to them."""

from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address

from rserpool.errors import LocalProtocolError
from rserpool.model.addresses import Address, Scope
from rserpool.model.numbers import ASAP_PORT
from rserpool.protocol.client.candidates import ServerAddress
from rserpool.settings.locator import ASAP_GROUPS, parse_addresses, parse_peers
from rserpool.transport.host import host_addresses
from rserpool.transport.udp.announce import Group, as_group
from rserpool.transport.udp.sockets import interface_addresses, route_source

TCP = "tcp:"
ANYWHERE = (IPv4Address("192.0.2.1"), IPv4Address("224.0.1.185"))
"""Addresses that only a default route, or one for multicast, leads to."""
LOOPBACK = "127.0.0.1"


def server_addresses(entries: Sequence[str]) -> list[ServerAddress]:
    """Each entry as a registrar: ADDRESS, ADDRESS:PORT, several of them with commas between for a multihomed one,
    tcp:ADDRESS:PORT for one that serves pool users over TCP. Raises LocalProtocolError."""
    found = []
    for entry in entries:
        sctp = not entry.startswith(TCP)
        ((addresses, port),) = parse_peers([entry.removeprefix(TCP)], ASAP_PORT)
        if not sctp and len(addresses) > 1:
            raise LocalProtocolError(f"{entry!r}: TCP has one address")
        found.append(ServerAddress(addresses=addresses, port=port, sctp=sctp))
    return found


def announcement_groups(entries: Sequence[str] | None, registrars: Sequence[str]) -> list[Group]:
    """The groups to listen to: those given; else all that are known, if no registrar is configured. Raises
    LocalProtocolError."""
    listed = entries if entries is not None else ASAP_GROUPS if not registrars else ()
    if not listed and not registrars:
        raise LocalProtocolError("no registrar is configured, and no group in which to hear of one")
    try:
        return [as_group(*entry) for entry in parse_addresses(listed, ASAP_PORT)]
    except ValueError as error:
        raise LocalProtocolError(str(error)) from None


def local_addresses(
    registrars: Sequence[ServerAddress], preferred: Sequence[Address] = (), *, multihomed: bool
) -> list[str]:
    """The addresses to speak from. Towards registrars on this host, the loopback's; else all that reach beyond the
    link, or, of a transport whose associations have one address, the first one preferred, or that from which the first
    registrar is reached. What is preferred counts where it is an address of this host."""
    own = [str(address) for address in preferred if address in interface_addresses() and not address.is_loopback]
    wanted = [address for registrar in registrars for address in registrar.addresses]
    if wanted and all(address.is_loopback for address in wanted):
        return list(dict.fromkeys(str(route_source(address) or address) for address in wanted))
    found = [*own, *host_addresses(Scope.SITE_LOCAL)]
    if not multihomed:
        sources = (route_source(address) for address in (*wanted, *ANYWHERE))
        found = own[:1] or [str(source) for source in sources if source is not None][:1] or found[:1]
    return list(dict.fromkeys(found)) or [LOOPBACK]


def texts(local: str | Sequence[str] | None) -> list[str] | None:
    """One address or several, as a list. Raises LocalProtocolError."""
    if local is None:
        return None
    listed = [local] if isinstance(local, str) else list(local)
    for text in listed:
        try:
            ip_address(text)
        except ValueError:
            raise LocalProtocolError(f"{text!r} is no IP address") from None
    return listed

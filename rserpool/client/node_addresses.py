"""Reads the addresses given to a node: registrars, announcement groups, and the local addresses to use."""

from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address

from rserpool.errors import LocalProtocolError
from rserpool.model.addresses import Address, Scope
from rserpool.model.numbers import ASAP_PORT
from rserpool.protocol.client.candidate_list import ServerAddress
from rserpool.settings.locator import ASAP_GROUPS, parse_addresses, parse_peers
from rserpool.transport.host import host_addresses
from rserpool.transport.udp.announce import Group, as_group
from rserpool.transport.udp.sockets import interface_addresses, route_source

TCP = "tcp:"
ANYWHERE = (IPv4Address("192.0.2.1"), IPv4Address("224.0.1.185"))
"""Addresses that only a default route or a multicast route reaches; they reveal the host's usual source address."""
LOOPBACK = "127.0.0.1"


def server_addresses(entries: Sequence[str]) -> list[ServerAddress]:
    """Parse registrars, one for each entry: ADDRESS or ADDRESS:PORT; several of them, separated by commas, for a
    multihomed registrar; tcp:ADDRESS:PORT for one that serves pool users over TCP. Raises LocalProtocolError."""
    found = []
    for entry in entries:
        sctp = not entry.startswith(TCP)
        try:
            ((addresses, port),) = parse_peers([entry.removeprefix(TCP)], ASAP_PORT)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"registrars: {error}") from None
        if not sctp and len(addresses) > 1:
            raise LocalProtocolError(f"registrars: {entry!r}: TCP allows one address only")
        found.append(ServerAddress(addresses=addresses, port=port, sctp=sctp))
    return found


def announcement_groups(entries: Sequence[str] | None, registrars: Sequence[str]) -> list[Group]:
    """The multicast groups to listen to: the given ones, else all known ones if no registrar is configured. Raises
    LocalProtocolError if there is neither a group nor a registrar."""
    listed = entries if entries is not None else ASAP_GROUPS if not registrars else ()
    if not listed and not registrars:
        raise LocalProtocolError("no registrar can be found: give registrars or multicast groups")
    try:
        return [as_group(*entry) for entry in parse_addresses(listed, ASAP_PORT)]
    except ValueError as error:
        raise LocalProtocolError(str(error)) from None


def local_addresses(
    registrars: Sequence[ServerAddress], preferred: Sequence[Address] = (), *, multihomed: bool
) -> list[str]:
    """Choose the local addresses to use.

    If all registrars are on the loopback interface, these are its addresses. Otherwise a multihomed transport uses the
    ``preferred`` addresses and all others that reach beyond the link. Another transport uses one address: the first
    preferred one, or the one from which the first registrar is reached. Preferred addresses that are not of this host
    are ignored.
    """
    own = [str(address) for address in preferred if address in interface_addresses() and not address.is_loopback]
    wanted = [address for registrar in registrars for address in registrar.addresses]
    if wanted and all(address.is_loopback for address in wanted):
        return list(dict.fromkeys(str(route_source(address) or address) for address in wanted))
    found = [*own, *host_addresses(Scope.SITE_LOCAL)]
    if not multihomed:
        sources = (route_source(address) for address in (*wanted, *ANYWHERE))
        found = own[:1] or [str(source) for source in sources if source is not None][:1] or found[:1]
    return list(dict.fromkeys(found)) or [LOOPBACK]


def address_list(local: str | Sequence[str] | None) -> list[str] | None:
    """A list of one or several IP addresses; None for None. Raises LocalProtocolError for other text."""
    if local is None:
        return None
    listed = [local] if isinstance(local, str) else list(local)
    for text in listed:
        try:
            ip_address(text)
        except ValueError:
            raise LocalProtocolError(f"local: {text!r} is not an IP address") from None
    return listed

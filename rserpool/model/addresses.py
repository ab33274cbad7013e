"""Scopes of addresses, and the selection of those that may be registered (RFC 5352 2.2.1)."""

import enum
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

SITE_LOCAL_IPV4 = tuple(IPv4Network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
SITE_LOCAL_IPV6 = IPv6Network("fec0::/10")
BROADCAST = IPv4Address("255.255.255.255")
LINK_LOCAL = 4
UNUSABLE = 0
CACHED = 4096
"""Addresses whose scope is cached: computing it takes longer than the rest of a registration."""


class Scope(enum.IntEnum):
    """The reach of an address. A wider scope is a larger number."""

    LOOPBACK = 2
    SITE_LOCAL = 6
    GLOBAL = 10


@lru_cache(maxsize=CACHED)
def plain(address: Address) -> Address:
    """The address, with an IPv4-mapped IPv6 address converted to IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


@lru_cache(maxsize=CACHED)
def scope(address: Address) -> int:
    """The scope of an address: a Scope, LINK_LOCAL, or UNUSABLE (unspecified, multicast, broadcast)."""
    address = plain(address)
    if address.is_unspecified or address.is_multicast or address == BROADCAST:
        return UNUSABLE
    if address.is_loopback:
        return Scope.LOOPBACK
    if address.is_link_local:
        return LINK_LOCAL
    if isinstance(address, IPv4Address):
        local = any(address in network for network in SITE_LOCAL_IPV4)
    else:
        local = address in SITE_LOCAL_IPV6
    return Scope.SITE_LOCAL if local else Scope.GLOBAL


def usable(addresses: Iterable[Address], least: Scope) -> tuple[Address, ...]:
    """The addresses of at least that scope, converted by plain(), in order and without duplicates. Loopback and
    link-local addresses count only if the least scope is loopback, because on other machines they mean other hosts."""
    kept = (plain(address) for address in addresses if scope(address) >= least and scope(address) != UNUSABLE)
    if least > Scope.LOOPBACK:
        kept = (address for address in kept if scope(address) != LINK_LOCAL)
    return tuple(dict.fromkeys(kept))

"""Which addresses of a transport parameter may be registered: scope and the subset rule (RFC 5352 2.2.1)."""

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
KEPT = 4096
"""Addresses whose scope is remembered: telling it takes longer than all else of a registration."""


class Scope(enum.IntEnum):
    """The least reach an address must have to be registered. A wider scope is a larger number."""

    LOOPBACK = 2
    SITE_LOCAL = 6
    GLOBAL = 10


@lru_cache(maxsize=KEPT)
def plain(address: Address) -> Address:
    """The address itself, an IPv4-mapped IPv6 address as the IPv4 address that it stands for."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


@lru_cache(maxsize=KEPT)
def scope(address: Address) -> int:
    """How far an address reaches: a Scope, or less than any Scope (link-local, unspecified, multicast)."""
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
    """Those addresses that reach far enough, plain, in their order, each once. Loopback and link-local addresses count
    only where the least scope is loopback: elsewhere they would name another machine's host."""
    kept = (plain(address) for address in addresses if scope(address) >= least and scope(address) != UNUSABLE)
    if least > Scope.LOOPBACK:
        kept = (address for address in kept if scope(address) != LINK_LOCAL)
    return tuple(dict.fromkeys(kept))

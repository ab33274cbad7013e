"""Endpoints of registrars, as addresses and a port, and how to compare them."""

from rserpool.model.addresses import Address
from rserpool.protocol.registrar.enrp.peers import EnrpLink

Place = tuple[tuple[Address, ...], int]
"""Addresses and port of an endpoint."""


def address_order(address: Address) -> tuple[int, bytes]:
    """Return a sort key for addresses that all registrars agree on."""
    return address.version, address.packed


def same_place(one: Place, other: Place) -> bool:
    """True if two endpoints have the port and an address in common."""
    return one[1] == other[1] and not set(one[0]).isdisjoint(other[0])


def leads_to(link: EnrpLink, place: Place) -> bool:
    """True if an association leads to that endpoint, by its own addresses or by those that its peer has announced."""
    if same_place((link.remote.addresses, link.remote.port), place):
        return True
    return link.peer is not None and same_place((link.peer.addresses, link.peer.port), place)

"""The record of a pool element that applications receive."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from rserpool.messages import OpaqueTransport, Policy, PoolElement, SCTPTransport, Transport

SOCKETS = {
    "sctp": (socket.SOCK_STREAM, 132),
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "udplite": (socket.SOCK_DGRAM, 136),
    "dccp": (6, 33),
    "opaque": (0, 0),
}
"""Socket type and protocol number of each user transport."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedElement:
    """One pool element of a handle resolution.

    It unpacks like an entry of ``socket.getaddrinfo`` into family, type, proto, canonname and sockaddr, so that a loop
    over such entries can also run over pool elements.
    """

    pool_handle: bytes
    identifier: int
    home_identifier: int
    protocol: str
    """``sctp``, ``tcp``, ``udp``, ``udplite``, ``dccp`` or ``opaque``."""
    addresses: tuple[IPv4Address | IPv6Address, ...]
    port: int
    control_channel: bool
    """True if the data association also carries cookies and business cards (RFC 5354 3.4)."""
    policy: Policy
    user_transport: Transport

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6 as the first address is; 0 without an address."""
        if not self.addresses:
            return 0
        return int(socket.AF_INET if self.addresses[0].version == 4 else socket.AF_INET6)

    @property
    def sockaddr(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """The address argument of ``socket.connect``."""
        host = str(self.addresses[0]) if self.addresses else ""
        return (host, self.port, 0, 0) if self.family == socket.AF_INET6 else (host, self.port)

    def __iter__(self) -> Iterator[object]:
        kind, number = SOCKETS[self.protocol]
        return iter((self.family, kind, number, "", self.sockaddr))


def resolved(handle: bytes, element: PoolElement) -> ResolvedElement:
    """Convert a pool element of a message into a ResolvedElement."""
    transport = element.user_transport
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    port = 0
    control = False
    if isinstance(transport, SCTPTransport):
        addresses, port, control = transport.addresses, transport.port, transport.transport_use == 1
    elif not isinstance(transport, OpaqueTransport):
        addresses, port = (transport.address,), transport.port
    return ResolvedElement(
        pool_handle=handle,
        identifier=element.identifier,
        home_identifier=element.home_identifier,
        protocol=type(transport).__name__.removesuffix("Transport").lower(),
        addresses=addresses,
        port=port,
        control_channel=control,
        policy=element.policy,
        user_transport=transport,
    )

"""An endpoint's UDP sockets, one per local address on one port, and their multicast datagrams."""

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterable, Sequence

import ifaddr

from rserpool.transport.interface import Address, as_address

BUFFER = 4 << 20
"""Octets requested as socket buffers. With 128 kB, a burst of 5000 requests overflows and stalls for seconds."""

SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
IP_MULTICAST_ALL, IPV6_MULTICAST_ALL = 49, 29
PORT_TRIES = 64


def interface_addresses() -> dict[Address, int]:
    """Return every address of this machine with the index of its interface."""
    found: dict[Address, int] = {}
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else f"{ip.ip[0]}%{ip.ip[2]}" if ip.ip[2] else ip.ip[0]
            found[ipaddress.ip_address(text)] = adapter.index or 0
    return found


def expand(addresses: Sequence[str]) -> tuple[Address, ...]:
    """Return the addresses to bind to. 0.0.0.0 stands for all IPv4 addresses of this machine, :: for all addresses.

    Link-local addresses must be named. OSError if no address is left.
    """
    found: dict[Address, None] = {}
    for text in addresses:
        address = as_address(text)
        if address.is_unspecified:
            own = (a for a in interface_addresses() if not a.is_link_local and address.version in (6, a.version))
            found.update(dict.fromkeys(own))
        else:
            found[address] = None
    if not found:
        raise OSError(errno.EADDRNOTAVAIL, f"no address to bind to in {', '.join(addresses) or 'an empty list'}")
    return tuple(found)


def interface_of(address: Address, known: dict[Address, int]) -> int:
    """Return the index of the interface that has an address; all of 127.0.0.0/8 belongs to the loopback interface."""
    if address in known:
        return known[address]
    if address.is_loopback:
        return next((index for own, index in known.items() if own.is_loopback), 0)
    return 0


def pack(address: Address, port: int) -> bytes:
    """Build a Linux struct sockaddr_in or sockaddr_in6."""
    if isinstance(address, ipaddress.IPv4Address):
        return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), address.packed)
    scope = socket.if_nametoindex(address.scope_id) if address.scope_id and not address.scope_id.isdigit() else 0
    scope = scope or int(address.scope_id or 0)
    return struct.pack("=HHI16sI", socket.AF_INET6, socket.htons(port), 0, address.packed, scope)


def unpack(sockaddr: bytes) -> tuple[Address, int]:
    """Return address and port of a struct sockaddr_in or sockaddr_in6: IPv4-mapped as IPv4, without scope."""
    family, port = struct.unpack_from("=HH", sockaddr)
    if family == socket.AF_INET:
        return ipaddress.IPv4Address(sockaddr[4:8]), socket.ntohs(port)
    return as_address(ipaddress.IPv6Address(sockaddr[8:24])), socket.ntohs(port)


def enlarge_buffers(sock: socket.socket) -> None:
    """Request buffers of BUFFER octets, beyond the system's limit if this process may."""
    for force, plain in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, BUFFER)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER)


def _open(address: Address, port: int, index: int) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        enlarge_buffers(sock)
        if address.version == 4:
            sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
            if index:
                mreqn = struct.pack("=4s4si", bytes(4), address.packed, index)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, mreqn)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
            if index:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        scope = index if address.is_link_local else 0
        text = str(address).partition("%")[0]
        sock.bind((text, port) if address.version == 4 else (text, port, 0, scope))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"UDP {address} port {port}: {os.strerror(error.errno or 0)}") from None
    return sock


class UdpSockets:
    """One UDP socket per address, all bound to the same port."""

    def __init__(self, addresses: Sequence[Address], port: int) -> None:
        """Bind to all addresses; port 0: one that is free on all. OSError with address and port in its text."""
        known = interface_addresses()
        self.addresses = tuple(addresses)
        self.interfaces = [interface_of(address, known) for address in addresses]
        self.sockets: list[socket.socket] = []
        for _ in range(PORT_TRIES):
            try:
                self._bind(port)
                return
            except OSError as error:
                self.close()
                if port or error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, "no UDP port is free on all addresses")

    def _bind(self, port: int) -> None:
        for address, index in zip(self.addresses, self.interfaces, strict=True):
            self.sockets.append(_open(address, port, index))
            port = port or self.port

    @property
    def port(self) -> int:
        port: int = self.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        while self.sockets:
            self.sockets.pop().close()

    def choose(self, addresses: Iterable[Address]) -> tuple[socket.socket, Address]:
        """Return the first destination that a route leads to, and its socket. OSError if no address fits any socket."""
        addresses = tuple(addresses)
        alone = len(addresses) == len(self.sockets) == 1  # saves asking for the route, which takes 20 us
        for address in () if alone else addresses:
            source = route_source(address)
            for own, sock in zip(self.addresses, self.sockets, strict=True):
                if own == source:
                    return sock, address
        for address in addresses:
            for own, sock in zip(self.addresses, self.sockets, strict=True):
                if own.version == address.version and own.is_loopback == address.is_loopback:
                    return sock, address
        raise OSError(errno.EADDRNOTAVAIL, f"no local address leads to {', '.join(map(str, addresses))}")

    def send_datagram(self, data: bytes, address: str | Address, port: int, *, ttl: int = 1) -> None:
        """See DatagramSender. To a group, send once from every interface that the sockets are bound to."""
        target = as_address(address)
        if not target.is_multicast:
            sock, _ = self.choose([target])
            _send(sock, data, target, port)
            return
        sent: set[int] = set()
        for own, index, sock in zip(self.addresses, self.interfaces, self.sockets, strict=True):
            if own.version != target.version or index in sent:
                continue
            with contextlib.suppress(OSError):
                if own.version == 4:
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
                else:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
                _send(sock, data, target, port)
                sent.add(index)
        if not sent:
            raise OSError(errno.EADDRNOTAVAIL, f"no local address leads to {target}")


def _send(sock: socket.socket, data: bytes, address: Address, port: int) -> None:
    """Send one datagram; try again if the first call returns the error of an earlier one."""
    try:
        sock.sendto(data, (str(address), port))
    except ConnectionRefusedError:
        sock.sendto(data, (str(address), port))


def route_source(address: Address) -> Address | None:
    """Return the source address that the system's routes choose for a destination, or None."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        probe.connect((str(address), 9))
        return ipaddress.ip_address(probe.getsockname()[0])
    return None

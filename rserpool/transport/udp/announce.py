"""Multicast announcements over UDP (RFC 5352 3.6, RFC 5353 3.1), sent to and received from several groups."""

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable, Sequence

import ifaddr

from rserpool.transport.interface import Address, DatagramSender, as_address
from rserpool.transport.udp.sockets import IP_MULTICAST_ALL, IPV6_MULTICAST_ALL

TTL = 30
"""The default time to live: routers that an announcement may pass."""
BUDGET = 64
"""Datagrams read per wake-up and group, so that a flood does not starve the loop."""
DATAGRAM = 1 << 16

Group = tuple[Address, int]
Callback = Callable[[bytes, Address, int], None]
"""(data, source address, source port)."""


def as_group(address: str | Address, port: int) -> Group:
    """Return a group to send to or to join. ValueError if the address is not multicast."""
    group = as_address(address)
    if not group.is_multicast:
        raise ValueError(f"{group} is not a multicast address")
    return group, port


def interface_indices(names: Iterable[str] | None = None) -> list[int]:
    """Return the indices of these interfaces, or of all that have an address. OSError for an unknown name."""
    if names is not None:
        return [socket.if_nametoindex(name) for name in names]
    return sorted({adapter.index for adapter in ifaddr.get_adapters() if adapter.index})


class Announcer:
    """Sends to several groups, from the UDP port of an endpoint and every interface that the endpoint is bound to."""

    def __init__(self, sender: DatagramSender, groups: Sequence[Group], *, ttl: int = TTL) -> None:
        self._sender = sender
        self._groups = tuple(groups)
        self._ttl = ttl

    def announce(self, data: bytes) -> int:
        """Send one announcement to each group; return the number of groups that it could be sent to."""
        sent = 0
        for group, port in self._groups:
            with contextlib.suppress(OSError):
                self._sender.send_datagram(data, group, port, ttl=self._ttl)
                sent += 1
        return sent


class AnnounceListener:
    """Receives the datagrams of several groups, on the named interfaces or on all, and calls back for each."""

    def __init__(self, groups: Sequence[Group], callback: Callback, *, interfaces: Sequence[str] | None = None) -> None:
        """OSError with group and port in its text if a group cannot be joined on any interface."""
        self._callback = callback
        self._names = interfaces
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[tuple[Group, int], socket.socket] = {}
        self._joined: set[tuple[Group, int]] = set()
        self._groups = tuple(groups)
        try:
            self.rejoin()
            for group in groups:
                if not any(group == joined for joined, _ in self._joined):
                    raise OSError(errno.ENODEV, f"UDP {group[0]} port {group[1]}: no interface can multicast")
        except BaseException:
            self.close()
            raise

    def rejoin(self) -> None:
        """Join the groups on interfaces that are new since the last call. Call it regularly."""
        for group in self._groups:
            for index in interface_indices(self._names):
                if (group, index) not in self._joined and self._join(group, index):
                    self._joined.add((group, index))

    def _join(self, group: Group, index: int) -> bool:
        address, _ = group
        # A link-local group is bound per interface, any other once.
        scope = index if address.version == 6 and address.packed[1] & 0x0F <= 2 else 0
        sock = self._sockets.get((group, scope))
        if sock is None:
            sock = self._sockets[group, scope] = _listen(group, scope)
            self._loop.add_reader(sock.fileno(), self._receive, sock)
        try:
            if address.version == 4:
                request = struct.pack("=4s4si", address.packed, bytes(4), index)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            else:
                request = struct.pack("=16si", address.packed, index)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        except OSError as error:
            return error.errno == errno.EADDRINUSE
        return True

    def _receive(self, sock: socket.socket) -> None:
        for _ in range(BUDGET):
            try:
                data, source = sock.recvfrom(DATAGRAM)
            except OSError:
                return
            self._callback(data, as_address(source[0].partition("%")[0]), source[1])
            if sock.fileno() < 0:
                return

    def close(self) -> None:
        """Leave the groups, and stop calling back."""
        for sock in self._sockets.values():
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets.clear()
        self._joined.clear()


def _listen(group: Group, scope: int) -> socket.socket:
    address, port = group
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.version == 4:
            sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
            sock.bind((str(address), port))
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
            sock.bind((str(address), port, 0, scope))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"UDP {address} port {port}: {os.strerror(error.errno or 0)}") from None
    return sock

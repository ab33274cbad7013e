"""How a pool user reaches pool elements: a channel to each, over what the element is served by."""

import asyncio
import errno
import socket
from collections.abc import Sequence

from rserpool.client.node_addresses import local_addresses
from rserpool.client.session.channels import Channel, SctpChannels, TcpChannel, UdpChannel
from rserpool.messages.resolved import ResolvedElement
from rserpool.protocol.client.candidates import ServerAddress
from rserpool.transport.choose import choose
from rserpool.transport.interface import MAX_USER_MESSAGE, Transport, Tuning

UDP_LITE = 136


class UnusableTransport(OSError):
    """The element is served by a transport that there is no way to use."""


class SharedTransports:
    """The SCTP transports of sessions: one for each loop and tuning, as its timers cost by the transport."""

    def __init__(self) -> None:
        self._known: dict[tuple[asyncio.AbstractEventLoop, Tuning], tuple[Transport, int]] = {}

    def acquire(self, tuning: Tuning) -> Transport:
        """The transport of the running loop. Each call is to be matched by one of release(). TransportUnavailable."""
        place = asyncio.get_running_loop(), tuning
        transport, users = self._known.get(place, (None, 0))
        if transport is None:
            transport, _ = choose("auto", tuning=tuning)
        self._known[place] = transport, users + 1
        return transport

    async def release(self, tuning: Tuning) -> None:
        """Give the transport back; the last one stops it."""
        place = asyncio.get_running_loop(), tuning
        transport, users = self._known.pop(place)
        if users > 1:
            self._known[place] = transport, users - 1
        else:
            await transport.stop()


SHARED = SharedTransports()


class Connector:
    """Opens the channels of one session, one after the other.

    SCTP allows one association between two endpoints, so a session has endpoints of its own: one for each local address
    that it needs. ``local`` are the addresses to speak from; without them, those from which the element is reached.
    """

    def __init__(self, transport: Transport | None, tuning: Tuning, local: Sequence[str] | None) -> None:
        self._transport = transport
        self._tuning = tuning
        self._acquired = False
        self._local = tuple(local or ())
        self._ports: dict[tuple[str, ...], SctpChannels] = {}

    async def open(self, element: ResolvedElement) -> Channel:
        """A channel to the element, without an owner, that is ready or coming up. OSError, UnusableTransport and
        TransportUnavailable if there is no way to begin."""
        if not element.addresses:
            raise UnusableTransport(f"no address of {element.protocol}")
        if element.protocol == "sctp":
            return await self._open_sctp(element)
        loop = asyncio.get_running_loop()
        host, port = str(element.addresses[0]), element.port
        local = (self._local[0], 0) if self._local else None
        if element.protocol == "tcp":
            _, tcp = await loop.create_connection(lambda: TcpChannel(None), host, port, local_addr=local)
            if not tcp.ready:
                raise ConnectionResetError(errno.ECONNRESET, f"{host} port {port}: reset at once")
            return tcp
        if element.protocol in ("udp", "udplite"):
            family = socket.AF_INET if element.addresses[0].version == 4 else socket.AF_INET6
            number = UDP_LITE if element.protocol == "udplite" else 0
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, number)
            try:
                if local is not None:
                    sock.bind(local)
                sock.connect((host, port))
                _, udp = await loop.create_datagram_endpoint(lambda: UdpChannel(None), sock=sock)
            except BaseException:
                sock.close()
                raise
            return udp
        raise UnusableTransport(f"no way to use {element.protocol}")

    async def _open_sctp(self, element: ResolvedElement) -> Channel:
        if self._transport is None:
            self._transport = SHARED.acquire(self._tuning)
            self._acquired = True
        place = ServerAddress(addresses=element.addresses, port=element.port)
        local = self._local or tuple(local_addresses([place], multihomed=self._transport.name == "kernel"))
        port = self._ports.get(local)
        if port is None:
            port = SctpChannels()
            port.endpoint = await self._transport.endpoint(port, addresses=local, max_message=MAX_USER_MESSAGE)
            self._ports[local] = port
        return port.connect(element.addresses, element.port, control=element.control_channel)

    async def close(self) -> None:
        """Close the endpoints."""
        await asyncio.sleep(0)  # the loop closes aborted connections in its next round
        await asyncio.gather(*(port.endpoint.close() for port in self._ports.values() if port.endpoint is not None))
        self._ports.clear()
        if self._acquired:
            self._acquired = False
            await SHARED.release(self._tuning)

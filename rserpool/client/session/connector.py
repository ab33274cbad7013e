"""Opens channels from a pool user to pool elements, over the transport protocol of each element."""

import asyncio
import errno
import socket
from collections.abc import Sequence

from rserpool.client.node_addresses import local_addresses
from rserpool.client.session.channels import Channel, SctpChannels, TcpChannel, UdpChannel
from rserpool.messages.resolved import ResolvedElement
from rserpool.protocol.client.candidate_list import ServerAddress
from rserpool.transport.choose import choose
from rserpool.transport.interface import MAX_USER_MESSAGE, Transport, Tuning

UDP_LITE = 136
"""IP protocol number."""


class UnusableTransport(OSError):
    """The element's transport protocol or address cannot be used here."""


class SharedTransports:
    """The SCTP transports of sessions: one for each loop and tuning, because each transport runs its own timers."""

    def __init__(self) -> None:
        self._transports: dict[tuple[asyncio.AbstractEventLoop, Tuning], tuple[Transport, int]] = {}

    def acquire(self, tuning: Tuning) -> Transport:
        """The transport of the running loop. The caller must release() it. Raises TransportUnavailable."""
        key = asyncio.get_running_loop(), tuning
        transport, users = self._transports.get(key, (None, 0))
        if transport is None:
            transport, _ = choose("auto", tuning=tuning)
        self._transports[key] = transport, users + 1
        return transport

    async def release(self, tuning: Tuning) -> None:
        """Give the transport back; the last release stops it."""
        key = asyncio.get_running_loop(), tuning
        transport, users = self._transports.pop(key)
        if users > 1:
            self._transports[key] = transport, users - 1
        else:
            await transport.stop()


SHARED = SharedTransports()


class Connector:
    """Opens the channels of one session, one after the other.

    SCTP allows one association between two endpoints, so each session has endpoints of its own, one for each set of
    local addresses. ``local`` holds the local addresses to use; by default those from which the element is reached.
    """

    def __init__(self, transport: Transport | None, tuning: Tuning, local: Sequence[str] | None) -> None:
        self._transport = transport
        self._tuning = tuning
        self._acquired = False
        self._local = tuple(local or ())
        self._endpoints: dict[tuple[str, ...], SctpChannels] = {}

    async def open(self, element: ResolvedElement) -> Channel:
        """Open a channel to the element, without an owner; it is ready or coming up. Raises OSError, UnusableTransport
        or TransportUnavailable if it cannot be started."""
        if not element.addresses:
            raise UnusableTransport(f"element 0x{element.identifier:08x} has no {element.protocol} address")
        if element.protocol == "sctp":
            return await self._open_sctp(element)
        loop = asyncio.get_running_loop()
        host, port = str(element.addresses[0]), element.port
        local = (self._local[0], 0) if self._local else None
        if element.protocol == "tcp":
            _, tcp = await loop.create_connection(lambda: TcpChannel(None), host, port, local_addr=local)
            if not tcp.ready:
                raise ConnectionResetError(errno.ECONNRESET, f"{host} port {port}: connection reset")
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
        raise UnusableTransport(f"sessions cannot use {element.protocol} of element 0x{element.identifier:08x}")

    async def _open_sctp(self, element: ResolvedElement) -> Channel:
        if self._transport is None:
            self._transport = SHARED.acquire(self._tuning)
            self._acquired = True
        target = ServerAddress(addresses=element.addresses, port=element.port)
        local = self._local or tuple(local_addresses([target], multihomed=self._transport.name == "kernel"))
        channels = self._endpoints.get(local)
        if channels is None:
            channels = SctpChannels()
            channels.endpoint = await self._transport.endpoint(channels, addresses=local, max_message=MAX_USER_MESSAGE)
            self._endpoints[local] = channels
        return channels.connect(element.addresses, element.port, control=element.control_channel)

    async def close(self) -> None:
        """Close the endpoints and release the shared transport."""
        await asyncio.sleep(0)  # the loop closes aborted connections in its next iteration
        await asyncio.gather(*(one.endpoint.close() for one in self._endpoints.values() if one.endpoint is not None))
        self._endpoints.clear()
        if self._acquired:
            self._acquired = False
            await SHARED.release(self._tuning)

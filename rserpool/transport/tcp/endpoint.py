"""ASAP over TCP for pool users (RFC 5352 2.1). framing.py separates the messages; their PPID is implied."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import cast

from rserpool._fast.io.joined_reader import JoinedReader
from rserpool._fast.lane.lane import Lane
from rserpool.errors import LocalProtocolError
from rserpool.model.numbers import ASAP_PPID
from rserpool.protocol.peer import Peer
from rserpool.transport.closing import CLOSE_WAIT, ClosingHandler
from rserpool.transport.interface import MAX_MESSAGE_OCTETS, Address, AssociationGone, Down, Handler, as_address
from rserpool.transport.tcp.acceptor import Acceptor
from rserpool.transport.tcp.framing import HEADER, FramingError, take_message
from rserpool.transport.udp.sockets import expand

READ_TIMEOUT = 10.0
"""Seconds that a started message may take to be complete before its connection is aborted (slow loris)."""
WRITE_TIMEOUT = 10.0
"""Seconds without progress after which a peer that does not read is LOST."""
MAX_CONNECTIONS = 4096
"""The largest number of open connections; further ones are closed at once. Each costs a descriptor and up to
MAX_QUEUED octets."""
MAX_QUEUED = 256 << 10
"""Octets that may wait for a peer that does not read. When more wait, send() returns False, and WRITE_TIMEOUT limits
the wait."""
LOW_WATER = 64 << 10
"""Queued octets below which on_writable is called."""
SILENCE = (errno.ETIMEDOUT, errno.EHOSTUNREACH)
KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))


class _Connection(asyncio.Protocol):
    """One association."""

    def __init__(self, endpoint: "TcpEndpoint", assoc: int) -> None:
        self.endpoint = endpoint
        self.assoc = assoc
        self.transport: asyncio.Transport | None = None
        self.addresses: tuple[Address, ...] = ()
        self.port = 0
        self.reason: Down | None = None
        self.closing = False
        self.paused = False
        self.blocked = False
        self.lane: Lane | None = None
        self.reading = True
        self.joined = False
        self.joined_reader: JoinedReader | None = None
        self.encrypted = False
        self._descriptor = -1
        self._buffer = bytearray()
        self._time = asyncio.get_running_loop().time
        self._read_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast(asyncio.Transport, transport)  # uvloop's class is unrelated
        peer = transport.get_extra_info("peername")
        if peer is None:  # the peer has already reset it
            transport.abort()
            return
        self.addresses = (as_address(peer[0].partition("%")[0]),)
        self.port = peer[1]
        transport.set_write_buffer_limits(high=LOW_WATER, low=LOW_WATER // 2)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._descriptor = sock.fileno()
        self.encrypted = transport.get_extra_info("sslcontext") is not None
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        self.endpoint.arrived(self)

    def data_received(self, data: bytes) -> None:
        if self.lane is not None and self.reading and not (self._buffer or self.closing or self.blocked):
            if self.joined_reader is not None and not self.queued and self._join(self.joined_reader, self.lane):
                self.joined_reader.process(self._descriptor, data, self._time())
                return
            answers, served = self.lane.serve(data, self._time())
            if answers:
                self._write(answers)
            if served == len(data):
                return
            data = data[served:]
        self._buffer += data
        self._deliver()

    def _join(self, reader: JoinedReader, lane: Lane) -> bool:
        """Let the joined reader serve the connection until it needs more than the answers of its lane."""
        assert self.transport is not None
        try:
            reader.add(self._descriptor, lane, self._left)
        except OSError:
            return False
        self.joined = True
        self.transport.pause_reading()
        return True

    def leave(self) -> None:
        """Take the connection back from the joined reader, if it is there."""
        if self.joined and self.joined_reader is not None:
            self.joined_reader.remove(self._descriptor)
            self._left(b"", b"", 0)

    def _left(self, data: bytes, answers: bytes, error: int) -> None:
        """Read and write here again (see JoinedReader)."""
        self.joined = False
        if self.closing or self.transport is None:
            return
        if error:
            self.end(Down.LOST if error in SILENCE else Down.ABORTED)
            return
        self.transport.resume_reading()
        if answers:
            self._write(answers)
        if data:
            self._buffer += data
            self._deliver()

    def _deliver(self) -> None:
        """Deliver the complete messages of the buffer."""
        while self.reading and not self.closing:
            try:
                message = take_message(self._buffer, self.endpoint.max_message)
            except FramingError:
                self.end(Down.ABORTED)
                return
            if message is None:
                break
            self._stop_reading_timer()
            self.endpoint.notify(self.endpoint.handler.on_message, self.assoc, message, ASAP_PPID)
            self._clear_mark()
        self._clear_mark()
        if self._buffer and self._read_timer is None and self.reading and not self.closing:
            self._read_timer = asyncio.get_running_loop().call_later(READ_TIMEOUT, self.end, Down.ABORTED)

    def _clear_mark(self) -> None:
        """The lane's mark on a declined message is valid only while that message is handed over."""
        if self.lane is not None:
            self.lane.declined = False

    def _write(self, answers: bytes) -> None:
        """Write answers of the lane; abort a peer that leaves more than MAX_QUEUED octets unread."""
        assert self.transport is not None
        self.transport.write(answers)
        if self.paused and self.queued > MAX_QUEUED:
            self.end(Down.ABORTED)

    def _stop_reading_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def pause(self) -> None:
        if self.reading and self.transport is not None and not self.closing:
            self.leave()
            self.reading = False
            self._stop_reading_timer()
            self.transport.pause_reading()

    def resume(self) -> None:
        if not self.reading:
            self.reading = True
            asyncio.get_running_loop().call_soon(self._resume_reading)

    def _resume_reading(self) -> None:
        """Deliver the messages that have been in the buffer since the pause, then read on."""
        self._deliver()
        if self.reading and self.transport is not None and not self.closing:
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self.paused = True
        self._write_timer = asyncio.get_running_loop().call_later(WRITE_TIMEOUT, self._stalled, self.queued)

    def _stalled(self, before: int) -> None:
        """End the connection if the queue has not become shorter within WRITE_TIMEOUT; otherwise wait again."""
        if self.queued >= before:
            self.end(Down.LOST)
        else:
            self._write_timer = asyncio.get_running_loop().call_later(WRITE_TIMEOUT, self._stalled, self.queued)

    def resume_writing(self) -> None:
        self.paused = False
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if self.blocked and not self.closing:
            self.blocked = False
            self.endpoint.notify(self.endpoint.handler.on_writable, self.assoc)

    @property
    def queued(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def end(self, reason: Down) -> None:
        """Abort; connection_lost() follows and reports that reason."""
        if self.transport is not None and self.reason is None:
            self.leave()
            self.closing = True
            self.reason = reason
            # Makes the system send a reset, so that the peer can distinguish the end from an orderly one.
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.closing = True
        self._stop_reading_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
        if self.reason is None:
            lost = isinstance(error, TimeoutError) or getattr(error, "errno", 0) in SILENCE
            self.reason = Down.SHUTDOWN if error is None else Down.LOST if lost else Down.ABORTED
        self.endpoint.departed(self, self.reason)


class TcpEndpoint:
    """A listening TCP port, or an endpoint that only opens connections (interface.Endpoint)."""

    def __init__(
        self, transport: "TcpTransport", handler: Handler, addresses: tuple[Address, ...], max_message: int
    ) -> None:
        self.handler = handler
        self.max_message = max_message
        self.refused = 0
        self._transport = transport
        self._addresses = addresses
        self._port = 0
        self._acceptors: list[Acceptor] = []
        self._connections: dict[int, _Connection] = {}
        self._connecting: dict[int, asyncio.Task[None]] = {}
        self._last = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed: asyncio.Future[None] | None = None
        self._joined_reader: JoinedReader | None = None
        """Serves connections that only need answers of their lanes. Reading each by itself costs 25 % more."""
        self._loop = asyncio.get_running_loop()

    async def listen(self, port: int) -> None:
        """Accept connections on every address. OSError with address and port in its text."""
        loop = asyncio.get_running_loop()
        for address in self._addresses:
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if address.version == 6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((str(address), port))
                port = sock.getsockname()[1]
                self._acceptors.append(Acceptor(loop, sock, self._accept, self._transport.server_tls))
            except OSError as error:
                sock.close()
                for acceptor in self._acceptors:
                    acceptor.close()
                text = f"TCP {address} port {port}: {os.strerror(error.errno or 0)}"
                raise OSError(error.errno, text) from None
        self._port = port

    @property
    def port(self) -> int:
        return self._port

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        return self._addresses

    def notify(self, call: Callable[..., None], *args: object) -> None:
        """Call the handler. Its exceptions go to the loop's exception handler and end no connection."""
        try:
            call(self, *args)
        except Exception as error:
            context = {"message": f"handler of TCP port {self._port} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _accept(self) -> _Connection:
        self._last += 1
        return _Connection(self, self._last)

    def arrived(self, connection: _Connection) -> None:
        if self._closed is not None or len(self._connections) >= MAX_CONNECTIONS:
            self.refused += 1
            connection.end(Down.CANT_START)
            return
        self._connecting.pop(connection.assoc, None)
        self._connections[connection.assoc] = connection
        self._empty.clear()
        peer = Peer(addresses=connection.addresses, port=connection.port, sctp=False)
        self.notify(self.handler.on_up, connection.assoc, peer)

    def departed(self, connection: _Connection, reason: Down) -> None:
        if self._connections.pop(connection.assoc, None) is None:
            return
        if not self._connections:
            self._empty.set()
        self.notify(self.handler.on_down, connection.assoc, reason)

    def connect(self, addresses: Sequence[str | Address], port: int, *, udp_port: int | None = None) -> int:
        """See Endpoint.connect. The addresses are tried in turn; every call opens another connection."""
        connection = self._accept()
        wanted = [as_address(a) for a in addresses]
        task = asyncio.get_running_loop().create_task(self._open_connection(connection, wanted, port))
        self._connecting[connection.assoc] = task
        return connection.assoc

    async def _open_connection(self, connection: _Connection, addresses: Sequence[Address], port: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            for address in addresses:
                with contextlib.suppress(OSError):
                    tls = self._transport.client_tls
                    await loop.create_connection(lambda: connection, str(address), port, ssl=tls)
                    if connection.addresses:
                        return
                    break
            self.notify(self.handler.on_down, connection.assoc, Down.CANT_START)
        finally:
            self._connecting.pop(connection.assoc, None)

    def _require_open(self, assoc: int) -> _Connection:
        connection = self._connections.get(assoc)
        if connection is None or connection.closing:
            raise AssociationGone(f"association {assoc} is gone")
        return connection

    def send(self, assoc: int, data: bytes, ppid: int = ASAP_PPID) -> bool:
        """See Endpoint.send. Messages are padded to a multiple of 4 octets.

        LocalProtocolError for a PPID other than ASAP's, because TCP transmits none.
        """
        connection = self._require_open(assoc)
        connection.leave()
        if not HEADER <= len(data) <= self.max_message or ppid != ASAP_PPID:
            raise LocalProtocolError(f"TCP carries ASAP messages of {HEADER} to {self.max_message} octets")
        if connection.transport is None or (connection.queued and connection.queued + len(data) > MAX_QUEUED):
            connection.blocked = True
            return False
        connection.transport.write(data + bytes(-len(data) % 4))
        return True

    def attach(self, assoc: int, lane: Lane) -> None:
        """See Attaching.attach. Answers without room wait in the write buffer, so on_answer is never called."""
        connection = self._require_open(assoc)
        connection.leave()
        connection.lane = lane
        if connection.encrypted:  # the joined reader reads the socket itself, so it would see ciphertext
            return
        if self._joined_reader is None:
            self._joined_reader = JoinedReader()
            self._loop.add_reader(self._joined_reader.descriptor, self._serve, self._joined_reader)
        connection.joined_reader = self._joined_reader

    def _serve(self, reader: JoinedReader) -> None:
        reader.serve(self._loop.time())

    def pause(self, assoc: int) -> None:
        """See Endpoint.pause."""
        if (connection := self._connections.get(assoc)) is not None:
            connection.pause()

    def resume(self, assoc: int) -> None:
        """See Endpoint.resume."""
        if (connection := self._connections.get(assoc)) is not None:
            connection.resume()

    def shutdown(self, assoc: int) -> None:
        """See Endpoint.shutdown."""
        connection = self._connections.get(assoc)
        if connection is None:
            self.abort(assoc)
        elif not connection.closing and connection.transport is not None:
            connection.leave()
            connection.closing = True
            connection.transport.close()

    def abort(self, assoc: int) -> None:
        """See Endpoint.abort."""
        if (task := self._connecting.pop(assoc, None)) is not None:
            task.cancel()
            loop = asyncio.get_running_loop()
            loop.call_soon(self.notify, self.handler.on_down, assoc, Down.CANT_START)
        elif (connection := self._connections.get(assoc)) is not None:
            connection.end(Down.ABORTED)

    def peer_addresses(self, assoc: int) -> tuple[Address, ...]:
        """See Endpoint.peer_addresses."""
        if assoc not in self._connections:
            raise AssociationGone(f"association {assoc} is gone")
        return self._connections[assoc].addresses

    def rtt(self, assoc: int) -> float | None:
        """See Endpoint.rtt: not measured."""
        return None

    async def close(self) -> None:
        """See Endpoint.close."""
        if self._closed is None:
            self._closed = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closed)

    async def _close(self) -> None:
        self.handler = ClosingHandler()
        for acceptor in self._acceptors:
            acceptor.close()
        for assoc in (*self._connecting, *self._connections):
            self.shutdown(assoc)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), CLOSE_WAIT)
        for assoc in tuple(self._connections):
            self.abort(assoc)
        await self._empty.wait()
        if self._joined_reader is not None:
            self._loop.remove_reader(self._joined_reader.descriptor)
            self._joined_reader = None
        self._transport.endpoints.discard(self)


class TcpTransport:
    """TCP (interface.Transport), for pool users.

    ``server_tls`` secures the connections that endpoints accept, ``client_tls`` those that they open.
    """

    name = "tcp"

    def __init__(self, *, server_tls: ssl.SSLContext | None = None, client_tls: ssl.SSLContext | None = None) -> None:
        self.server_tls = server_tls
        self.client_tls = client_tls
        self.endpoints: set[TcpEndpoint] = set()

    async def endpoint(
        self,
        handler: Handler,
        *,
        addresses: Sequence[str] = (),
        port: int = 0,
        listen: bool = True,
        max_message: int = MAX_MESSAGE_OCTETS,
    ) -> TcpEndpoint:
        """See Transport.endpoint. Without ``listen`` nothing is bound and the port is 0.

        No message is longer than MAX_MESSAGE_OCTETS, because its 16-bit length frames it.
        """
        endpoint = TcpEndpoint(
            self, handler, expand(addresses) if addresses else (), min(max_message, MAX_MESSAGE_OCTETS)
        )
        if listen:
            await endpoint.listen(port)
        self.endpoints.add(endpoint)
        return endpoint

    async def stop(self) -> None:
        """See Transport.stop."""
        await asyncio.gather(*(endpoint.close() for endpoint in tuple(self.endpoints)))

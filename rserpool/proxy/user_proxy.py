"""The pool user for TCP clients that know of no pools: each connection goes to an element that the policy chooses."""

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

from rserpool.errors import LocalProtocolError
from rserpool.messages.resolved import ResolvedElement
from rserpool.proxy.relay import RelaySide

log = logging.getLogger("rserpool.proxy")

NOTE_INTERVAL = 60.0
"""Seconds between two lines about refused clients: a flood of them must not flood the log."""
SWEEPS = 4
"""Looks at idle connections within the idle time-out."""
BACKLOG = 1024


class Chooser(Protocol):
    """Where the elements of the pool come from."""

    async def choose(self, exclude: Collection[int], patience: float) -> ResolvedElement | None:
        """One element by the pool's policy, none of those excluded; waits for one so many seconds. None without one."""

    async def report(self, element: ResolvedElement) -> None:
        """The element could not be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProxySettings:
    """How patient a user proxy is, and what its clients can make it keep. Durations are in seconds."""

    connect_timeout: float = 2.0
    """Seconds within which an element must accept a connection. After that it is reported as unreachable, and the next
    one is tried."""

    tries: int = 3
    """Elements that are tried for one client before it is given up."""

    patience: float = 5.0
    """Seconds that a client waits where the pool has no element left to try."""

    connections: int = 1024
    """Clients at a time: a flood of them costs memory and connections to elements. One more is reset."""

    connections_per_host: int = 256
    """Clients of one address at a time: one host cannot use up all of them. One more is reset."""

    idle_timeout: float = 3600.0
    """Seconds after which a connection is reset over which nothing came either way, at most a quarter more; 0 keeps
    them. A client that neither sends nor reads must not keep its place for ever. TCP's keep-alives are on besides."""

    drain: float = 30.0
    """Seconds that open connections have to end by themselves when the proxy is to end."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) >= (0 if field.name in ("idle_timeout", "drain", "patience") else 1e-3):
                raise LocalProtocolError(f"--{field.name.replace('_', '-')} is too small")


class UserProxy:
    """Listens from start() to stop(). ``counters`` tells what has happened."""

    def __init__(self, chooser: Chooser, bounds: UserProxySettings) -> None:
        self.bounds = bounds
        self.counters: Counter[str] = Counter()
        self._chooser = chooser
        self._loop = asyncio.get_running_loop()
        self._servers: list[asyncio.Server] = []
        self._clients: dict[RelaySide, str] = {}
        self._hosts: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._noted: dict[str, float] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()

    @property
    def open(self) -> int:
        """Clients connected now."""
        return len(self._clients)

    async def start(self, listen: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Listen at addresses and ports (0: any); where. An empty address stands for all. Raises OSError."""
        try:
            for host, port in listen:
                self._servers.append(await self._loop.create_server(self._client, host or None, port, backlog=BACKLOG))
        except OSError as error:
            await self._close_servers()
            taken = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror
            raise OSError(error.errno, f"{host or '*'} port {port}: {taken}") from None
        if self.bounds.idle_timeout:
            self._sweep()
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    async def stop(self, *, at_once: asyncio.Event | None = None) -> None:
        """Accept nobody any more; let those who are connected finish within the time to drain, or until ``at_once``."""
        await self._close_servers()
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._clients and self.bounds.drain:
            log.info("waiting for %d connections to end, %g s at most", len(self._clients), self.bounds.drain)
            await self._drained(at_once or asyncio.Event())
        for task in tuple(self._tasks):
            task.cancel()
        for side in tuple(self._clients):
            side.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._clients:
            self._empty.clear()
            await self._empty.wait()

    async def _drained(self, at_once: asyncio.Event) -> None:
        self._empty.clear()
        waits = [asyncio.ensure_future(event.wait()) for event in (self._empty, at_once)]
        await asyncio.wait(waits, timeout=self.bounds.drain, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _close_servers(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    # Clients

    def _client(self) -> RelaySide:
        return _Client(self)

    def arrived(self, side: RelaySide) -> None:
        """A client has connected."""
        peer = side.transport.get_extra_info("peername")
        host = peer[0] if peer else ""
        self._clients[side] = host
        self._hosts[host] += 1
        if len(self._clients) > self.bounds.connections:
            self._refuse(side, f"there are {self.bounds.connections} clients already")
        elif self._hosts[host] > self.bounds.connections_per_host:
            self._refuse(side, f"{host} has {self.bounds.connections_per_host} connections already")
        else:
            self.counters["clients"] += 1
            task = self._loop.create_task(self._serve(side))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _refuse(self, side: RelaySide, why: str) -> None:
        self.counters["clients refused"] += 1
        self._note("refused", f"a client is refused: {why}")
        side.abort()

    def departed(self, side: RelaySide) -> None:
        """A client's connection is over."""
        host = self._clients.pop(side)
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
        if not self._clients:
            self._empty.set()

    async def _serve(self, client: RelaySide) -> None:
        """Find the client an element; without one, reset its connection."""
        failed: set[int] = set()
        while len(failed) < self.bounds.tries and not client.lost:
            element = await self._chooser.choose(failed, self.bounds.patience)
            if element is None:
                break
            try:
                server = await self._connect(element)
            except OSError as error:
                failed.add(element.identifier)
                self.counters["elements unreachable"] += 1
                log.warning("element 0x%08x does not answer: %s", element.identifier, error.strerror or error)
                await self._chooser.report(element)
                continue
            client.join(server)
            return
        if not client.lost:
            self.counters["clients without an element"] += 1
            tried = f"{len(failed)} elements do not answer" if failed else "the pool has no element"
            self._note("unserved", f"a client is not served: {tried}")
            client.abort()

    async def _connect(self, element: ResolvedElement) -> RelaySide:
        """A connection to an element. OSError of the last address if none answers."""
        last = OSError("it has no address")
        for address in element.addresses:
            where = f"{address} port {element.port}"
            try:
                async with asyncio.timeout(self.bounds.connect_timeout):
                    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
                    _, side = await self._loop.create_connection(
                        lambda: RelaySide(self._from_element, lambda side: None),
                        str(address),
                        element.port,
                        family=family,
                    )
                return side
            except TimeoutError:
                last = OSError(errno.ETIMEDOUT, f"{where}: no answer within {self.bounds.connect_timeout:g} s")
            except OSError as error:
                last = OSError(error.errno, f"{where}: {error.strerror or error}")
        raise last

    def to_element(self, octets: int) -> None:
        """A client has sent so many octets."""
        self.counters["octets to elements"] += octets

    def _from_element(self, octets: int) -> None:
        self.counters["octets to clients"] += octets

    def _note(self, subject: str, text: str) -> None:
        """Log once a minute for each subject."""
        now = self._loop.time()
        if now - self._noted.get(subject, now - NOTE_INTERVAL) >= NOTE_INTERVAL:
            self._noted[subject] = now
            log.warning("%s", text)

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(self.bounds.idle_timeout / SWEEPS, self._sweep)
        before = self._loop.time() - self.bounds.idle_timeout
        for side in tuple(self._clients):
            if side.last_active() <= before:
                self.counters["connections idle"] += 1
                side.abort()


class _Client(RelaySide):
    """The connection of a client."""

    def __init__(self, proxy: UserProxy) -> None:
        super().__init__(proxy.to_element, proxy.departed)
        self._proxy = proxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._proxy.arrived(self)

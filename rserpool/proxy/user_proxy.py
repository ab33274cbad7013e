"""The pool user for TCP clients without RSerPool support: each connection goes to an element selected by the policy."""

import asyncio
import errno
import logging
import os
import socket
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from rserpool.messages.resolved import ResolvedElement
from rserpool.proxy.relay import RelaySide
from rserpool.settings.checks import check_positive

log = logging.getLogger("rserpool.proxy")

NOTE_INTERVAL = 60.0
"""Seconds between two log lines on one subject: a flood of clients must not flood the log."""
SWEEPS = 4
"""Checks for idle connections within one idle time-out."""
BACKLOG = 1024


class Chooser(Protocol):
    """Selects the elements of the pool."""

    async def choose(self, exclude: Collection[int], patience: float) -> ResolvedElement | None:
        """Select an element by the pool's policy, none of those in ``exclude``. Waits up to ``patience`` seconds for
        one; then returns None."""

    async def report(self, element: ResolvedElement) -> None:
        """Report an element that could not be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProxySettings:
    """The settings of a user proxy: time-outs and bounds on what clients can make it hold. Durations are in seconds."""

    connect_timeout: float = 2.0
    """Seconds within which an element must accept a connection. Otherwise it is reported as unreachable, and the next
    one is tried."""

    tries: int = 3
    """Elements tried for one client before its connection is reset."""

    patience: float = 5.0
    """Seconds that a client waits while the pool has no element left to try."""

    connections: int = 1024
    """Largest number of clients at a time; one more is reset. It bounds the memory and the connections to elements that
    a flood of clients can use."""

    connections_per_host: int = 256
    """Largest number of clients from one address at a time, so that one host cannot use up all connections; one more is
    reset."""

    idle_timeout: float = 3600.0
    """Seconds without data in either direction after which a connection is reset (up to a quarter later); 0 for never.
    A client that neither sends nor reads cannot hold a connection without limit. TCP keep-alives are on as well."""

    drain: float = 30.0
    """Seconds that open connections may continue after the proxy is asked to stop."""

    def __post_init__(self) -> None:
        check_positive(self, may_be_zero=("idle_timeout", "drain", "patience"))


class UserProxy:
    """Listens for clients from start() to stop(). ``counters`` counts events by name."""

    def __init__(self, chooser: Chooser, settings: UserProxySettings) -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self._chooser = chooser
        self._loop = asyncio.get_running_loop()
        self._servers: list[asyncio.Server] = []
        self._clients: dict[RelaySide, str] = {}
        self._hosts: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._warned: dict[str, float] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()

    @property
    def open(self) -> int:
        """The number of connected clients."""
        return len(self._clients)

    async def start(self, listen: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Listen at (address, port) pairs, and return those in use. An empty address stands for all, port 0 for any
        free one. Raises OSError with address and port in its text."""
        try:
            for host, port in listen:
                self._servers.append(await self._loop.create_server(self._client, host or None, port, backlog=BACKLOG))
        except OSError as error:
            await self._close_servers()
            taken = "the port is in use" if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0)
            raise OSError(error.errno, f"{host or '*'} port {port}: {taken}") from None
        if self.settings.idle_timeout:
            self._sweep()
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    async def stop(self, *, at_once: asyncio.Event | None = None) -> None:
        """Accept no more clients; wait for the connected ones for ``drain`` seconds or until ``at_once``, then reset
        them."""
        await self._close_servers()
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._clients and self.settings.drain:
            log.info("waiting for %d connections to end, %g s at most", len(self._clients), self.settings.drain)
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
        await asyncio.wait(waits, timeout=self.settings.drain, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _close_servers(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    # Clients

    def _client(self) -> RelaySide:
        return _Client(self)

    def client_connected(self, side: RelaySide) -> None:
        """Serve a new client, or refuse it at a bound."""
        peer = side.transport.get_extra_info("peername")
        host = peer[0] if peer else ""
        self._clients[side] = host
        self._hosts[host] += 1
        if len(self._clients) > self.settings.connections:
            self._refuse(side, f"{self.settings.connections} clients are connected already")
        elif self._hosts[host] > self.settings.connections_per_host:
            self._refuse(side, f"{host} has {self.settings.connections_per_host} connections already")
        else:
            self.counters["clients"] += 1
            task = self._loop.create_task(self._serve(side))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _refuse(self, side: RelaySide, why: str) -> None:
        self.counters["clients refused"] += 1
        self._warn("refused", f"client refused: {why}")
        side.abort()

    def client_lost(self, side: RelaySide) -> None:
        """Forget a client whose connection has ended."""
        host = self._clients.pop(side)
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
        if not self._clients:
            self._empty.set()

    async def _serve(self, client: RelaySide) -> None:
        """Connect the client to an element; reset its connection if there is none."""
        failed: set[int] = set()
        while len(failed) < self.settings.tries and not client.lost:
            element = await self._chooser.choose(failed, self.settings.patience)
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
            self._warn("unserved", f"client not served: {tried}")
            client.abort()

    async def _connect(self, element: ResolvedElement) -> RelaySide:
        """Connect to an element. Raises the OSError of its last address if none answers."""
        last = OSError("the element has no address")
        for address in element.addresses:
            where = f"{address} port {element.port}"
            try:
                async with asyncio.timeout(self.settings.connect_timeout):
                    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
                    _, side = await self._loop.create_connection(
                        lambda: RelaySide(self._from_element, lambda side: None),
                        str(address),
                        element.port,
                        family=family,
                    )
                return side
            except TimeoutError:
                last = OSError(errno.ETIMEDOUT, f"{where}: no answer within {self.settings.connect_timeout:g} s")
            except OSError as error:
                last = OSError(error.errno, f"{where}: {error.strerror or error}")
        raise last

    def to_element(self, octets: int) -> None:
        """Count octets that a client has sent."""
        self.counters["octets to elements"] += octets

    def _from_element(self, octets: int) -> None:
        self.counters["octets to clients"] += octets

    def _warn(self, subject: str, text: str) -> None:
        """Log a warning, once a minute for each subject."""
        now = self._loop.time()
        if now - self._warned.get(subject, now - NOTE_INTERVAL) >= NOTE_INTERVAL:
            self._warned[subject] = now
            log.warning("%s", text)

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(self.settings.idle_timeout / SWEEPS, self._sweep)
        before = self._loop.time() - self.settings.idle_timeout
        for side in tuple(self._clients):
            if side.last_active() <= before:
                self.counters["connections idle"] += 1
                side.abort()


class _Client(RelaySide):
    """The connection of a client."""

    def __init__(self, proxy: UserProxy) -> None:
        super().__init__(proxy.to_element, proxy.client_lost)
        self._proxy = proxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._proxy.client_connected(self)

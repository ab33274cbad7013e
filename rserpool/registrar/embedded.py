"""Runs a registrar inside any asyncio program, next to elements and users (RFC 5351 3.1).

async with Registrar(asap="127.0.0.1:0", enrp="off", announce=()) as registrar:
    async with PoolUser(registrars=registrar.addresses) as user: ...
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final, Self

from rserpool.errors import LocalProtocolError
from rserpool.messages import HandleResolutionResponse, decode
from rserpool.messages.resolved import ResolvedElement, resolved
from rserpool.protocol.registrar.actions import Protocol
from rserpool.protocol.registrar.snapshot import walk
from rserpool.protocol.registrar.watching import QUEUE, Event
from rserpool.registrar.config import OPTIONS, Config, load
from rserpool.registrar.instruments.wiring import Instruments, Outputs
from rserpool.registrar.server import Server
from rserpool.settings.checks import ConfigError
from rserpool.settings.profile import ALL_ITEMS
from rserpool.transport.interface import Transport

OF_THE_PROGRAM: Final = frozenset({"log_level", "uvloop", "moderation"})
"""Options of the registrar's own process only: the surrounding program configures logging and runs the loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRecord:
    """A pool that a registrar knows."""

    handle: bytes
    policy_type: int
    """The policy type of RFC 5356 7.1; ``rserpool.policies.name_of`` returns its name."""
    elements: tuple[ResolvedElement, ...]
    """The pool elements by identifier. ``home_identifier`` shows which of them were learnt from another registrar."""


class Registrar:
    """A pool registrar as an asynchronous context manager: it serves inside the ``async with`` block.

    ``options`` are those of ``rserpool registrar --help`` with underscores, and with ``limit_`` before limits: numbers,
    strings, booleans and lists of strings. The registrar reads neither files nor the environment and handles no signal.
    It logs to ``rserpool.registrar``; the program configures logging. Several registrars may run in one loop, at
    different ports; by default each announces itself by multicast. ``sctp`` replaces the transport that the options
    choose.

    Raises ConfigError for an unknown or invalid option. Entering the block raises it too, or OSError if a port is not
    free, or TransportUnavailable if there is no SCTP.
    """

    def __init__(self, *, sctp: Transport | None = None, **options: object) -> None:
        self._config = configuration(options)
        self._sctp = sctp
        self._server: Server | None = None
        self._stack = AsyncExitStack()
        self._watchers: set[asyncio.Event] = set()
        self._stopped = False

    async def __aenter__(self) -> Self:
        if self._server is not None:
            raise LocalProtocolError("the registrar has been started already")
        async with AsyncExitStack() as stack:
            outputs = stack.enter_context(Outputs(self._config.server))
            self._server = Server(self._config, sctp=self._sctp)
            stack.push_async_callback(self._server.stop)
            await self._server.start()
            instruments = Instruments(self._server, outputs)
            instruments.start()
            stack.callback(instruments.stop)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        for watcher in self._watchers:
            watcher.set()
        await self._stack.aclose()

    def _started(self) -> Server:
        if self._server is None:
            raise LocalProtocolError("the registrar has not been started")
        return self._server

    @property
    def identifier(self) -> int:
        """The server identifier (RFC 5353 2.1)."""
        return self._started().registrar.settings.identifier

    @property
    def addresses(self) -> tuple[str, ...]:
        """The endpoints for elements and users, each as ADDRESS:PORT or [ADDRESS]:PORT."""
        return self._bound(Protocol.ASAP)

    @property
    def peer_addresses(self) -> tuple[str, ...]:
        """The endpoints for peer registrars, in the same form; empty with ``enrp="off"``."""
        return self._bound(Protocol.ENRP)

    def _bound(self, protocol: Protocol) -> tuple[str, ...]:
        endpoint = self._started().endpoints.get(protocol)
        if endpoint is None:
            return ()
        return tuple(
            f"[{address}]:{endpoint.port}" if address.version == 6 else f"{address}:{endpoint.port}"
            for address in endpoint.local_addresses
        )

    @property
    def counters(self) -> dict[str, int]:
        """The count of every kind of event so far, by the names that ``rserpool registrar`` logs when it ends."""
        return dict(self._started().registrar.counters)

    def pools(self) -> tuple[PoolRecord, ...]:
        """Return all pools, by handle (by length, then by octets)."""
        registrar = self._started().registrar
        return tuple(
            PoolRecord(
                handle=pool.handle,
                policy_type=pool.policy_type,
                elements=tuple(
                    resolved(pool.handle, element.parameter)
                    for element in walk(partial(registrar.snapshot.elements, pool.handle, registrar.wheel.now))
                ),
            )
            for pool in walk(registrar.snapshot.pools)
        )

    async def watch(self, *, limit: int = QUEUE) -> AsyncIterator[Event]:
        """Yield each change of pools, elements, peer registrars and takeovers, from the first iteration until the
        registrar stops: the records of rserpool.protocol.registrar.watching.

        Keeps up to ``limit`` events, at least 2, for a slow reader. After EventsMissed events were lost: call pools()
        again. Raises LocalProtocolError if the registrar has not been started.
        """
        arrived = asyncio.Event()
        watch = self._started().registrar.watch(limit=limit, ready=arrived.set)
        self._watchers.add(arrived)
        try:
            while not self._stopped:
                await arrived.wait()
                arrived.clear()
                while events := watch.take():
                    for event in events:
                        yield event
        finally:
            self._watchers.discard(arrived)
            watch.close()

    def resolve(self, handle: str | bytes, *, items: int = ALL_ITEMS) -> tuple[ResolvedElement, ...]:
        """Select up to ``items`` elements of a pool as for a pool user: best first, as many as fit into one message. It
        counts as a use of the elements. Empty if there is no such pool."""
        wanted = handle.encode() if isinstance(handle, str) else handle
        answer = self._started().registrar.handlespace.resolution(wanted, items)
        if answer is None:
            return ()
        message = decode(answer, "asap")
        assert isinstance(message, HandleResolutionResponse)
        return tuple(resolved(wanted, element) for element in message.pool_elements)


def configuration(options: dict[str, object]) -> Config:
    """Check options and return them as a configuration. Raises ConfigError."""
    known = {option.key for option in OPTIONS} - OF_THE_PROGRAM
    for name in options:
        if name in OF_THE_PROGRAM:
            raise ConfigError(f"{name}: the program sets this, not a registrar inside it")
        if name not in known:
            raise ConfigError(f"a registrar has no option {name}")
    return load(options, {}, None, secrets.randbelow(0xFFFFFFFF) + 1)

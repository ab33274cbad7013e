"""A registrar inside any asyncio program, so that an element or a user can be its own (RFC 5351 3.1).

async with Registrar(asap="127.0.0.1:0", enrp="off", announce=()) as registrar:
    async with PoolUser(registrars=registrar.addresses) as user: ...
"""

import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rserpool.errors import LocalProtocolError
from rserpool.messages import BusinessCard, HandleResolutionResponse, decode
from rserpool.messages.resolved import ResolvedElement, resolved
from rserpool.protocol.registrar.actions import Protocol
from rserpool.registrar.config import OPTIONS, Config, load
from rserpool.registrar.instruments.wiring import Instruments, Outputs
from rserpool.registrar.server import Server
from rserpool.settings.checks import ConfigError
from rserpool.settings.profile import ALL_ITEMS
from rserpool.transport.interface import Transport

OF_THE_PROGRAM: Final = frozenset({"log_level", "uvloop", "moderation"})
"""Options that only a registrar's own process has: logging and the loop are the program's, and not ours to put to
sleep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRecord:
    """A pool as a registrar knows it."""

    handle: bytes
    policy_type: int
    """Of RFC 5356 7.1; ``rserpool.policies.name_of`` gives its name."""
    elements: tuple[ResolvedElement, ...]
    """By identifier. Those whose ``home_identifier`` is another registrar's were learnt from that."""


class Registrar:
    """A pool registrar as an asynchronous context manager: it serves from entering to leaving.

    ``options`` are those of ``rserpool registrar --help`` with underscores, ``limit_`` before limits: numbers, texts,
    booleans, and lists of texts. Neither files nor the environment are read, no signal is handled, and logging, to the
    logger ``rserpool.registrar``, is the program's to set up. Several registrars may run in one loop, at different
    ports; by default multicast announces each. ``sctp`` takes the place of the transport that the options choose.

    ConfigError for an option that does not exist or cannot be taken; entering raises it too, or OSError where a port
    is not free, or TransportUnavailable where there is no SCTP.
    """

    def __init__(self, *, sctp: Transport | None = None, **options: object) -> None:
        self._config = configuration(options)
        self._sctp = sctp
        self._server: Server | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self._server is not None:
            raise LocalProtocolError("the registrar has run already")
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
        """Where elements and users are served, as ADDRESS:PORT or [ADDRESS]:PORT."""
        return self._bound(Protocol.ASAP)

    @property
    def peer_addresses(self) -> tuple[str, ...]:
        """Where other registrars are met, in the same form; empty with ``enrp="off"``."""
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
        """What has happened so far, by name, as the log says at the end of ``rserpool registrar``."""
        return dict(self._started().registrar.counters)

    def pools(self) -> tuple[PoolRecord, ...]:
        """All pools, by handle (length, then octets)."""
        return tuple(
            PoolRecord(
                handle=pool.handle,
                policy_type=pool.policy_type,
                elements=tuple(record(pool.handle, view.parameter) for view in pool),
            )
            for pool in self._started().registrar.handlespace.pools()
        )

    def resolve(self, handle: str | bytes, *, items: int = ALL_ITEMS) -> tuple[ResolvedElement, ...]:
        """Up to ``items`` elements of a pool, best first, as many as fit into a message: what a user would get, and it
        counts as a use. Empty if there is no such pool."""
        wanted = handle.encode() if isinstance(handle, str) else handle
        answer = self._started().registrar.handlespace.resolution(wanted, items)
        if answer is None:
            return ()
        message = decode(answer, "asap")
        assert isinstance(message, HandleResolutionResponse)
        return tuple(resolved(wanted, element) for element in message.pool_elements)


def configuration(options: dict[str, object]) -> Config:
    """Options by keyword as a checked configuration. Raises ConfigError."""
    known = {option.key for option in OPTIONS} - OF_THE_PROGRAM
    for name in options:
        if name in OF_THE_PROGRAM:
            raise ConfigError(f"{name}: the program sets that, not a registrar in it")
        if name not in known:
            raise ConfigError(f"a registrar has no option {name}")
    return load(options, {}, None, secrets.randbelow(0xFFFFFFFF) + 1)


def record(handle: bytes, parameter: bytes) -> ResolvedElement:
    """An encoded Pool Element parameter as a record."""
    named = b"\x00\x09" + (4 + len(handle)).to_bytes(2, "big") + handle + bytes(-len(handle) % 4)
    length = (4 + len(named) + len(parameter)).to_bytes(2, "big")
    card = decode(bytes((BusinessCard.TYPE, 0)) + length + named + parameter, "asap")
    assert isinstance(card, BusinessCard)
    return resolved(handle, card.pool_elements[0])

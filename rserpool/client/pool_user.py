"""The pool user: pool handles in, pool elements chosen by the pool's policy out (RFC 5352 3.3)."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rserpool.client.errors import refusal
from rserpool.client.link import RegistrarLink
from rserpool.messages import (
    EndpointUnreachable,
    HandleResolution,
    HandleResolutionResponse,
    Message,
)
from rserpool.profile import ALL_ITEMS
from rserpool.resolved import ResolvedElement, resolved
from rserpool.transport import interface

T1_REQUEST = 15.0
"""Seconds to wait for the answer to a handle resolution (RFC 5352 7.1)."""


def octets(handle: str | bytes) -> bytes:
    """A pool handle is octets; text stands for its UTF-8."""
    return handle.encode() if isinstance(handle, str) else handle


class PoolUser:
    """A pool user with an association to a home registrar: an asynchronous context manager."""

    def __init__(
        self, *, registrars: Sequence[str], transport: interface.Transport | None = None, local: str | None = None
    ) -> None:
        self._link = RegistrarLink(registrars, transport, local, self._unasked, lambda: None)

    async def __aenter__(self) -> Self:
        await self._link.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._link.close()

    def _unasked(self, association: int, message: Message) -> None:
        """A pool user has no use for what it did not ask for."""

    async def resolve(
        self, handle: str | bytes, *, items: int = ALL_ITEMS, timeout: float = T1_REQUEST
    ) -> tuple[ResolvedElement, ...]:
        """Up to ``items`` elements of a pool, best first. Raises UnknownPool, Refused or NoRegistrar."""
        wanted = octets(handle)

        def is_answer(message: Message) -> bool:
            return isinstance(message, HandleResolutionResponse) and message.pool_handle == wanted

        request = HandleResolution(pool_handle=wanted, items=items)
        answer = await self._link.ask(request, is_answer, timeout)
        if not isinstance(answer, HandleResolutionResponse) or answer.operation_error:
            raise refusal(f"pool {wanted!r}", getattr(answer, "operation_error", ()))
        return tuple(resolved(wanted, element) for element in answer.pool_elements)

    async def report_unreachable(self, handle: str | bytes, identifier: int) -> None:
        """Tell the registrar that an element could not be reached (RFC 5352 3.5): once for each failure."""
        home = await self._link.hunt()
        self._link.tell(home, EndpointUnreachable(pool_handle=octets(handle), pe_identifier=identifier))


async def resolve(
    handle: str | bytes, *, registrars: Sequence[str], items: int = ALL_ITEMS, timeout: float = T1_REQUEST
) -> tuple[ResolvedElement, ...]:
    """Resolve one pool handle once. Raises as PoolUser.resolve does."""
    async with PoolUser(registrars=registrars) as user:
        return await user.resolve(handle, items=items, timeout=timeout)

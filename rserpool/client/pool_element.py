"""The pool element: registers, stays registered, acknowledges keep-alives, leaves (RFC 5352 3.1, 3.2, 3.4)."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rserpool.client.errors import NoRegistrar, Refused, refusal
from rserpool.client.link import RegistrarLink
from rserpool.client.pool_user import octets
from rserpool.errors import Cause
from rserpool.messages import (
    Deregistration,
    DeregistrationResponse,
    EndpointKeepAlive,
    EndpointKeepAliveAck,
    Message,
    Policy,
    PolicyType,
    Registration,
    RegistrationResponse,
    Transport,
)
from rserpool.messages import PoolElement as Parameter
from rserpool.transport import interface
from rserpool.transport.interface import AssociationGone

T2_REGISTRATION = 30.0
T3_DEREGISTRATION = 30.0
MAX_REREGISTRATION = 600.0
MARGIN = 20.0
ROUND_ROBIN = Policy(policy_type=PolicyType.ROUND_ROBIN, values=())


def reregistration_interval(life: int) -> float:
    """T4: seconds between registrations that last ``life`` seconds (RFC 5352 7.1; half the life where it is short)."""
    return min(MAX_REREGISTRATION, life - MARGIN) if life > 2 * MARGIN else life / 2


class PoolElement:
    """One registration that is kept up for as long as the context lasts.

    ``user_transport`` is where the service is served; its addresses must be those from which the registrar is reached.
    ``local`` is the address to speak from; without it, that from which the first registrar is reached. ``life`` is in
    the unit of the registrar's profile: seconds (RFC) or milliseconds (rsplib).
    """

    def __init__(
        self,
        handle: str | bytes,
        user_transport: Transport,
        *,
        registrars: Sequence[str],
        policy: Policy = ROUND_ROBIN,
        life: int = 300,
        identifier: int | None = None,
        transport: interface.Transport | None = None,
        local: str | None = None,
    ) -> None:
        self.pool_handle = octets(handle)
        self.identifier = identifier or secrets.randbelow(0xFFFFFFFF) + 1
        self.home_identifier = 0
        self._user_transport = user_transport
        self._policy = policy
        self._life = life
        self._link = RegistrarLink(registrars, transport, local, self._unasked, self._wake)
        self._due = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._link.open()
        try:
            await self._register()
        except BaseException:
            await self._link.close()
            raise
        self._keeper = asyncio.create_task(self._keep_registered())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._keeper is not None
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        try:
            await self._deregister()
        finally:
            await self._link.close()

    async def update(self, policy: Policy) -> None:
        """Register anew with other policy values, such as the load. Raises as entering does."""
        self._policy = policy
        await self._register()

    async def _register(self) -> None:
        """Register, once. Raises Refused or NoRegistrar."""
        element = Parameter(
            identifier=self.identifier,
            home_identifier=self.home_identifier,
            registration_life=self._life,
            user_transport=self._user_transport,
            policy=self._policy,
        )
        request = Registration(pool_handle=self.pool_handle, pool_element=element)
        answer = await self._link.ask(request, self._answers(RegistrationResponse), T2_REGISTRATION)
        if not isinstance(answer, RegistrationResponse) or answer.reject:
            raise refusal(f"registration in pool {self.pool_handle!r}", getattr(answer, "operation_error", ()))

    async def _deregister(self) -> None:
        if self._link.home is None:
            return
        request = Deregistration(pool_handle=self.pool_handle, pe_identifier=self.identifier)
        try:
            await self._link.ask(request, self._answers(DeregistrationResponse), T3_DEREGISTRATION)
        except NoRegistrar:
            return

    def _answers(self, kind: type[RegistrationResponse] | type[DeregistrationResponse]) -> Callable[[Message], bool]:
        def is_answer(message: Message) -> bool:
            return (
                isinstance(message, kind)
                and message.pool_handle == self.pool_handle
                and message.pe_identifier == self.identifier
            )

        return is_answer

    async def _keep_registered(self) -> None:
        """Register again at T4, and at once where the home registrar is lost or has let the registration end."""
        while True:
            try:
                async with asyncio.timeout(reregistration_interval(self._life)):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            try:
                await self._register()
            except Refused as error:
                if error.cause != Cause.LACK_OF_RESOURCES:
                    raise
            except NoRegistrar:
                self._due.set()

    def _wake(self) -> None:
        self._due.set()

    def _unasked(self, association: int, message: Message) -> None:
        match message:
            case EndpointKeepAlive():
                self._keep_alive(association, message)
            case DeregistrationResponse(pool_handle=self.pool_handle, pe_identifier=self.identifier):
                self._wake()

    def _keep_alive(self, association: int, message: EndpointKeepAlive) -> None:
        """Acknowledge on the association that asked; H=1 from another registrar makes that one home."""
        if message.pool_handle != self.pool_handle or message.pe_identifier not in (None, self.identifier):
            return
        if message.home and association != self._link.home:
            self._link.adopt(association)
            self._wake()
        if association == self._link.home:
            self.home_identifier = message.server_identifier
        try:
            self._link.tell(
                association, EndpointKeepAliveAck(pool_handle=self.pool_handle, pe_identifier=self.identifier)
            )
        except AssociationGone:
            self._wake()

"""The pool element: registers, stays registered, acknowledges keep-alives, leaves (RFC 5352 3.1, 3.2, 3.4)."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, Unpack

from rserpool.client.business_cards import BusinessCards
from rserpool.client.errors import NoRegistrar, Refused, refusal
from rserpool.client.event_queue import EventQueue
from rserpool.client.node import Node, NodeOptions
from rserpool.client.pool_user import PoolUser, octets
from rserpool.client.session.cookie_sealing import Sealer
from rserpool.client.session.service import Service, ServiceSession
from rserpool.client.sigterm import sigterm_handler
from rserpool.errors import LocalProtocolError
from rserpool.messages import (
    POLICY_VALUES,
    BusinessCard,
    DCCPTransport,
    ErrorCause,
    Policy,
    PolicyType,
    SCTPTransport,
    TCPTransport,
    Transport,
    UDPLiteTransport,
    UDPTransport,
)
from rserpool.messages import PoolElement as Parameter
from rserpool.model.addresses import Address
from rserpool.protocol.client.element import Element, wire_life
from rserpool.protocol.client.events import ElementState, ElementStatus, Home

log = logging.getLogger("rserpool.client")

ROUND_ROBIN = Policy(policy_type=PolicyType.ROUND_ROBIN, values=())
PATIENCE = 30.0
LEAVING = 5.0
"""Seconds that deregistering may take when an element is left."""
FULL_LOAD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationTimes:
    """How long a registration is good for, and how often it is renewed."""

    life: float = 300.0
    """Seconds after which a registrar removes the element unless it registers again; ``math.inf`` for no limit."""

    life_on_wire: int | None = None
    """The Registration Life field as it is sent, for a registrar with another unit; by default ``life`` in
    milliseconds, rounded."""

    reregister_every: float | None = None
    """T4-reregistration: seconds from one registration to its renewal; by default that of RFC 5352 7.1."""


DEFAULT_TIMES = RegistrationTimes()


def with_load(policy: Policy, load: float) -> Policy:
    """The policy with that load, 0.0 to 1.0; values that are missing are 0. LocalProtocolError for a policy without."""
    names = POLICY_VALUES.get(policy.policy_type, ())
    if "load" not in names:
        raise LocalProtocolError(f"policy 0x{policy.policy_type:08x} has no load")
    if not 0.0 <= load <= 1.0:
        raise LocalProtocolError(f"a load is 0.0 to 1.0, not {load}")
    values = list(policy.values or [0] * len(names))
    values[names.index("load")] = round(load * FULL_LOAD)
    return replace(policy, values=tuple(values))


def addresses_of(transport: Transport | None) -> tuple[Address, ...]:
    """The addresses of a transport parameter; an opaque one has none that we know."""
    match transport:
        case SCTPTransport(addresses=addresses):
            return addresses
        case TCPTransport(address=address) | UDPTransport(address=address):
            return (address,)
        case UDPLiteTransport(address=address) | DCCPTransport(address=address):
            return (address,)
    return ()


class PoolElement:
    """One registration that is kept up for as long as the context lasts.

    ``user_transport`` is where the service is served; its addresses must be among those that the node speaks from
    (RFC 5352 2.2.1). Without it the element serves by itself: ``service``, or one made for ``protocol`` (sctp, tcp or
    udp), is opened at the node's addresses, and sessions() yields the users that come. Each gets a business card; with
    ``successors`` the pool's other elements are on it.

    ``load`` is 0.0 to 1.0, for policies that have one. ``life`` in seconds is that of a registration that is not
    renewed. Entering waits for the first registration for up to ``patience`` seconds (None: not at all) and raises
    Refused or NoRegistrar; after that, registering is pursued for ever. On a ``node`` of its own, made from the other
    arguments (see Node), or on one that is shared. Leaving deregisters, and then aborts the sessions that are left; so
    does SIGTERM, where the program does not handle that signal itself.
    """

    def __init__(
        self,
        handle: str | bytes,
        user_transport: Transport | None = None,
        *,
        policy: Policy = ROUND_ROBIN,
        load: float | None = None,
        identifier: int | None = None,
        times: RegistrationTimes = DEFAULT_TIMES,
        service: Service | None = None,
        protocol: str = "sctp",
        successors: bool = False,
        patience: float | None = PATIENCE,
        node: Node | None = None,
        **options: Unpack[NodeOptions],
    ) -> None:
        self.pool_handle = octets(handle)
        self.service = service or (Service(protocol=protocol) if user_transport is None else None)
        """What serves the sessions; None where that is the application's own business."""
        self._user_transport = user_transport
        self._policy = policy if load is None else with_load(policy, load)
        self._times = times
        self._identifier = identifier
        self._patience = patience
        self._own = node is None
        own_addresses = () if user_transport is None else addresses_of(user_transport)
        self.node = node or Node(preferred=own_addresses, **options)
        self._transport = options.get("transport")
        self._cards = BusinessCards(self.pool_handle, self._parameter, PoolUser(node=self.node), successors=successors)
        self._element: Element | None = None
        self._last: ElementStatus | None = None
        self._causes: tuple[ErrorCause, ...] = ()
        """What a registrar has said last against it."""
        self._queues: list[EventQueue[ElementStatus]] = []
        self._waiting: set[asyncio.Future[None]] = set()

    # Life

    async def __aenter__(self) -> Self:
        if self._own:
            await self.node.open()
        try:
            await self._serve()
            self._start()
            if self._patience is not None:
                await self._first_registration(self._patience)
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def _serve(self) -> None:
        """Open the service at the addresses that the registrar will see."""
        if self.service is not None:
            where = [str(address) for address in self.node.local_addresses]
            self._user_transport = await self.service.open(
                self.pool_handle, where, transport=self._transport, card=self.business_card
            )
            self.service.learn = self._cards.learn
            self._cards.start()

    def _start(self) -> None:
        if not self.node.takes_elements:
            raise LocalProtocolError("a pool element needs a node that speaks SCTP and may be called (RFC 5352 2.1)")
        self._warn_of_addresses()
        element = self.node.protocol.add(
            self.pool_handle,
            self.user_transport,
            self._policy,
            identifier=self._identifier,
            life=self._times.life,
            life_on_wire=self._times.life_on_wire,
            reregister_every=self._times.reregister_every,
        )
        self._element = element
        self.node.watch_element(element.number, self._heard)
        sigterm_handler().add(self._leave)
        element.start(self.node.now())
        self.node.settle()

    async def _first_registration(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                await self.registered()
        except TimeoutError:
            if self._causes:
                raise refusal(self._what(), self._causes) from None
            raise NoRegistrar(f"no registrar answered within {patience:g} s") from None

    async def _leave(self) -> None:
        """Deregister, within LEAVING seconds, and free everything; nothing the second time."""
        sigterm_handler().remove(self._leave)
        element, self._element = self._element, None
        try:
            if element is not None:
                await self._deregister(element)
        finally:
            await self._cards.stop()
            if self.service is not None:
                await self.service.close()
            for queue in self._queues:
                queue.close()
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_exception(LocalProtocolError("the element has been left"))
            if self._own:
                await self.node.close()

    async def _deregister(self, element: Element) -> None:
        with contextlib.suppress(LocalProtocolError):
            protocol = self.node.protocol
            try:
                element.deregister(self.node.now())
                self.node.settle()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LEAVING):
                        await self._until(lambda: element.state is not ElementState.DEREG)
            finally:
                self.node.watch_element(element.number, None)
                protocol.remove(element)

    # What it is

    @property
    def identifier(self) -> int:
        """The pool element identifier; 0 before it has been drawn."""
        return self._element.identifier if self._element is not None else self._identifier or 0

    @property
    def state(self) -> ElementState:
        """Where it stands with its registrar."""
        return self._last.state if self._last is not None else ElementState.IDLE

    @property
    def home(self) -> Home | None:
        """The home registrar; None without one."""
        return self.node.home

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """The addresses that its registrar sees it at."""
        return self.node.local_addresses

    @property
    def load(self) -> float:
        """0.0 to 1.0. Setting it registers anew: at once, or as soon as the registration on its way is answered.
        LocalProtocolError where the policy has none."""
        try:
            return self._policy.load / FULL_LOAD
        except AttributeError as error:
            raise LocalProtocolError(str(error)) from None

    @load.setter
    def load(self, load: float) -> None:
        self.policy = with_load(self._policy, load)

    @property
    def policy(self) -> Policy:
        """The policy and its values; setting it registers anew, as with ``load``."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        if self._element is not None:
            self._element.change(self.node.now(), policy=policy)
            self.node.settle()
        self._policy = policy

    @property
    def user_transport(self) -> Transport:
        """Where the service is served; setting it registers anew, as with ``load``. LocalProtocolError before the
        element is entered, where it serves by itself."""
        if self._user_transport is None:
            raise LocalProtocolError("the element does not serve yet")
        return self._user_transport

    @user_transport.setter
    def user_transport(self, user_transport: Transport) -> None:
        if self._element is not None:
            self._element.change(self.node.now(), user_transport=user_transport)
            self.node.settle()
        self._user_transport = user_transport
        if self._element is not None:
            self._warn_of_addresses()

    def set_addresses(self, addresses: Sequence[Address]) -> None:
        """Serve at other addresses. LocalProtocolError for a transport that cannot have them."""
        match self.user_transport:
            case SCTPTransport() as transport if addresses:
                self.user_transport = replace(transport, addresses=tuple(addresses))
            case TCPTransport() | UDPTransport() | UDPLiteTransport() | DCCPTransport() as transport if (
                len(addresses) == 1
            ):
                self.user_transport = replace(transport, address=addresses[0])
            case transport:
                raise LocalProtocolError(f"{type(transport).__name__} cannot have {len(addresses)} addresses")

    # Its sessions

    def sessions(self) -> AsyncIterator[ServiceSession]:
        """The sessions of users as they come, until the element is left. LocalProtocolError where it does not serve by
        itself."""
        if self.service is None:
            raise LocalProtocolError("the element was given a user transport: it does not serve by itself")
        return self.service.sessions()

    @property
    def seal(self) -> Sealer | None:
        """What seals the cookies of its sessions; None leaves them as they are. LocalProtocolError as for sessions."""
        if self.service is None:
            raise LocalProtocolError("the element was given a user transport: it does not serve by itself")
        return self.service.seal

    @seal.setter
    def seal(self, seal: Sealer | None) -> None:
        if self.service is None:
            raise LocalProtocolError("the element was given a user transport: it does not serve by itself")
        self.service.seal = seal

    def business_card(self) -> BusinessCard:
        """Its card, as users get it, and as the elements do that it uses itself (RFC 5352 3.9)."""
        return self._cards.make()

    def _parameter(self) -> Parameter:
        home = self.node.home
        life = self._times.life_on_wire
        return Parameter(
            identifier=self.identifier,
            home_identifier=home.identifier if home is not None else 0,
            registration_life=wire_life(self._times.life) if life is None else life,
            user_transport=self.user_transport,
            policy=self._policy,
        )

    # What happens to it

    async def registered(self) -> None:
        """Wait until the registrar has what was set last. Raises Refused if it does not want it, LocalProtocolError if
        the element is left or its node closed."""
        await self._until(self._is_settled)
        if self.state is ElementState.REFUSED:
            raise self._refused()
        if self.state is ElementState.IDLE:
            raise LocalProtocolError("the element is not registered any more")

    def events(self) -> EventQueue[ElementStatus]:
        """An asynchronous iterator over ElementStatus records from now on, and EventsDropped where they were not
        fetched in time; it ends when the element is left."""
        queue: EventQueue[ElementStatus] = EventQueue()
        self._queues.append(queue)
        return queue

    def _warn_of_addresses(self) -> None:
        own = self.node.local_addresses
        foreign = [str(address) for address in addresses_of(self.user_transport) if address not in own]
        if foreign:
            registered, spoken = ", ".join(foreign), ", ".join(map(str, own))
            text = "pool %r: %s cannot be registered, for this node speaks from %s (RFC 5352 2.2.1): see `local`"
            log.warning(text, self.pool_handle, registered, spoken)

    def _is_settled(self) -> bool:
        return self._last is not None and (
            self._last.current or self._last.state in (ElementState.REFUSED, ElementState.IDLE)
        )

    def _what(self) -> str:
        return f"registration in pool {self.pool_handle!r}"

    def _refused(self) -> Refused:
        return refusal(self._what(), self._causes)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)

    def _heard(self, event: ElementStatus) -> None:
        old, self._last = self._last, event
        self._causes = () if event.current else event.causes or self._causes
        if self.service is not None:
            self.service.identifier = self.identifier
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        if (
            old is None
            or event.reason
            or (old.state, old.home, old.identifier)
            != (
                event.state,
                event.home,
                event.identifier,
            )
        ):
            for queue in self._queues:
                queue.put(event)

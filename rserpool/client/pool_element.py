"""The pool element: registers, stays registered, acknowledges keep-alives, deregisters (RFC 5352 3.1, 3.2, 3.4)."""

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
from rserpool.policies import name_of
from rserpool.protocol.client.element import Element, wire_life
from rserpool.protocol.client.events import ElementState, ElementStatus, Home

log = logging.getLogger("rserpool.client")

ROUND_ROBIN = Policy(policy_type=PolicyType.ROUND_ROBIN, values=())
PATIENCE = 30.0
"""Seconds that entering an element waits for the first registration."""
DEREGISTRATION_TIMEOUT = 5.0
"""Seconds that deregistering may take when an element is left."""
FULL_LOAD = 0xFFFFFFFF
"""A load of 1.0 on the wire (RFC 5356)."""


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
    """The policy with a load, 0.0 to 1.0; missing values become 0. Raises LocalProtocolError if the policy has no
    load."""
    names = POLICY_VALUES.get(policy.policy_type, ())
    if "load" not in names:
        raise LocalProtocolError(f"policy {name_of(policy.policy_type)} has no load; choose one like least-used")
    if not 0.0 <= load <= 1.0:
        raise LocalProtocolError(f"load must be 0.0 to 1.0, not {load}")
    values = list(policy.values or [0] * len(names))
    values[names.index("load")] = round(load * FULL_LOAD)
    return replace(policy, values=tuple(values))


def addresses_of(transport: Transport | None) -> tuple[Address, ...]:
    """The addresses in a transport parameter; none for an opaque one."""
    match transport:
        case SCTPTransport(addresses=addresses):
            return addresses
        case TCPTransport(address=address) | UDPTransport(address=address):
            return (address,)
        case UDPLiteTransport(address=address) | DCCPTransport(address=address):
            return (address,)
    return ()


class PoolElement:
    """A pool element: registered while its asynchronous context lasts.

    ``user_transport`` holds the transport addresses of the service; they must be among the node's addresses (RFC 5352
    2.2.1). Without it the element serves by itself: it opens ``service``, or a Service for ``protocol`` (sctp, tcp or
    udp), at the node's addresses, and sessions() yields the pool users' sessions. Each user gets a business card; with
    ``successors`` the card lists other elements of the pool.

    ``policy`` is the pool's policy, ``load`` its load value, 0.0 to 1.0, if it has one. ``identifier`` is the pool
    element identifier, by default random. ``times`` sets the life and the renewal of the registration.

    Entering waits up to ``patience`` seconds for the first registration (None: it does not wait), and raises Refused or
    NoRegistrar. After that the element registers again whenever that is necessary, without a time limit. Leaving
    deregisters the element, and then aborts its open sessions. SIGTERM does the same, unless the program handles it.

    The element uses the given ``node``, shared with others, or one of its own made from ``options`` (see Node).
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
        """The service of the sessions; None if ``user_transport`` is given, and the application serves it."""
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
        """The error causes of the latest refusal."""
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
        """Open the service at the node's addresses."""
        if self.service is not None:
            where = [str(address) for address in self.node.local_addresses]
            self._user_transport = await self.service.open(
                self.pool_handle, where, transport=self._transport, card=self.business_card
            )
            self.service.learn = self._cards.learn
            self._cards.start()

    def _start(self) -> None:
        if not self.node.takes_elements:
            raise LocalProtocolError("a pool element needs a node with SCTP and listen=True (RFC 5352 2.1)")
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
        self.node.watch_element(element.number, self._state_changed)
        sigterm_handler().add(self._leave)
        element.start(self.node.now())
        self.node.carry_out_pending()

    async def _first_registration(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                await self.registered()
        except TimeoutError:
            if self._causes:
                raise refusal(self._description(), self._causes) from None
            raise NoRegistrar(f"no registrar answered within {patience:g} s") from None

    async def _leave(self) -> None:
        """Deregister within DEREGISTRATION_TIMEOUT seconds, and close everything. A second call does nothing."""
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
                    waiting.set_exception(LocalProtocolError("the pool element has been left"))
            if self._own:
                await self.node.close()

    async def _deregister(self, element: Element) -> None:
        with contextlib.suppress(LocalProtocolError):
            protocol = self.node.protocol
            try:
                element.deregister(self.node.now())
                self.node.carry_out_pending()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DEREGISTRATION_TIMEOUT):
                        await self._until(lambda: element.state is not ElementState.DEREG)
            finally:
                self.node.watch_element(element.number, None)
                protocol.remove(element)

    # Its registration

    @property
    def identifier(self) -> int:
        """The pool element identifier; 0 until one is chosen."""
        return self._element.identifier if self._element is not None else self._identifier or 0

    @property
    def state(self) -> ElementState:
        """The state of the registration."""
        return self._last.state if self._last is not None else ElementState.IDLE

    @property
    def home(self) -> Home | None:
        """The home registrar, or None while there is none."""
        return self.node.home

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """The addresses of its node, from which the registrar sees the element."""
        return self.node.local_addresses

    @property
    def load(self) -> float:
        """The load, 0.0 to 1.0. Setting it re-registers the element: at once, or when a pending registration is
        answered. Raises LocalProtocolError if the policy has no load."""
        try:
            return self._policy.load / FULL_LOAD
        except AttributeError as error:
            raise LocalProtocolError(str(error)) from None

    @load.setter
    def load(self, load: float) -> None:
        self.policy = with_load(self._policy, load)

    @property
    def policy(self) -> Policy:
        """The policy and its values. Setting it re-registers the element, as with ``load``."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        if self._element is not None:
            self._element.change(self.node.now(), policy=policy)
            self.node.carry_out_pending()
        self._policy = policy

    @property
    def user_transport(self) -> Transport:
        """The transport addresses of the service. Setting them re-registers the element, as with ``load``. Raises
        LocalProtocolError before the element is entered, if it serves by itself."""
        if self._user_transport is None:
            raise LocalProtocolError("the pool element has no user transport before it is entered")
        return self._user_transport

    @user_transport.setter
    def user_transport(self, user_transport: Transport) -> None:
        if self._element is not None:
            self._element.change(self.node.now(), user_transport=user_transport)
            self.node.carry_out_pending()
        self._user_transport = user_transport
        if self._element is not None:
            self._warn_of_addresses()

    def set_addresses(self, addresses: Sequence[Address]) -> None:
        """Register other addresses of the service. Raises LocalProtocolError if its transport cannot have them."""
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
        """Iterate over new sessions with pool users, until the element is left. Raises LocalProtocolError if the
        element has a ``user_transport``."""
        return self._own_service.sessions()

    @property
    def seal(self) -> Sealer | None:
        """The Sealer of the sessions' cookies; None leaves them readable. Raises LocalProtocolError if the element has
        a ``user_transport``."""
        return self._own_service.seal

    @seal.setter
    def seal(self, seal: Sealer | None) -> None:
        self._own_service.seal = seal

    @property
    def _own_service(self) -> Service:
        if self.service is None:
            raise LocalProtocolError("the pool element has a user_transport: the application serves its users itself")
        return self.service

    def business_card(self) -> BusinessCard:
        """Make the business card for a pool user of this element, or for an element that this one uses (RFC 5352
        3.9)."""
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

    # Its events

    async def registered(self) -> None:
        """Wait until the registrar has accepted the latest change. Raises Refused if it refuses it, LocalProtocolError
        if the element is left or its node closed."""
        await self._until(self._is_settled)
        if self.state is ElementState.REFUSED:
            raise self._refused()
        if self.state is ElementState.IDLE:
            raise LocalProtocolError("the pool element is not registered any more")

    def events(self) -> EventQueue[ElementStatus]:
        """Iterate over ElementStatus records from now on, with EventsDropped where some were lost. Ends when
        the element is left."""
        queue: EventQueue[ElementStatus] = EventQueue()
        self._queues.append(queue)
        return queue

    def _warn_of_addresses(self) -> None:
        own = self.node.local_addresses
        foreign = [str(address) for address in addresses_of(self.user_transport) if address not in own]
        if foreign:
            registered, usable = ", ".join(foreign), ", ".join(map(str, own))
            text = "pool %r: cannot register %s: not an address of this node (%s; RFC 5352 2.2.1); give local="
            log.warning(text, self.pool_handle, registered, usable)

    def _is_settled(self) -> bool:
        return self._last is not None and (
            self._last.current or self._last.state in (ElementState.REFUSED, ElementState.IDLE)
        )

    def _description(self) -> str:
        return f"registration in pool {self.pool_handle!r}"

    def _refused(self) -> Refused:
        return refusal(self._description(), self._causes)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)

    def _state_changed(self, event: ElementStatus) -> None:
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

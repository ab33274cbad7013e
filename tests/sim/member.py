"""A simulated pool element of ours: the client protocol's element on the node of a process, with a service."""

from functools import partial
from typing import TYPE_CHECKING

from rserpool.messages import BusinessCard, Policy, PoolElement, SCTPTransport
from rserpool.protocol.client.element import Element
from rserpool.protocol.client.events import ElementState, ElementStatus
from tests.sim.ledger import Ledger
from tests.sim.network import Endpoint, Host, Side
from tests.sim.service import Service

if TYPE_CHECKING:
    from tests.sim.client import Client

LEAVING = 5.0
"""Time limit for a deregistration, in seconds. Then the program ends without an answer."""


class Member:
    """One pool element. It is registered while its process runs and it is wanted."""

    def __init__(
        self, client: "Client", port: int, pool: bytes, identifier: int, policy: Policy, interval: float, ledger: Ledger
    ) -> None:
        self.client = client
        self.pool = pool
        self.identifier = identifier
        self.policy = policy
        self.interval = interval
        """Seconds between two registrations."""
        self.life = 0
        """Registration Life, in the unit of the registrars' profile."""
        self.wanted = False
        self.changed = 0
        """When it started or ended last."""
        self.element: Element | None = None
        self.friends: tuple[Member, ...] = ()
        """Whom its users are to go to when it fails, by its business card."""
        self.service = Service(client, port, ledger, self._card)
        self._port = port
        self._leaving = False

    @property
    def host(self) -> Host:
        return self.client.host

    @property
    def alive(self) -> bool:
        """True if it should be registered."""
        return self.wanted and self.client.running

    @property
    def frozen(self) -> bool:
        return self.client.still

    @property
    def endpoint(self) -> Endpoint | None:
        return self.service.endpoint

    @property
    def home(self) -> Side | None:
        """The association with its home registrar."""
        return self.client.home

    @property
    def settled(self) -> bool:
        """True if it believes that it is registered."""
        element = self.element
        return (
            element is not None and element.registered and element.state is ElementState.READY and self.home is not None
        )

    @property
    def stage(self) -> str:
        """Its state, for reports."""
        return self.element.state.name if self.element is not None else "OFF"

    # Life

    def start(self) -> None:
        """Want to be registered, and start the process if it does not run."""
        if self.alive:
            return
        self._gone()
        self.wanted = True
        if not self.client.running:
            self.client.start()
        else:
            self.begin()

    def begin(self) -> None:
        """Serve and register, in a process that has started."""
        client = self.client
        assert client.node is not None
        self.changed = client.network.clock.now
        self.service.open()
        self.element = client.node.add(
            self.pool,
            self._transport,
            self.policy,
            life=self.interval + 50,
            identifier=self.identifier,
            life_on_wire=self.life,
            reregister_every=self.interval,
        )
        client.note(f"element {self.identifier:08x} of {self.pool.decode()} starts")
        self.element.start(client.now())
        client.settle()

    def stop(self, *, silently: bool) -> None:
        """End its process without deregistering."""
        self.client.stop(silently=silently)

    def ended(self, *, silently: bool, orderly: bool) -> None:
        """Clean up after the end of its process."""
        if self.element is not None:
            self.changed = self.client.network.clock.now
        self.element = None
        self._leaving = False
        self.service.close(silently=silently, orderly=orderly)

    def leave(self) -> None:
        """Deregister and end in order. Everything else in the process continues."""
        element, client = self.element, self.client
        if not self.alive or self.frozen or element is None:
            return
        client.note(f"element {self.identifier:08x} of {self.pool.decode()} leaves")
        self.wanted = False
        self._leaving = True
        self.changed = client.network.clock.now
        client.later(LEAVING, partial(self._late, element))
        element.deregister(client.now())
        client.settle()

    def _late(self, element: Element) -> None:
        if self._leaving and self.element is element:
            self._gone()

    def heard(self, event: ElementStatus) -> None:
        """Handle an event of the element."""
        if self._leaving and event.state is not ElementState.DEREG:
            self._gone()

    def _gone(self) -> None:
        """Finish after the deregistration."""
        if not self._leaving:
            return
        self._leaving = False
        element, self.element = self.element, None
        self.changed = self.client.network.clock.now
        if element is not None and self.client.node is not None:
            self.client.node.remove(element)
        self.service.close(silently=False)

    def freeze(self) -> None:
        self.client.stand_still()

    def thaw(self) -> None:
        self.client.go_on()

    def load(self, value: int) -> None:
        """Change its policy's values, and register at once if it is registered."""
        if self.element is None or not self.alive or self.frozen or not self.policy.values:
            return
        self.policy = Policy(policy_type=self.policy.policy_type, values=(value, *self.policy.values[1:]))
        self.element.change(self.client.now(), policy=self.policy)
        self.client.settle()

    # Its sessions

    def up(self, side: Side) -> None:
        self.service.up(side)
        self.client.rearm()

    def message(self, side: Side, data: bytes) -> None:
        self.service.message(side, data)
        self.client.rearm()

    def down(self, side: Side) -> None:
        self.service.down(side)

    def writable(self, side: Side) -> None:
        self.service.writable(side)

    @property
    def _transport(self) -> SCTPTransport:
        return SCTPTransport(port=self._port, transport_use=1, addresses=(self.host.address,))

    @property
    def parameter(self) -> PoolElement:
        """Its Pool Element parameter, as business cards carry it."""
        return PoolElement(
            identifier=self.identifier,
            registration_life=self.life,
            user_transport=self._transport,
            policy=self.policy,
        )

    def _card(self) -> BusinessCard | None:
        if not self.friends:
            return None
        return BusinessCard(pool_handle=self.pool, pool_elements=tuple(one.parameter for one in (self, *self.friends)))

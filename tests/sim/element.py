"""An imitation of rsplib's pool element where the RFCs leave room: it acknowledges keep-alives only over its home
association, changes its home only if a registrar asks over an association of its own, and registers only at its
interval."""

import enum
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from random import Random

from rserpool.errors import Cause
from rserpool.messages import (
    Deregistration,
    DeregistrationResponse,
    EndpointKeepAlive,
    EndpointKeepAliveAck,
    Policy,
    PolicyType,
    PoolElement,
    Registration,
    RegistrationResponse,
    SCTPTransport,
    decode,
)
from tests.sim.network import Endpoint, Host, Network, Side

PE_PORT = 4711
SERVICE_PORT = 7
RESPONSE_PATIENCE = 5.0
"""Time limit for a response, in seconds (T2). Then another registrar is asked."""
HUNT_PAUSE = (0.2, 2.0)
"""Seconds between two attempts to find a registrar."""


class State(enum.Enum):
    """The states of an element."""

    OFF = "off"
    HUNTING = "hunting"
    ASKING = "asking"
    READY = "ready"


@dataclass(slots=True, eq=False)
class Element:
    """One pool element on a host of its own."""

    network: Network
    host: Host
    randomness: Random
    pool: bytes
    identifier: int
    policy: Policy
    life: int
    """Registration Life, in the unit of the registrars' profile."""
    interval: float
    """Seconds between two registrations (T4)."""
    places: tuple[tuple[IPv4Address, int], ...]
    """The registrars it knows."""
    state: State = State.OFF
    home: Side | None = None
    home_identifier: int = 0
    changed: int = 0
    """When it started, ended, froze or thawed last."""
    frozen: bool = False
    _endpoint: Endpoint | None = None
    _wanted: tuple[IPv4Address, int] | None = None
    """The registrar that it has turned to."""
    _told: Policy | None = None
    """The policy with which it registered last."""
    _turn: int = 0
    _inbox: list[tuple[Side, bytes]] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return self.state is not State.OFF

    @property
    def stage(self) -> str:
        """Its state, for reports."""
        return self.state.name

    @property
    def settled(self) -> bool:
        """True if it believes that it is registered."""
        return self.state is State.READY and self.home is not None

    # Life

    def start(self) -> None:
        """Start to look for a registrar."""
        if self.alive:
            return
        if self.host.silent:
            self.host.silent = False
            self.network.links_changed()
        self.changed = self.network.clock.now
        self.note("starts")
        self._endpoint = self.network.listen(self.host, PE_PORT, "asap", self)
        self._hunt()

    def stop(self, *, silently: bool) -> None:
        """End without deregistering."""
        if not self.alive:
            return
        self.note("its host is gone" if silently else "is killed")
        self._over()
        assert self._endpoint is not None
        self.network.close(self._endpoint, silently=silently)
        if silently:
            self.host.silent = True
            self.network.links_changed()

    def leave(self) -> None:
        """Deregister and end in order."""
        if not self.alive or self.frozen:
            return
        self.note("leaves")
        assert self._endpoint is not None
        if self.home is not None:
            request = Deregistration(pool_handle=self.pool, pe_identifier=self.identifier)
            self.network.send(self.home, request.encode())
        for side in tuple(self._endpoint.sides.values()):
            self.network.shut_down(side)
        self._over()
        self.network.close(self._endpoint, silently=True)

    def _over(self) -> None:
        self.state, self.home, self.frozen = State.OFF, None, False
        self.home_identifier = 0
        self.changed = self.network.clock.now
        self._inbox.clear()
        self._turn += 1

    def freeze(self) -> None:
        """Stop answering; its system keeps the associations."""
        if self.alive and not self.frozen:
            self.note("freezes")
            self.frozen = True
            self.changed = self.network.clock.now

    def thaw(self) -> None:
        """Continue after freeze()."""
        if not self.frozen:
            return
        self.note("thaws")
        self.frozen = False
        self.changed = self.network.clock.now
        inbox, self._inbox = self._inbox, []
        for side, data in inbox:
            self.message(side, data)
        if self.home is not None and self.home.over:
            self._homeless()
        elif self.state is not State.READY:
            self._give_up()
        else:
            self._again(0.0)

    def load(self, value: int) -> None:
        """Change its policy's values, and register at once if it is registered."""
        if self.alive and self.policy.values:
            self.policy = Policy(policy_type=self.policy.policy_type, values=(value, *self.policy.values[1:]))
            if self.state is State.READY and self.home is not None and not self.frozen:
                self._register()

    def note(self, text: str) -> None:
        self.network.history.text(self.network.clock.now, self.host.name, text)

    # Timers: only the last one set counts

    def _wait(self, seconds: float, state: State) -> None:
        self._turn += 1
        self.state = state
        self.network.clock.after(seconds, self._due, self._turn)

    def _due(self, turn: int) -> None:
        if turn != self._turn or self.frozen or not self.alive:
            return
        if self.state is State.ASKING:
            self._give_up()
        elif self.state is State.READY and self.home is not None:
            self._register()
        else:
            self._hunt()

    def _give_up(self) -> None:
        """No response came: try another registrar."""
        if self.home is not None:
            self.network.shut_down(self.home)
            self.home = None
        self._hunt()

    # Registration

    def _hunt(self) -> None:
        assert self._endpoint is not None
        self.home = None
        self._wait(RESPONSE_PATIENCE + 2, State.HUNTING)
        self._wanted = self.randomness.choice(self.places)
        side = self._endpoint.sides.get(self._wanted)
        if side is not None and side.is_up:
            self.home = side
            self._register()
        else:
            self.network.connect(self._endpoint, *self._wanted)

    def _register(self) -> None:
        assert self.home is not None
        transport = SCTPTransport(port=SERVICE_PORT, transport_use=0, addresses=(self.host.address,))
        element = PoolElement(
            identifier=self.identifier,
            home_identifier=self.home_identifier,
            registration_life=self.life,
            user_transport=transport,
            policy=self.policy,
        )
        self._told = self.policy
        self.network.send(self.home, Registration(pool_handle=self.pool, pool_element=element).encode())
        self._wait(RESPONSE_PATIENCE, State.ASKING)

    def _again(self, seconds: float) -> None:
        """Register at the present home before the interval has passed."""
        self._wait(seconds, State.READY)

    # Network events

    def up(self, side: Side) -> None:
        if side.endpoint is not self._endpoint or not self.alive:
            return
        there = (side.there.host.address, side.there.port)
        if self.state is State.HUNTING and self.home is None and there == self._wanted:
            self.home = side
            if not self.frozen:
                self._register()

    def unreachable(self, endpoint: Endpoint, address: IPv4Address, port: int) -> None:
        if endpoint is self._endpoint and self.state is State.HUNTING and (address, port) == self._wanted:
            self._wait(self.randomness.uniform(*HUNT_PAUSE), State.HUNTING)

    def down(self, side: Side) -> None:
        if side is self.home and self.alive and not self.frozen:
            self._homeless()

    def _homeless(self) -> None:
        """The association with the home is lost: look for another home when the interval has passed."""
        self.home = self._wanted = None
        self._wait(self.interval, State.HUNTING)

    def writable(self, side: Side) -> None:
        """Nothing to do: it never offers messages that might not fit."""

    def message(self, side: Side, data: bytes) -> None:
        if side.endpoint is not self._endpoint or not self.alive:
            return
        if self.frozen:
            self._inbox.append((side, data))
            return
        message = decode(data, "asap")
        match message:
            case EndpointKeepAlive():
                self._asked(side, message)
            case RegistrationResponse(reject=False) if side is self.home:
                self._wait(self.interval if self._told == self.policy else 0.0, State.READY)
            case RegistrationResponse() if side is self.home:
                causes = [Cause(cause.code).name for cause in message.operation_error]
                self.note(f"is refused: {', '.join(causes)}")
                self._wait(self.randomness.uniform(1, 3), State.READY)
            case DeregistrationResponse(operation_error=()) if side is self.home:
                self._again(0.0)

    def _asked(self, side: Side, message: EndpointKeepAlive) -> None:
        """Acknowledge a keep-alive (RFC 5352 3.4). Its sender becomes the home if H=1."""
        if message.pool_handle != self.pool or message.pe_identifier not in (None, self.identifier):
            return
        moves = message.home and side is not self.home
        if side is self.home:
            self.home_identifier = message.server_identifier
        elif not moves:
            if self.home is not None:
                self._acknowledge(self.home)
            return
        self._acknowledge(side)
        if not moves:
            return
        old, self.home = self.home, side
        self.home_identifier = message.server_identifier
        self.note(f"has a new home: {side.there.host.name}")
        if old is not None:
            self.network.abort(old)
        self._again(self.interval)

    def _acknowledge(self, side: Side) -> None:
        answer = EndpointKeepAliveAck(pool_handle=self.pool, pe_identifier=self.identifier)
        self.network.send(side, answer.encode())


def policy(kind: PolicyType) -> Policy:
    """Build a policy of a type with valid random values."""
    return Policy(policy_type=kind, values=tuple(10 + n for n in range(VALUES[kind])))


VALUES = {
    PolicyType.ROUND_ROBIN: 0,
    PolicyType.WEIGHTED_ROUND_ROBIN: 1,
    PolicyType.LEAST_USED: 1,
    PolicyType.LEAST_USED_WITH_DEGRADATION: 2,
    PolicyType.PRIORITY: 1,
}

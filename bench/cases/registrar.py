"""The registrar's protocol object, from octets to actions: the cost of a message without its transport."""

from functools import partial
from ipaddress import IPv4Address
from random import Random

from bench.cases import Case, Subject
from rserpool._fast.lane.journal import Journal
from rserpool._fast.lane.lane import Lane as FastLane
from rserpool.messages import (
    EndpointKeepAliveAck,
    HandleResolution,
    Policy,
    PolicyType,
    PoolElement,
    Registration,
    SCTPTransport,
)
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.asap.dispatch import AsapRegistrar
from rserpool.protocol.registrar.context import new_context
from rserpool.protocol.registrar.elements import Elements
from rserpool.protocol.registrar.enrp.peers import EnrpLink, PeerRegistrar
from rserpool.settings.limits import Limits
from rserpool.settings.registrar import Settings

OWN = 0x22222222
ELEMENTS = 1000
HANDLE = b"ComputePool.0001"
HOST = IPv4Address("10.44.0.1")
UNBOUNDED = Limits(
    elements_per_association=10**9,
    elements_per_pool=10**9,
    registration_rate=1e12,
    registration_burst=10**9,
    resolution_rate=1e12,
    resolution_burst=10**9,
)


def registration(identifier: int, load: int, life: int = 300) -> bytes:
    element = PoolElement(
        identifier=identifier,
        home_identifier=0,
        registration_life=life,
        user_transport=SCTPTransport(port=7777, transport_use=1, addresses=(HOST,)),
        policy=Policy(policy_type=PolicyType.LEAST_USED, values=(load,)),
    )
    return Registration(pool_handle=HANDLE, pool_element=element).encode()


def other_policy(identifier: int) -> bytes:
    """Return a registration that is valid except for the pool's policy, which is checked last."""
    element = PoolElement(
        identifier=identifier,
        home_identifier=0,
        registration_life=300,
        user_transport=SCTPTransport(port=7777, transport_use=1, addresses=(HOST,)),
        policy=Policy(policy_type=PolicyType.ROUND_ROBIN, values=()),
    )
    return Registration(pool_handle=HANDLE, pool_element=element).encode()


class Asap:
    """The ASAP part of a registrar with one association, and a peer registrar to update."""

    def __init__(self) -> None:
        peer = Peer(addresses=(HOST,), port=17777, sctp=True)
        self.context = new_context(Settings(identifier=OWN, limits=UNBOUNDED), Random(1), seed=1, now=0)
        self.context.peers[7] = PeerRegistrar(7, (), 0, link=EnrpLink(2, peer, opened_here=False))
        self.registrar = AsapRegistrar(self.context, Elements(self.context))
        self.registrar.associated(1, peer, 0)


class Pipeline(Subject):
    """A pool of 1000 least-used elements on one association, and messages as a socket delivers them."""

    def __init__(self, *messages: bytes) -> None:
        self.asap = Asap()
        self.registrar = self.asap.registrar
        for identifier in range(1, ELEMENTS + 1):
            self.registrar.received(1, registration(identifier, identifier), 0)
        self.messages = messages

    def lane(self) -> FastLane:
        """The fast lane of the only association."""
        lane = self.asap.context.associations[1].lane
        assert lane is not None
        return lane

    def run(self, calls: int) -> None:
        received, messages = self.registrar.received, self.messages
        for call in range(calls):
            received(1, messages[call % len(messages)], 1)


class Declined(Pipeline):
    """Messages that a transport first offers to the fast lane, which declines them."""

    def run(self, calls: int) -> None:
        received, serve, messages = self.registrar.received, self.lane().serve, self.messages
        for call in range(calls):
            message = messages[call % len(messages)]
            if serve(message, 1e-6)[1]:
                raise AssertionError("the fast lane serves this")
            received(1, message, 1)


class Served(Pipeline):
    """Messages that the fast lane serves for a transport, with or without a journal."""

    def __init__(self, logged: bool, *messages: bytes) -> None:
        super().__init__(*messages)
        if logged:
            self.journal = Journal(origin=0, outstanding={}, on_full=self.empty)
            self.registrar.lanes.journal = self.journal

    def empty(self) -> None:
        self.journal.take()

    def run(self, calls: int) -> None:
        serve, messages = self.lane().serve, self.messages
        for call in range(calls):
            serve(messages[call % len(messages)], 1e-6)

    def clean(self, calls: int) -> None:
        self.asap.context.handlespace.updated.clear()


class Lane(Subject):
    """Messages through an association's fast lane, from octets to octets: one pool of least-used elements, timers
    armed."""

    def __init__(self, messages: str, held: int, spare_elements: int = 1000) -> None:
        asap = Asap()
        self.space, self.registrar = asap.context.handlespace, asap.registrar
        draw = Random(2)
        for identifier in range(1, held + 1):
            self.registrar.received(1, registration(identifier, draw.getrandbits(31)), 0)
        association = asap.context.associations[1]
        assert association.lane is not None
        self.lane, self.registrant = association.lane, association.registrant
        spare = range(held + 1, held + spare_elements + 1)
        known = draw.choices(range(1, held + 1), k=spare_elements)
        self.added = spare if messages == "registration" else range(0)
        self.messages = {
            "registration": [registration(identifier, draw.getrandbits(31)) for identifier in spare],
            "re-registration": [registration(identifier, draw.getrandbits(31)) for identifier in known],
            "resolution of 3": [HandleResolution(pool_handle=HANDLE, items=3).encode()] * spare_elements,
            "acknowledgement": [
                EndpointKeepAliveAck(pool_handle=HANDLE, pe_identifier=identifier).encode() for identifier in known
            ],
            "registration of another policy": [other_policy(identifier) for identifier in spare],
        }[messages]
        if messages in SERVED and any(self.lane.answer(message, 0) is None for message in self.messages[:9]):
            raise AssertionError("the fast lane does not serve this")
        self.clean(9)

    def run(self, calls: int) -> None:
        answer = self.lane.answer
        for message in self.messages[:calls]:
            answer(message, 1)

    def clean(self, calls: int) -> None:
        self.space.updated.clear()
        for identifier in self.added[:calls]:
            self.space.remove(HANDLE, identifier)
            self.registrant.elements -= 1


SENT = {
    "resolution of 3": (HandleResolution(pool_handle=HANDLE, items=3).encode(),),
    "acknowledgement": (EndpointKeepAliveAck(pool_handle=HANDLE, pe_identifier=500).encode(),),
    "re-registration, other load": (registration(500, 1), registration(500, 2)),
    "re-registration, other life": (registration(500, 1, 300), registration(500, 1, 301)),
}
SERVED = ("registration", "re-registration", "resolution of 3", "acknowledgement")
CASES = [Case(name=f"registrar: {name}", make=partial(Pipeline, *messages)) for name, messages in SENT.items()]
CASES += [
    Case(
        name="registrar: registration of another policy, refused",
        make=partial(Declined, other_policy(ELEMENTS + 1)),
    ),
    *(
        Case(name=f"served: {name}{', logged' if logged else ''}", make=partial(Served, logged, *SENT[name]))
        for name in ("resolution of 3", "acknowledgement", "re-registration, other load")
        for logged in (False, True)
    ),
]
CASES += [
    Case(name=f"octets: {name}, {held}", make=partial(Lane, name, held), instr=held < 100_000)
    for held in (10_000, 100_000)
    for name in (*SERVED, "registration of another policy")
]

"""A registrar's ASAP under test, with a clock that the test sets."""

from dataclasses import replace
from ipaddress import ip_address
from random import Random

from rserpool.messages import (
    AsapMessage,
    HandleResolution,
    HandleResolutionResponse,
    Policy,
    PolicyType,
    PoolElement,
    Registration,
    RegistrationResponse,
    SCTPTransport,
    decode,
)
from rserpool.protocol.actions import Send
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.asap.dispatch import AsapRegistrar
from rserpool.protocol.registrar.context import new_context
from rserpool.protocol.registrar.elements import Elements
from rserpool.protocol.registrar.enrp.peers import EnrpLink, PeerRegistrar
from rserpool.settings.limits import Limits
from rserpool.settings.registrar import Settings

OWN = 0x22222222
HOST = ip_address("10.44.0.1")
OTHER_HOST = ip_address("10.44.0.2")
SECOND = 1_000_000
ROUND_ROBIN = Policy(policy_type=PolicyType.ROUND_ROBIN, values=())
SERVICE = SCTPTransport(port=7777, transport_use=0, addresses=(HOST,))
POOL = b"EchoPool"
PEER = Peer(addresses=(OTHER_HOST,), port=9901, sctp=True)


class Bench:
    """A registrar's ASAP with a peer registrar to update, and a clock that the test sets."""

    def __init__(self, **changes: object) -> None:
        limits = {name: value for name, value in changes.items() if name in Limits.__dataclass_fields__}
        rest = {"peer_update_window": 0.0}
        rest |= {name: value for name, value in changes.items() if name not in limits}
        settings = Settings(identifier=OWN, limits=Limits(**limits), **rest)  # type: ignore[arg-type]
        self.now = 0
        self.context = new_context(settings, Random(1), seed=1, now=0)
        self.context.peers[7] = PeerRegistrar(7, (), 0, link=EnrpLink(99, PEER, opened_here=False))
        self.space = self.context.handlespace
        self.wheel = self.context.wheel
        self.counters = self.context.counters
        self.elements = Elements(self.context)
        self.asap = AsapRegistrar(self.context, self.elements)
        self.associations = 0

    def associate(self, host: object = HOST, *, sctp: bool = True, rtt: float | None = None) -> int:
        self.associations += 1
        peer = Peer(addresses=(host,), port=17777, sctp=sctp, round_trip=lambda: rtt)  # type: ignore[arg-type]
        assert not self.asap.associated(self.associations, peer, self.now)
        return self.associations

    def send(self, number: int, message: AsapMessage | bytes) -> list[Action]:
        data = message if isinstance(message, bytes) else message.encode()
        actions = self.asap.received(number, data, self.now)
        self.space._check()
        return actions

    def register(
        self, number: int, identifier: int = 1, handle: bytes = POOL, **changes: object
    ) -> RegistrationResponse:
        answer = answers(self.send(number, registration(identifier, handle, **changes)))[-1]
        assert isinstance(answer, RegistrationResponse)
        return answer

    def wait(self, seconds: float) -> list[Action]:
        """Let time pass, expiry by expiry."""
        end = self.now + round(seconds * SECOND)
        actions: list[Action] = []
        while (due := self.wheel.next_expiry()) is not None and due <= end:
            self.now = max(due, self.now)
            for entry in self.space.expire(self.now):
                actions += self.asap.expired(*entry, self.now) if isinstance(entry, tuple) else entry(self.now)
        self.now = end
        return actions

    def listed(self, number: int, handle: bytes = POOL) -> list[int]:
        answer = answers(self.send(number, HandleResolution(pool_handle=handle)))[0]
        assert isinstance(answer, HandleResolutionResponse)
        return [element.identifier for element in answer.pool_elements]


def registration(identifier: int = 1, handle: bytes = POOL, **changes: object) -> Registration:
    element = PoolElement(
        identifier=identifier, home_identifier=0, registration_life=300, user_transport=SERVICE, policy=ROUND_ROBIN
    )
    return Registration(pool_handle=handle, pool_element=replace(element, **changes))  # type: ignore[arg-type]


def answers(actions: list[Action]) -> list[AsapMessage]:
    return [decode(action.data, "asap") for action in actions if isinstance(action, Send)]  # type: ignore[misc]


def cause_of(answer: object) -> int:
    (cause,) = answer.operation_error  # type: ignore[attr-defined]
    return int(cause.code)

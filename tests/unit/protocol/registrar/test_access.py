"""Rights: asked for every request while access is restricted, and for none while it is not."""

from random import Random

from rserpool.errors import Cause
from rserpool.messages import (
    Deregistration,
    DeregistrationResponse,
    HandleResolution,
    HandleResolutionResponse,
    RegistrationResponse,
)
from rserpool.model.principal import Principal
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.access import UNRESTRICTED, Right
from rserpool.protocol.registrar.actions import Action, Protocol
from rserpool.protocol.registrar.registrar import Registrar
from rserpool.settings.registrar import Settings
from tests.support.bench import HOST, OWN, POOL, answers, cause_of, registration

ALICE, MALLORY = Principal(name="alice"), Principal(name="mallory")
OTHER_POOL = b"OtherPool"


class Rights:
    """Grants listed rights and records the questions."""

    restricted = True

    def __init__(self, *granted: tuple[Principal, Right, bytes]) -> None:
        self.granted = set(granted)
        self.asked: list[tuple[Principal, Right, bytes]] = []

    def may(self, principal: Principal, right: Right, handle: bytes) -> bool:
        self.asked.append((principal, right, handle))
        return (principal, right, handle) in self.granted


class AccessWorld:
    """A registrar with restricted access, and associations of principals."""

    def __init__(self, *granted: tuple[Principal, Right, bytes]) -> None:
        self.rights = Rights(*granted)
        self.registrar = Registrar(Settings(identifier=OWN), Random(1), seed=1, now=0, access=self.rights)
        self.numbers: dict[Principal, int] = {}
        for number, principal in enumerate((ALICE, MALLORY), 1):
            peer = Peer(addresses=(HOST,), port=17777 + number, sctp=True, principal=principal)
            self.registrar.associated(number, Protocol.ASAP, peer, 0)
            self.numbers[principal] = number

    def send(self, principal: Principal, data: bytes) -> list[Action]:
        return self.registrar.received(self.numbers[principal], data, 0)

    def ask(self, principal: Principal, data: bytes) -> object:
        """The only answer to a request."""
        (answer,) = answers(self.send(principal, data))
        return answer

    def registers(self, principal: Principal, identifier: int = 1, handle: bytes = POOL) -> bool:
        answer = self.ask(principal, registration(identifier, handle).encode())
        assert isinstance(answer, RegistrationResponse)
        assert not answer.reject or cause_of(answer) == Cause.REJECTED_DUE_TO_SECURITY_CONSIDERATIONS
        return not answer.reject


REGISTER = (ALICE, Right.REGISTER, POOL)


def test_registration_needs_the_right_for_its_pool() -> None:
    world = AccessWorld(REGISTER)
    assert world.registers(ALICE)
    assert not world.registers(ALICE, 2, OTHER_POOL)
    assert not world.registers(MALLORY, 3)
    assert len(world.registrar.handlespace) == 1
    assert world.registrar.counters["registrations refused"] == 2


def test_re_registration_needs_the_right_each_time() -> None:
    world = AccessWorld(REGISTER)
    assert world.registers(ALICE)
    world.rights.granted.clear()
    assert not world.registers(ALICE)


def test_deregistration_needs_the_right() -> None:
    world = AccessWorld(REGISTER)
    world.registers(ALICE)
    request = Deregistration(pool_handle=POOL, pe_identifier=1).encode()
    answer = world.ask(ALICE, request)
    assert isinstance(answer, DeregistrationResponse)
    assert cause_of(answer) == Cause.REJECTED_DUE_TO_SECURITY_CONSIDERATIONS
    assert len(world.registrar.handlespace) == 1
    world.rights.granted.add((ALICE, Right.DEREGISTER, POOL))
    answer = world.ask(ALICE, request)
    assert isinstance(answer, DeregistrationResponse)
    assert not answer.operation_error
    assert len(world.registrar.handlespace) == 0


def test_resolution_needs_the_right_and_its_refusal_hides_whether_the_pool_exists() -> None:
    world = AccessWorld(REGISTER, (ALICE, Right.RESOLVE, POOL))
    world.registers(ALICE)
    answer = world.ask(ALICE, HandleResolution(pool_handle=POOL).encode())
    assert isinstance(answer, HandleResolutionResponse)
    assert [element.identifier for element in answer.pool_elements] == [1]
    for handle in (POOL, OTHER_POOL):
        refusal = world.ask(MALLORY, HandleResolution(pool_handle=handle).encode())
        assert cause_of(refusal) == Cause.REJECTED_DUE_TO_SECURITY_CONSIDERATIONS
    assert world.registrar.counters["handle resolutions refused"] == 2


def test_subscription_without_the_right_gets_no_pushes() -> None:
    world = AccessWorld(REGISTER)
    world.registers(ALICE)
    world.send(MALLORY, HandleResolution(pool_handle=POOL, subscribe=True).encode())
    assert not world.registrar.context.associations[world.numbers[MALLORY]].subscriptions


def test_restricted_associations_have_no_fast_lane() -> None:
    world = AccessWorld(REGISTER)
    assert world.registrar.lane(world.numbers[ALICE]) is None
    world.registers(ALICE)
    assert world.rights.asked == [REGISTER]


def test_unrestricted_access_grants_everything_and_keeps_the_fast_lane() -> None:
    assert not UNRESTRICTED.restricted
    assert all(UNRESTRICTED.may(MALLORY, right, POOL) for right in Right)
    registrar = Registrar(Settings(identifier=OWN), Random(1), seed=1, now=0)
    registrar.associated(1, Protocol.ASAP, Peer(addresses=(HOST,), port=17777, sctp=True, principal=MALLORY), 0)
    assert registrar.lane(1) is not None

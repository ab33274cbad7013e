"""Takeover suggestions: elements move to the registrar whose identifier differs most from theirs."""

import pytest

from rserpool.messages import EndpointKeepAliveAck, HandleUpdate
from rserpool.protocol.registrar.actions import Protocol
from tests.support.scope import HIGH, LOW, OWN, POOL, Scope, element, update


def suggestions(scope: Scope, number: int) -> list[HandleUpdate]:
    return [one for one in scope.sent[number] if isinstance(one, HandleUpdate) and one.takeover_suggested]


@pytest.mark.parametrize(
    ("identifier", "best"), [(0x2222DDDD ^ 0x11111111, None), (0xEEEEEEEE, LOW), (0xCCCCCCCC, HIGH)]
)
def test_the_farthest_registrar_is_asked(identifier: int, best: int | None) -> None:
    scope = Scope(takeover_suggestions=True)
    numbers = {LOW: scope.join(LOW, 2), HIGH: scope.join(HIGH, 3)}
    wanted = max((LOW, HIGH, OWN), key=lambda one: one ^ identifier)
    assert best is None or wanted == best
    scope.register(identifier)
    for peer, number in numbers.items():
        told = [one for one in scope.sent[number] if isinstance(one, HandleUpdate)]
        assert len(told) == 1 + (peer == wanted)
        assert len(suggestions(scope, number)) == (peer == wanted)


def test_nobody_is_asked_by_default() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.register(0xEEEEEEEE)
    assert not suggestions(scope, low)


@pytest.mark.parametrize("following", [True, False])
def test_a_suggestion_is_followed_where_that_is_wanted(following: bool) -> None:
    scope = Scope(takeover_suggestions=following)
    low = scope.join(LOW, 2)
    octets = update(LOW, element(5, LOW)).encode()
    scope.send(low, octets[:1] + b"\x01" + octets[2:])
    assert scope.homes() == {5: OWN if following else LOW}
    if not following:
        return
    number = scope.associate(9, 17777, Protocol.ASAP)
    assert scope.asked(number) == [5]
    scope.sent[low].clear()
    ack = EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=5).encode()
    scope.take(scope.registrar.received(number, ack, scope.now))
    (told,) = [one for one in scope.sent[low] if isinstance(one, HandleUpdate)][:1]
    assert told.pool_element.home_identifier == OWN


def test_an_element_that_does_not_answer_stays_where_it_was() -> None:
    scope = Scope(takeover_suggestions=True)
    low = scope.join(LOW, 2)
    octets = update(LOW, element(5, LOW)).encode()
    scope.send(low, octets[:1] + b"\x01" + octets[2:])
    call = scope.calls[-1]
    scope.sent[low].clear()
    scope.take(scope.registrar.unreachable(call.protocol, call.addresses, call.port, scope.now))
    assert scope.homes() == {5: LOW}
    assert not any(isinstance(one, HandleUpdate) for one in scope.sent[low])

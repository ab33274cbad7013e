"""How registrars meet where they nearly would not: crossing calls, silent associations, old tables, twins."""

from rserpool.messages import (
    EndpointKeepAliveAck,
    HandleTableRequest,
    HandleUpdate,
    ListRequest,
    ListResponse,
    Presence,
    ServerInformation,
)
from rserpool.protocol.registrar.actions import Protocol
from rserpool.protocol.registrar.enrp.connector import CONNECT_TIMEOUT
from tests.support.scope import HIGH, LOW, OWN, POOL, SECOND, Scope, element, host, presence, update


def calls(scope: Scope) -> int:
    return len(scope.calls)


def test_an_earlier_call_does_not_end_a_later_one() -> None:
    scope = Scope(static_peers=1)
    places = (host(2),)
    while scope.now < (CONNECT_TIMEOUT - 1) * SECOND:
        scope.wait(1)
        if scope.registrar.enrp.connector._attempts:
            scope.take(scope.registrar.unreachable(Protocol.ENRP, places, 9901, scope.now))
    while not scope.registrar.enrp.connector._attempts:
        scope.wait(0.1)
    before = calls(scope)
    scope.wait(2)
    assert calls(scope) == before, "the call under way is not repeated"
    number = scope.associate(2)
    assert isinstance(scope.sent[number][0], Presence), "whom we called is greeted"


def test_an_association_without_a_peer_is_greeted_each_heartbeat() -> None:
    scope = Scope()
    number = scope.associate(2)
    assert not scope.sent[number], "who called speaks first"
    scope.wait(5)
    greetings = [message for message in scope.sent[number] if isinstance(message, Presence)]
    assert len(greetings) >= 2
    assert all(greeting.reply_required for greeting in greetings)
    scope.send(number, presence(HIGH, 2))
    assert HIGH in scope.registrar.enrp.peers


def test_nothing_is_downloaded_of_a_peer_without_elements_here_and_there() -> None:
    scope = Scope()
    number = scope.associate(2)
    assert not any(isinstance(message, HandleTableRequest) for message in scope.send(number, presence(HIGH, 2)))
    scope.send(number, update(HIGH, element(1, HIGH)))


def test_who_comes_second_with_an_identifier_may_ask_where_the_first_is() -> None:
    scope = Scope()
    scope.join(HIGH, 2)
    second = scope.associate(3)
    scope.send(second, presence(HIGH, 3))
    assert scope.registrar.enrp.peers[HIGH].addresses == (host(2),), "the first keeps its place"
    answers = scope.send(second, ListRequest(sender_identifier=HIGH, receiver_identifier=OWN))
    (answer,) = [message for message in answers if isinstance(message, ListResponse)]
    (first,) = answer.servers
    assert isinstance(first, ServerInformation)
    assert (first.server_identifier, first.transport.addresses) == (HIGH, (host(2),))
    assert scope.registrar.enrp.peers[HIGH].addresses == (host(2),)


def taken_over() -> tuple[Scope, int, int]:
    """A registrar that has taken element 1 over and has asked it, but had no answer; a third registrar's association
    and the element's."""
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 1)
    scope.wait(16)
    assert scope.homes() == {1: OWN}
    high = scope.join(HIGH, 3)
    asked = scope.associate(9, 17777, Protocol.ASAP)
    assert scope.asked(asked) == [1]
    return scope, high, asked


def test_an_element_that_was_asked_decides_between_two_homes() -> None:
    """It registered elsewhere while the keep-alive with H=1 was on its way: what it does on that counts."""
    scope, high, asked = taken_over()
    scope.add(high, HIGH, 1)
    scope.send(high, update(HIGH, element(1, HIGH), action=1))
    assert scope.homes() == {1: OWN}, "it has followed us, its other home has lost it: it is not gone"
    scope.sent[high].clear()
    ack = EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1).encode()
    scope.take(scope.registrar.received(asked, ack, scope.now))
    (told,) = [message for message in scope.sent[high] if isinstance(message, HandleUpdate)]
    assert told.pool_element.home_identifier == OWN


def test_an_element_that_was_asked_and_does_not_answer_is_its_other_homes() -> None:
    scope, high, asked = taken_over()
    scope.add(high, HIGH, 1)
    scope.take(scope.registrar.lost(asked, scope.now))
    assert scope.homes() == {1: HIGH}

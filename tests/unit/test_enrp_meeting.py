"""How registrars meet where they nearly would not: crossing calls, silent associations, old tables, twins."""

from rserpool.messages import (
    HandleTableRequest,
    HandleTableResponse,
    ListRequest,
    ListResponse,
    PoolEntry,
    Presence,
    ServerInformation,
)
from rserpool.protocol.actions import Protocol
from rserpool.protocol.enrp import CALL_PATIENCE
from tests.support.scope import HIGH, LOW, OWN, POOL, SECOND, Scope, element, host, presence, update


def calls(scope: Scope) -> int:
    return len(scope.calls)


def test_an_earlier_call_does_not_end_a_later_one() -> None:
    scope = Scope(static_peers=1)
    places = (host(2),)
    while scope.now < (CALL_PATIENCE - 1) * SECOND:
        scope.wait(1)
        if scope.registrar.enrp._calling:
            scope.take(scope.registrar.unreachable(Protocol.ENRP, places, 9901, scope.now))
    while not scope.registrar.enrp._calling:
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


def test_a_mentors_knowledge_of_a_third_registrar_is_made_sure_of() -> None:
    """What the mentor tells of another registrar's elements may be old, and no checksum shows it."""
    scope = Scope(static_peers=1)
    mentor = scope.associate(2)
    scope.send(mentor, presence(HIGH, 2))
    scope.send(mentor, ListResponse(sender_identifier=HIGH, receiver_identifier=OWN))
    old = PoolEntry(pool_handle=POOL, pool_elements=(element(1, LOW),))
    scope.send(mentor, HandleTableResponse(sender_identifier=HIGH, receiver_identifier=OWN, pool_entries=(old,)))
    assert scope.registrar.enrp.startup.over
    checksum = scope.registrar.handlespace.checksum(LOW)
    third = scope.associate(3)
    answer = scope.send(third, presence(LOW, 3, checksum))
    assert any(isinstance(message, HandleTableRequest) and message.own_only for message in answer)
    scope.send(third, HandleTableResponse(sender_identifier=LOW, receiver_identifier=OWN, pool_entries=(old,)))
    again = scope.send(third, presence(LOW, 3, checksum))
    assert not any(isinstance(message, HandleTableRequest) for message in again), "once is enough"


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

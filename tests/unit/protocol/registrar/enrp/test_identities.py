"""Server identifiers: who an association belongs to, and registrars that use one identifier twice."""

from dataclasses import replace

import pytest

from rserpool.messages import ListRequest, ListResponse, ServerInformation
from rserpool.protocol.actions import Abort, Level, Note
from rserpool.protocol.registrar.actions import Renumber
from tests.support.scope import HIGH, LOW, OWN, Scope, element, host, kinds, presence, update


def test_the_number_of_peers_is_bounded() -> None:
    scope = Scope(peers=3)
    for number in range(10):
        scope.join(100 + number, 20 + number)
    assert len(scope.registrar.enrp.peers) == 3
    assert scope.counters["peers refused"] >= 7


@pytest.mark.parametrize("identifier", [0, OWN])
def test_a_sender_with_identifier_0_or_our_own_becomes_no_peer(identifier: int) -> None:
    scope = Scope()
    number = scope.associate(2)
    answer = scope.send(number, presence(identifier, 2, reply=True))
    assert kinds(answer) == (["Presence"] if identifier else []), "a registrar with our identifier must notice"
    scope.send(number, update(identifier, element(1, identifier)) if identifier else presence(0, 2))
    assert not len(scope.registrar.handlespace)
    assert not scope.registrar.enrp.peers
    assert any(isinstance(action, Note) and action.level == Level.ERROR for action in scope.others)


def test_a_sender_that_changes_its_identifier_is_aborted() -> None:
    scope = Scope()
    number = scope.join(LOW, 2)
    assert not scope.send(number, presence(HIGH, 2))
    assert Abort(number) in scope.others
    assert list(scope.registrar.enrp.peers) == [LOW]


def test_the_identifier_of_a_connected_peer_is_refused_from_another_host() -> None:
    scope = Scope()
    honest = scope.join(LOW, 2)
    thief = scope.associate(66)
    assert not scope.send(thief, presence(LOW, 66))
    scope.add(thief, LOW, 1)
    assert not len(scope.registrar.handlespace)
    scope.add(honest, LOW, 1)
    assert len(scope.registrar.handlespace) == 1


def test_messages_for_another_registrar_are_dropped() -> None:
    scope = Scope()
    number = scope.join(LOW, 2)
    message = replace(update(LOW, element(1, LOW)), receiver_identifier=HIGH)
    assert not scope.send(number, message)
    assert not len(scope.registrar.handlespace)


def test_a_second_registrar_with_an_identifier_gets_a_list_with_the_first() -> None:
    scope = Scope()
    scope.join(HIGH, 2)
    second = scope.associate(3)
    scope.send(second, presence(HIGH, 3))
    assert scope.registrar.enrp.peers[HIGH].addresses == (host(2),), "the first stays the peer"
    answers = scope.send(second, ListRequest(sender_identifier=HIGH, receiver_identifier=OWN))
    (answer,) = [message for message in answers if isinstance(message, ListResponse)]
    (first,) = answer.servers
    assert isinstance(first, ServerInformation)
    assert (first.server_identifier, first.transport.addresses) == (HIGH, (host(2),))
    assert scope.registrar.enrp.peers[HIGH].addresses == (host(2),)


@pytest.mark.conformance("ENRP-3.2.1-01")
def test_of_two_registrars_with_one_identifier_the_starting_one_or_the_lower_address_renumbers() -> None:
    for drawn, starting, other, renumbered in (
        (True, True, 0, True),
        (True, False, 0, False),
        (True, False, 2, True),
        (False, True, 2, False),
    ):
        scope = Scope(static_peers=1, identifier_drawn=drawn)
        if not starting:
            scope.wait(5)
        scope.send(scope.associate(other), presence(OWN, other))
        assert (Renumber() in scope.others) == renumbered
        scope.others.clear()
        scope.take(scope.registrar.presence_heard(presence(OWN, other).encode(), host(other), 9901, scope.now))
        assert (Renumber() in scope.others) == renumbered
        scope.others.clear()
        scope.take(scope.registrar.presence_heard(presence(OWN, 1).encode(), host(1), 9901, scope.now))
        assert Renumber() not in scope.others, "that was our own announcement"

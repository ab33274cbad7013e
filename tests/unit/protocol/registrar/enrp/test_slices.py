"""Walks over many elements that are cut in slices: what may happen in between, and how fast elements are called."""

from dataclasses import replace

import pytest

from rserpool.messages import InitTakeover, InitTakeoverAck, SCTPTransport, TakeoverServer
from rserpool.protocol.registrar.actions import Protocol
from rserpool.protocol.registrar.slices import Slices
from tests.support.scope import HIGH, LOW, OWN, POOL, Scope, element, host, presence, update

COUNT = 8
SMALLEST = Slices(pause=1.0, taken_over=1, scanned=1, audited=1, keep_alives=1)
"""One element per slice, and a second between two slices."""


def owned(scope: Scope, *homes: int) -> tuple[int, ...]:
    return tuple(scope.registrar.handlespace.home_size(home) for home in homes)


def between() -> tuple[Scope, int, int]:
    """The takeover of LOW's elements, with HIGH's consent, after three of them; HIGH lives."""
    scope = Scope(keep_alive_timeout=1000.0, slices=SMALLEST)
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    for identifier in range(1, COUNT + 1):
        scope.add(low, LOW, identifier)
    while not any(isinstance(message, InitTakeover) for message in scope.sent[high]):
        scope.wait(0.5)
        scope.send(high, presence(HIGH, 3))
    consent = InitTakeoverAck(sender_identifier=HIGH, receiver_identifier=OWN, target_identifier=LOW)
    scope.send(high, consent)
    scope.wait(2.5)
    assert owned(scope, OWN, LOW) == (3, COUNT - 3)
    return scope, low, high


@pytest.fixture
def scope() -> Scope:
    return between()[0]


def won(scope: Scope, link: int = 2) -> int:
    return sum(isinstance(message, TakeoverServer) for message in scope.sent[link])


def test_it_is_told_when_all_have_come_home(scope: Scope) -> None:
    assert won(scope) == 0
    scope.wait(10)
    assert owned(scope, OWN, LOW) == (COUNT, 0)
    assert won(scope) == 1
    assert LOW not in scope.registrar.enrp.peers


def test_a_target_that_returns_keeps_what_is_left() -> None:
    scope, low, _ = between()
    scope.send(low, presence(LOW, 2))
    scope.wait(3)
    assert owned(scope, OWN, LOW) == (3, COUNT - 3)
    assert won(scope) == 0
    assert {call.addresses for call in scope.calls if call.protocol is Protocol.ASAP} == {(host(9),)}


def test_another_claim_changes_nothing() -> None:
    scope, _, high = between()
    claim = InitTakeover(sender_identifier=HIGH, receiver_identifier=0, target_identifier=LOW)
    before = len(scope.sent[high])
    scope.send(high, claim)
    assert not any(isinstance(message, InitTakeoverAck) for message in scope.sent[high][before:])
    scope.wait(10)
    assert owned(scope, OWN, LOW) == (COUNT, 0)


def test_where_another_has_won_what_is_left_is_its() -> None:
    scope, _, high = between()
    scope.send(high, TakeoverServer(sender_identifier=HIGH, receiver_identifier=0, target_identifier=LOW))
    scope.wait(10)
    assert owned(scope, OWN, LOW, HIGH) == (3, 0, COUNT - 3)


def test_elements_that_register_meanwhile_are_not_called() -> None:
    scope, _, _ = between()
    for identifier in range(1, COUNT + 1):
        scope.register(identifier)
    scope.calls.clear()
    scope.wait(20)
    assert not scope.calls
    assert owned(scope, OWN, LOW) == (COUNT, 0)


def lost() -> tuple[Scope, int, int]:
    """HIGH has taken LOW over, with our consent; three elements have changed their home."""
    scope = Scope(slices=SMALLEST)
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    for identifier in range(1, COUNT + 1):
        scope.add(low, LOW, identifier)
    scope.send(high, InitTakeover(sender_identifier=HIGH, receiver_identifier=0, target_identifier=LOW))
    scope.send(high, TakeoverServer(sender_identifier=HIGH, receiver_identifier=0, target_identifier=LOW))
    scope.wait(2.5)
    assert owned(scope, HIGH, LOW) == (3, COUNT - 3)
    return scope, low, high


def test_the_losers_walk_comes_to_its_end() -> None:
    scope, _, _ = lost()
    scope.wait(10)
    assert owned(scope, HIGH, LOW) == (COUNT, 0)


def test_the_losers_walk_ends_where_the_target_returns() -> None:
    scope, _, _ = lost()
    scope.join(LOW, 2)
    scope.wait(10)
    assert owned(scope, HIGH, LOW) == (3, COUNT - 3)


def test_nothing_is_downloaded_of_a_winner_whose_elements_are_on_their_way() -> None:
    scope, _, high = lost()
    scope.send(high, presence(HIGH, 3, 0x1234))
    assert scope.counters["synchronisations"] == 0
    scope.wait(10)
    scope.send(high, presence(HIGH, 3, 0x1234))
    assert scope.counters["synchronisations"] == 1


def test_a_download_is_asked_for_when_all_are_marked() -> None:
    scope = Scope(slices=SMALLEST)
    low = scope.join(LOW, 2)
    for identifier in range(1, COUNT + 1):
        scope.add(low, LOW, identifier)
    before = len(scope.sent[low])
    scope.send(low, presence(LOW, 2, 0x1234))
    scope.wait(3)
    scope.add(low, LOW, 1)
    assert not [one for one in scope.sent[low][before:] if type(one).__name__ == "HandleTableRequest"]
    scope.wait(6)
    assert [one for one in scope.sent[low][before:] if type(one).__name__ == "HandleTableRequest"]


# Calls


def test_calls_are_held_to_a_rate_and_shared() -> None:
    slices = replace(SMALLEST, pause=0.0)
    scope = Scope(keep_alive_timeout=1000.0, takeover_calls=10.0, takeover_calls_burst=5, slices=slices)
    low = scope.join(LOW, 2)
    for identifier in range(1, 41):
        place = SCTPTransport(port=17777, addresses=(host(20 + identifier // 2),))
        scope.send(low, update(LOW, replace(element(identifier, LOW), asap_transport=place)))
    while not scope.registrar.handlespace.home_size(OWN):
        scope.calls.clear()
        scope.wait(0.01)
    scope.wait(0.01)
    asap = [call for call in scope.calls if call.protocol is Protocol.ASAP]
    assert 5 <= len(asap) <= 6
    scope.wait(0.5)
    assert 9 <= sum(call.protocol is Protocol.ASAP for call in scope.calls) <= 12
    scope.wait(3)
    places = [call.addresses for call in scope.calls if call.protocol is Protocol.ASAP]
    assert len(places) == len(set(places)) == 21


def test_an_element_whose_association_ends_before_it_is_told_is_given_up() -> None:
    scope, _, _ = between()
    scope.wait(6)
    line = scope.associate(9, 17777, Protocol.ASAP)
    scope.take(scope.registrar.lost(line, scope.now))
    scope.wait(1.0)
    assert 0 < len(scope.registrar.handlespace) < COUNT
    scope.wait(3001)
    assert scope.homes(POOL) == {}

"""Long walks over elements in slices: events between two slices, and the rate at which elements are connected to."""

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


def in_the_middle() -> tuple[Scope, int, int]:
    """A takeover of LOW's elements with HIGH's consent: three have moved. HIGH is alive."""
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
    return in_the_middle()[0]


def announced(scope: Scope, link: int = 2) -> int:
    return sum(isinstance(message, TakeoverServer) for message in scope.sent[link])


def test_a_takeover_is_announced_when_all_elements_have_moved(scope: Scope) -> None:
    assert announced(scope) == 0
    scope.wait(10)
    assert owned(scope, OWN, LOW) == (COUNT, 0)
    assert announced(scope) == 1
    assert LOW not in scope.registrar.enrp.peers


def test_a_target_that_returns_keeps_the_elements_that_have_not_moved() -> None:
    scope, low, _ = in_the_middle()
    scope.send(low, presence(LOW, 2))
    scope.wait(3)
    assert owned(scope, OWN, LOW) == (3, COUNT - 3)
    assert announced(scope) == 0
    assert {call.addresses for call in scope.calls if call.protocol is Protocol.ASAP} == {(host(9),)}


def test_a_claim_by_another_registrar_changes_nothing() -> None:
    scope, _, high = in_the_middle()
    claim = InitTakeover(sender_identifier=HIGH, receiver_identifier=0, target_identifier=LOW)
    before = len(scope.sent[high])
    scope.send(high, claim)
    assert not any(isinstance(message, InitTakeoverAck) for message in scope.sent[high][before:])
    scope.wait(10)
    assert owned(scope, OWN, LOW) == (COUNT, 0)


def test_elements_that_have_not_moved_go_to_another_winner() -> None:
    scope, _, high = in_the_middle()
    scope.send(high, TakeoverServer(sender_identifier=HIGH, receiver_identifier=0, target_identifier=LOW))
    scope.wait(10)
    assert owned(scope, OWN, LOW, HIGH) == (3, 0, COUNT - 3)


def test_no_association_is_opened_to_elements_that_register_in_the_meantime() -> None:
    scope, _, _ = in_the_middle()
    for identifier in range(1, COUNT + 1):
        scope.register(identifier)
    scope.calls.clear()
    scope.wait(20)
    assert not scope.calls
    assert owned(scope, OWN, LOW) == (COUNT, 0)


def handing_over() -> tuple[Scope, int, int]:
    """HIGH has taken LOW over with our consent: three elements have moved."""
    scope = Scope(slices=SMALLEST)
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    for identifier in range(1, COUNT + 1):
        scope.add(low, LOW, identifier)
    scope.send(high, InitTakeover(sender_identifier=HIGH, receiver_identifier=0, target_identifier=LOW))
    scope.send(high, TakeoverServer(sender_identifier=HIGH, receiver_identifier=0, target_identifier=LOW))
    scope.wait(2.5)
    assert owned(scope, HIGH, LOW) == (3, COUNT - 3)
    return scope, low, high


def test_the_loser_moves_all_elements_to_the_winner() -> None:
    scope, _, _ = handing_over()
    scope.wait(10)
    assert owned(scope, HIGH, LOW) == (COUNT, 0)


def test_the_loser_stops_moving_elements_when_the_target_returns() -> None:
    scope, _, _ = handing_over()
    scope.join(LOW, 2)
    scope.wait(10)
    assert owned(scope, HIGH, LOW) == (3, COUNT - 3)


def test_a_winner_is_not_audited_while_elements_move_to_it() -> None:
    scope, _, high = handing_over()
    scope.send(high, presence(HIGH, 3, 0x1234))
    assert scope.counters["synchronisations"] == 0
    scope.wait(10)
    scope.send(high, presence(HIGH, 3, 0x1234))
    assert scope.counters["synchronisations"] == 1


def test_a_download_is_requested_when_all_elements_are_marked() -> None:
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


# Associations to elements


def test_associations_to_elements_are_opened_at_a_limited_rate_and_once_per_endpoint() -> None:
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


def test_elements_whose_association_ends_before_their_keep_alive_are_removed() -> None:
    scope, _, _ = in_the_middle()
    scope.wait(6)
    line = scope.associate(9, 17777, Protocol.ASAP)
    scope.take(scope.registrar.lost(line, scope.now))
    scope.wait(1.0)
    assert 0 < len(scope.registrar.handlespace) < COUNT
    scope.wait(3001)
    assert scope.homes(POOL) == {}

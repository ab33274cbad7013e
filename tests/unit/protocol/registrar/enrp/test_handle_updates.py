"""Handle updates of peers and to peers, claims on elements that are associated here, and takeover suggestions."""

from dataclasses import replace

import pytest

from rserpool.messages import DeregistrationResponse, EndpointKeepAliveAck, HandleUpdate, Policy, PolicyType
from rserpool.protocol.actions import Send
from rserpool.protocol.registrar.actions import Protocol
from tests.support.scope import HIGH, LOW, OWN, POOL, Scope, element, kinds, presence, table, update


def test_a_peer_can_change_only_its_own_elements() -> None:
    scope = Scope()
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    scope.add(low, LOW, 1)
    scope.register(7)
    own = element(7, LOW)
    scope.send(high, update(HIGH, element(1, HIGH), action=1))
    scope.send(high, update(HIGH, element(1, LOW)))
    assert not scope.send(high, update(HIGH, element(2, LOW)))
    answer = scope.send(high, update(HIGH, own, action=1))
    assert scope.homes() == {1: LOW, 7: OWN}
    assert kinds(answer) == ["HandleUpdate"], "the true home sends its update again"
    assert scope.counters["updates of others' elements"] == 4
    scope.send(low, update(LOW, element(1, LOW), action=1))
    assert scope.homes() == {7: OWN}
    assert not scope.send(low, update(LOW, element(1, LOW), action=1)), "nothing is sent about an unknown element"
    assert not scope.send(low, update(LOW, element(1, LOW), action=7)), "a reserved action is ignored"


@pytest.mark.conformance("ENRP-1.1-01")
def test_a_claimed_element_changes_its_home_when_its_association_ends() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    number = scope.register(7)
    scope.add(low, LOW, 7)
    assert scope.homes() == {7: OWN}, "the element keeps its home while it is associated here"
    assert scope.asked(number) == [7]
    scope.sent[low].clear()
    scope.take(scope.registrar.lost(number, scope.now))
    assert scope.homes() == {7: LOW}
    assert not any(isinstance(message, HandleUpdate) for message in scope.sent[low])


def test_a_claimed_element_that_does_not_answer_moves_and_is_notified() -> None:
    """The claimant may have lost it since: without the notice an element that lives would stay unregistered."""
    scope = Scope(keep_alive_timeout=1.0)
    low = scope.join(LOW, 2)
    number = scope.register(7)
    scope.add(low, LOW, 7)
    scope.wait(1.1)
    assert scope.homes() == {7: LOW}
    notice = DeregistrationResponse(pool_handle=POOL, pe_identifier=7).encode()
    assert Send(number, notice) in scope.others


def test_a_claimed_element_that_answers_stays_and_the_claimant_gets_an_update() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    number = scope.register(7)
    scope.add(low, LOW, 7)
    scope.sent[low].clear()
    ack = EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=7).encode()
    scope.take(scope.registrar.received(number, ack, scope.now))
    (sent,) = scope.sent[low]
    assert isinstance(sent, HandleUpdate)
    assert sent.pool_element.home_identifier == OWN
    scope.take(scope.registrar.lost(number, scope.now))
    assert scope.homes() == {}, "the claim is forgotten"


def test_claims_every_second_do_not_move_an_element_nor_flood_it() -> None:
    scope = Scope()
    peers = {LOW: scope.join(LOW, 2), HIGH: scope.join(HIGH, 3)}
    number = scope.register(7)
    ack = EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=7).encode()
    for second in range(60):
        claimant = LOW if second % 2 else HIGH
        scope.add(peers[claimant], claimant, 7)
        assert scope.homes() == {7: OWN}
        scope.take(scope.registrar.received(number, ack, scope.now))
        scope.wait(1)
        for peer, link in peers.items():
            scope.send(link, presence(peer, 2 if peer == LOW else 3))
    assert 20 <= len(scope.asked(number)) <= 60 / 2 + 10, "one each 2 s, a burst of three, and the regular ones"


@pytest.mark.parametrize("life", [-2, -(1 << 31)])
def test_an_element_with_a_negative_life_is_refused(life: int) -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.send(low, update(LOW, replace(element(1, LOW), registration_life=life)))
    scope.send(low, update(LOW, replace(element(2, LOW), registration_life=-1)))
    assert scope.homes() == {2: LOW}


def test_a_claim_that_is_inconsistent_with_the_pool_is_not_followed() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    number = scope.register(7)
    scope.register(8, where=10)
    other = replace(element(7, LOW), policy=Policy(policy_type=PolicyType.RANDOM, values=()))
    scope.send(low, update(LOW, other))
    scope.sent[low].clear()
    scope.take(scope.registrar.lost(number, scope.now))
    assert scope.homes() == {8: OWN}
    (sent,) = scope.sent[low]
    assert isinstance(sent, HandleUpdate)
    assert (sent.update_action, sent.pool_element.identifier) == (1, 7)


def test_a_claim_ends_when_the_claimant_removes_the_element() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    number = scope.register(7)
    scope.add(low, LOW, 7)
    scope.send(low, update(LOW, element(7, LOW), action=1))
    scope.take(scope.registrar.lost(number, scope.now))
    assert scope.homes() == {}


def test_the_elements_of_a_peer_are_bounded_and_expire() -> None:
    scope = Scope(elements_per_peer=2)
    low = scope.join(LOW, 2)
    for identifier in range(1, 5):
        scope.add(low, LOW, identifier)
    assert len(scope.registrar.handlespace) == 2
    for _ in range(100):
        scope.wait(3.5)
        scope.send(low, presence(LOW, 2, scope.registrar.handlespace.checksum(LOW)))
    assert not len(scope.registrar.handlespace)


@pytest.mark.conformance("ENRP-3.3.1-06", "ENRP-3.3.1-07", "ENRP-3.2.3-08")
def test_updates_and_tables_replace_an_element() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 1)
    scope.add(low, LOW, 2)
    changed = replace(element(1, LOW), registration_life=77)
    scope.send(low, update(LOW, changed))
    known = scope.registrar.handlespace.find(POOL, 1)
    assert known is not None
    assert known.parameter == changed.encode()
    scope.send(low, presence(LOW, 2, 0x1234))
    again = replace(changed, registration_life=78)
    scope.send(low, table(LOW, again, element(2, LOW)))
    known = scope.registrar.handlespace.find(POOL, 1)
    assert known is not None
    assert known.parameter == again.encode()
    assert scope.homes() == {1: LOW, 2: LOW}


def suggestions(scope: Scope, number: int) -> list[HandleUpdate]:
    return [one for one in scope.sent[number] if isinstance(one, HandleUpdate) and one.takeover_suggested]


@pytest.mark.parametrize(
    ("identifier", "best"), [(0x2222DDDD ^ 0x11111111, None), (0xEEEEEEEE, LOW), (0xCCCCCCCC, HIGH)]
)
def test_a_takeover_is_suggested_to_the_registrar_that_differs_most(identifier: int, best: int | None) -> None:
    scope = Scope(takeover_suggestions=True)
    numbers = {LOW: scope.join(LOW, 2), HIGH: scope.join(HIGH, 3)}
    wanted = max((LOW, HIGH, OWN), key=lambda one: one ^ identifier)
    assert best is None or wanted == best
    scope.register(identifier)
    for peer, number in numbers.items():
        updates = [one for one in scope.sent[number] if isinstance(one, HandleUpdate)]
        assert len(updates) == 1 + (peer == wanted)
        assert len(suggestions(scope, number)) == (peer == wanted)


def test_takeovers_are_not_suggested_by_default() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.register(0xEEEEEEEE)
    assert not suggestions(scope, low)


@pytest.mark.parametrize("following", [True, False])
def test_a_suggestion_is_followed_if_the_settings_say_so(following: bool) -> None:
    scope = Scope(takeover_suggestions=following)
    low = scope.join(LOW, 2)
    scope.send(low, replace(update(LOW, element(5, LOW)), takeover_suggested=True))
    assert scope.homes() == {5: OWN if following else LOW}
    if not following:
        return
    number = scope.associate(9, 17777, Protocol.ASAP)
    assert scope.asked(number) == [5]
    scope.sent[low].clear()
    ack = EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=5).encode()
    scope.take(scope.registrar.received(number, ack, scope.now))
    (sent,) = [one for one in scope.sent[low] if isinstance(one, HandleUpdate)][:1]
    assert sent.pool_element.home_identifier == OWN


def test_a_suggested_element_that_cannot_be_reached_returns_to_its_home() -> None:
    scope = Scope(takeover_suggestions=True)
    low = scope.join(LOW, 2)
    scope.send(low, replace(update(LOW, element(5, LOW)), takeover_suggested=True))
    call = scope.calls[-1]
    scope.sent[low].clear()
    scope.take(scope.registrar.unreachable(call.protocol, call.addresses, call.port, scope.now))
    assert scope.homes() == {5: LOW}
    assert not any(isinstance(one, HandleUpdate) for one in scope.sent[low])

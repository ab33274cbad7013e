"""Takeovers of dead registrars, and what their elements do (RFC 5353 3.5)."""

from dataclasses import replace

from rserpool.messages import (
    EndpointKeepAliveAck,
    HandleUpdate,
    InitTakeover,
    InitTakeoverAck,
    Presence,
    Registration,
    TakeoverServer,
)
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Protocol, SendRow
from rserpool.protocol.registrar.slices import Slices
from tests.support.scope import HIGH, LOW, OWN, POOL, Scope, element, host, kinds, presence, update


def test_a_takeover_of_this_registrar_is_answered_by_presences() -> None:
    scope = Scope()
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    for kind in (InitTakeover, TakeoverServer):
        before = len(scope.sent[high])
        answer = scope.send(low, kind(sender_identifier=LOW, receiver_identifier=0, target_identifier=OWN))
        assert kinds(answer) == ["Presence"]
        assert kinds(scope.sent[high][before:]) == ["Presence"]


def test_the_takeover_of_a_peer_that_is_alive_is_not_believed() -> None:
    scope = Scope()
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    scope.add(high, HIGH, 1)
    scope.send(low, TakeoverServer(sender_identifier=LOW, receiver_identifier=0, target_identifier=HIGH))
    assert scope.homes() == {1: HIGH}
    claim = InitTakeover(sender_identifier=LOW, receiver_identifier=0, target_identifier=HIGH)
    assert kinds(scope.send(low, claim)) == ["InitTakeoverAck"]
    assert isinstance(scope.sent[high][-1], Presence)
    assert scope.sent[high][-1].reply_required, "the target is asked for a presence, because it may be alive"
    scope.send(high, presence(HIGH, 3, scope.registrar.handlespace.checksum(HIGH)))
    scope.send(low, TakeoverServer(sender_identifier=LOW, receiver_identifier=0, target_identifier=HIGH))
    assert scope.homes() == {1: HIGH}
    assert scope.counters["takeovers not believed"] == 2


def test_the_takeover_by_a_registrar_without_our_consent_is_not_believed() -> None:
    scope = Scope()
    low, high, third = scope.join(LOW, 2), scope.join(HIGH, 3), scope.join(5, 4)
    scope.add(high, HIGH, 1)
    scope.send(low, InitTakeover(sender_identifier=LOW, receiver_identifier=0, target_identifier=HIGH))
    scope.send(third, TakeoverServer(sender_identifier=5, receiver_identifier=0, target_identifier=HIGH))
    assert scope.homes() == {1: HIGH}
    scope.send(low, TakeoverServer(sender_identifier=LOW, receiver_identifier=0, target_identifier=HIGH))
    assert scope.homes() == {1: LOW}
    assert high not in {link.number for link in scope.registrar.enrp.links.values() if link.peer is not None}


def test_an_unexpected_consent_wins_nothing() -> None:
    scope = Scope()
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    scope.add(low, LOW, 1)
    ack = InitTakeoverAck(sender_identifier=HIGH, receiver_identifier=OWN, target_identifier=LOW)
    scope.send(high, ack)
    assert scope.homes() == {1: LOW}
    assert scope.counters["unasked responses"] == 1


def test_the_takeover_of_an_unknown_registrar_is_acknowledged_and_not_remembered() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    timers = len(scope.registrar.wheel)
    for target in range(0x4444, 0x4444 + 1000):
        answer = scope.send(low, InitTakeover(sender_identifier=LOW, receiver_identifier=0, target_identifier=target))
        assert kinds(answer) == ["InitTakeoverAck"]
    assert scope.registrar.enrp.peers.keys() == {LOW}
    assert len(scope.registrar.wheel) <= timers + 1


def test_silent_voters_do_not_prevent_a_takeover() -> None:
    scope = Scope(keep_alive_timeout=1000.0)
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    scope.add(low, LOW, 1)
    for _ in range(60):
        scope.wait(1)
        scope.send(high, presence(HIGH, 3))
    assert scope.homes() == {1: OWN}
    assert any(isinstance(message, TakeoverServer) for message in scope.sent[high])


def test_elements_that_their_new_home_cannot_reach_are_removed() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 1)
    scope.wait(16)
    assert scope.homes() == {1: OWN}
    call = scope.calls[-1]
    assert (call.addresses, call.port) == ((host(9),), 17777)
    scope.take(scope.registrar.unreachable(call.protocol, call.addresses, call.port, scope.now))
    assert scope.homes() == {}


def test_a_tcp_connection_from_an_elements_host_and_port_is_not_used_for_keep_alives() -> None:
    scope = Scope(keep_alive_timeout=1000.0)
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 1)
    before = scope.associate(9, 17777, Protocol.ASAP, sctp=False)
    scope.wait(16)
    call = scope.calls[-1]
    assert (call.addresses, call.port) == ((host(9),), 17777)
    after = scope.associate(9, 17777, Protocol.ASAP, sctp=False)
    own = scope.associate(9, 17777, Protocol.ASAP)
    assert [scope.asked(number) for number in (before, after, own)] == [[], [], [1]]


def test_the_elements_at_one_endpoint_get_keep_alives_in_one_row_and_those_at_the_next_a_slice_later() -> None:
    count = Slices().keep_alives
    scope = Scope(keep_alive_timeout=1000.0)
    low = scope.join(LOW, 2)
    for where in (9, 10):
        for identifier in range(1, count + 1):
            scope.send(low, update(LOW, element(100 * where + identifier, LOW, where), b"at %d" % where))
    scope.registrar.lost(low, scope.now)
    scope.wait(30)
    assert {call.addresses for call in scope.calls if call.protocol is Protocol.ASAP} == {(host(9),), (host(10),)}
    peers = [Peer(addresses=(host(where),), port=17777, sctp=True) for where in (9, 10)]
    first, second = (
        scope.registrar.associated(number, Protocol.ASAP, peer, scope.now)
        for number, peer in zip((98, 99), peers, strict=True)
    )
    (row,) = (action for action in first if isinstance(action, SendRow))
    assert (row.association, len(row.messages)) == (98, count)
    assert not second
    eager = Registration(pool_handle=b"at 10", pool_element=element(1001, 0, 10)).encode()
    scope.take(scope.registrar.received(99, eager, scope.now))
    (row,) = (action for action in scope.registrar.advance(scope.now + 10_000) if isinstance(action, SendRow))
    assert (row.association, len(row.messages)) == (99, count), "registered elements get their keep-alives too"
    assert scope.registrar.context.associations[99].registrant.elements == count


def test_the_registration_life_restarts_when_an_element_answers_its_new_home() -> None:
    scope = Scope(keep_alive_timeout=1000.0)
    low = scope.join(LOW, 2)
    scope.send(low, update(LOW, replace(element(1, LOW), registration_life=30)))
    scope.wait(20)
    assert scope.homes() == {1: OWN}
    own = scope.associate(9, 17777, Protocol.ASAP)
    ack = EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1).encode()
    scope.take(scope.registrar.received(own, ack, scope.now))
    scope.wait(29)
    assert scope.homes() == {1: OWN}
    scope.wait(2)
    assert scope.homes() == {}


def taken_over() -> tuple[Scope, int, int]:
    """A registrar that has taken over element 1 and waits for the answer to its keep-alive; the associations of a third
    registrar and of the element."""
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 1)
    scope.wait(16)
    assert scope.homes() == {1: OWN}
    high = scope.join(HIGH, 3)
    asked = scope.associate(9, 17777, Protocol.ASAP)
    assert scope.asked(asked) == [1]
    return scope, high, asked


def test_the_answer_of_an_element_decides_between_two_homes() -> None:
    """The element registered elsewhere while its keep-alive with H=1 was on the way: its answer decides."""
    scope, high, asked = taken_over()
    scope.add(high, HIGH, 1)
    scope.send(high, update(HIGH, element(1, HIGH), action=1))
    assert scope.homes() == {1: OWN}, "the other home has lost the element, because it follows us"
    scope.sent[high].clear()
    ack = EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1).encode()
    scope.take(scope.registrar.received(asked, ack, scope.now))
    (sent,) = [message for message in scope.sent[high] if isinstance(message, HandleUpdate)]
    assert sent.pool_element.home_identifier == OWN


def test_an_element_that_does_not_answer_goes_to_its_other_home() -> None:
    scope, high, asked = taken_over()
    scope.add(high, HIGH, 1)
    scope.take(scope.registrar.lost(asked, scope.now))
    assert scope.homes() == {1: HIGH}

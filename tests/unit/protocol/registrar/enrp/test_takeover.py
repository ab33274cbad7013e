"""ENRP: takeover and start, without input and output (RFC 5353 3.2, 3.5)."""

import secrets
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rserpool.messages import (
    EndpointKeepAliveAck,
    HandleTableResponse,
    InitTakeover,
    InitTakeoverAck,
    ListResponse,
    PoolEntry,
    Presence,
    Registration,
    TakeoverServer,
)
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Protocol, Renumber, SendRow
from rserpool.protocol.registrar.slices import Slices
from rserpool.registrar.config import load
from rserpool.settings.client import ClientSettings
from rserpool.settings.registrar import Settings
from tests.support.scope import HIGH, LOW, OWN, POOL, Scope, element, host, presence, update


def kinds(messages: Sequence[object]) -> list[str]:
    return [type(message).__name__ for message in messages]


def table(sender: int, *elements: object, more: bool = False) -> HandleTableResponse:
    entries = (PoolEntry(pool_handle=POOL, pool_elements=tuple(elements)),) if elements else ()  # type: ignore[arg-type]
    return HandleTableResponse(sender_identifier=sender, receiver_identifier=OWN, more=more, pool_entries=entries)


# Takeover


def test_a_claim_on_us_is_answered_by_life() -> None:
    scope = Scope()
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    for kind in (InitTakeover, TakeoverServer):
        before = len(scope.sent[high])
        answer = scope.send(low, kind(sender_identifier=LOW, receiver_identifier=0, target_identifier=OWN))
        assert kinds(answer) == ["Presence"]
        assert kinds(scope.sent[high][before:]) == ["Presence"]


def test_a_takeover_of_one_who_lives_is_not_believed() -> None:
    scope = Scope()
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    scope.add(high, HIGH, 1)
    scope.send(low, TakeoverServer(sender_identifier=LOW, receiver_identifier=0, target_identifier=HIGH))
    assert scope.homes() == {1: HIGH}
    claim = InitTakeover(sender_identifier=LOW, receiver_identifier=0, target_identifier=HIGH)
    assert kinds(scope.send(low, claim)) == ["InitTakeoverAck"]
    assert isinstance(scope.sent[high][-1], Presence)
    assert scope.sent[high][-1].reply_required, "who is claimed is asked, because it may live"
    scope.send(high, presence(HIGH, 3, scope.registrar.handlespace.checksum(HIGH)))
    scope.send(low, TakeoverServer(sender_identifier=LOW, receiver_identifier=0, target_identifier=HIGH))
    assert scope.homes() == {1: HIGH}
    assert scope.counters["takeovers not believed"] == 2


def test_a_takeover_by_another_than_we_consented_to_is_not_believed() -> None:
    scope = Scope()
    low, high, third = scope.join(LOW, 2), scope.join(HIGH, 3), scope.join(5, 4)
    scope.add(high, HIGH, 1)
    scope.send(low, InitTakeover(sender_identifier=LOW, receiver_identifier=0, target_identifier=HIGH))
    scope.send(third, TakeoverServer(sender_identifier=5, receiver_identifier=0, target_identifier=HIGH))
    assert scope.homes() == {1: HIGH}
    scope.send(low, TakeoverServer(sender_identifier=LOW, receiver_identifier=0, target_identifier=HIGH))
    assert scope.homes() == {1: LOW}
    assert high not in {link.number for link in scope.registrar.enrp.links.values() if link.peer is not None}


def test_a_forged_consent_wins_nothing() -> None:
    scope = Scope()
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    scope.add(low, LOW, 1)
    ack = InitTakeoverAck(sender_identifier=HIGH, receiver_identifier=OWN, target_identifier=LOW)
    scope.send(high, ack)
    assert scope.homes() == {1: LOW}
    assert scope.counters["unasked responses"] == 1


def test_unknown_targets_are_consented_to_and_not_kept() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    timers = len(scope.registrar.wheel)
    for target in range(0x4444, 0x4444 + 1000):
        answer = scope.send(low, InitTakeover(sender_identifier=LOW, receiver_identifier=0, target_identifier=target))
        assert kinds(answer) == ["InitTakeoverAck"]
    assert scope.registrar.enrp.peers.keys() == {LOW}
    assert len(scope.registrar.wheel) <= timers + 1


def test_silent_voters_do_not_hold_up_a_takeover() -> None:
    scope = Scope(keep_alive_timeout=1000.0)
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    scope.add(low, LOW, 1)
    for _ in range(60):
        scope.wait(1)
        scope.send(high, presence(HIGH, 3))
    assert scope.homes() == {1: OWN}
    assert any(isinstance(message, TakeoverServer) for message in scope.sent[high])


def test_elements_that_do_not_answer_their_new_home_are_removed() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 1)
    scope.wait(16)
    assert scope.homes() == {1: OWN}
    call = scope.calls[-1]
    assert (call.addresses, call.port) == ((host(9),), 17777)
    scope.take(scope.registrar.unreachable(call.protocol, call.addresses, call.port, scope.now))
    assert scope.homes() == {}


def test_a_connection_of_the_same_host_and_port_leads_to_no_element() -> None:
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


def test_elements_at_one_place_are_told_in_one_row_and_the_next_place_a_turn_later() -> None:
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
    assert (row.association, len(row.messages)) == (99, count), "who has registered meanwhile is told too"
    assert scope.registrar.context.associations[99].registrant.elements == count


def test_the_life_of_an_element_that_answers_its_new_home_starts_anew() -> None:
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


# Start


@pytest.mark.conformance("ENRP-3.2.1-01")
def test_of_two_twins_the_one_that_starts_or_has_the_smaller_address_takes_another_identifier() -> None:
    for drawn, starting, twin, renumbered in (
        (True, True, 0, True),
        (True, False, 0, False),
        (True, False, 2, True),
        (False, True, 2, False),
    ):
        scope = Scope(static_peers=1, identifier_drawn=drawn)
        if not starting:
            scope.wait(5)
        scope.send(scope.associate(twin), presence(OWN, twin))
        assert (Renumber() in scope.others) == renumbered
        scope.others.clear()
        scope.take(scope.registrar.presence_heard(presence(OWN, twin).encode(), host(twin), 9901, scope.now))
        assert (Renumber() in scope.others) == renumbered
        scope.others.clear()
        scope.take(scope.registrar.presence_heard(presence(OWN, 1).encode(), host(1), 9901, scope.now))
        assert Renumber() not in scope.others, "that was our own"


@pytest.mark.conformance("ENRP-3.3.1-06", "ENRP-3.3.1-07", "ENRP-3.2.3-08")
def test_updates_and_tables_replace_what_is_known_of_an_element() -> None:
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


@pytest.mark.conformance("ENRP-2.1-01", "ENRP-3.4.2-01", "ENRP-3.1-01")
def test_presences_go_to_every_peer_each_cycle_and_ask_for_nothing() -> None:
    scope = Scope()
    numbers = [scope.join(LOW, 2), scope.join(HIGH, 3)]
    before = [len(scope.sent[number]) for number in numbers]
    scope.wait(4.6)
    for number, start in zip(numbers, before, strict=True):
        beats = [message for message in scope.sent[number][start:] if isinstance(message, Presence)]
        assert len(beats) == 2
        assert all(beat.receiver_identifier == 0 and not beat.reply_required for beat in beats)


@pytest.mark.conformance("ENRP-3.4.3-01")
def test_any_message_is_a_sign_of_life() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    before = len(scope.sent[low])
    for identifier in range(1, 11):
        scope.wait(4)
        scope.add(low, LOW, identifier)
    assert not any(isinstance(one, Presence) and one.reply_required for one in scope.sent[low][before:])


@pytest.mark.conformance("ENRP-4-01", "ASAP-7-01")
def test_the_timers_of_the_rfcs() -> None:
    settings = Settings(identifier=1)
    assert (settings.heartbeat, settings.last_heard, settings.max_time_no_response) == (30, 61, 5)
    assert (settings.announce_interval, settings.announce_timeout) == (1, 5)
    node = ClientSettings()
    assert (node.request_timeout, node.registration_timeout, node.deregistration_timeout) == (15, 30, 30)
    assert (node.server_hunt, node.hunt_max, node.announce_timeout) == (10, 60, 5)
    assert (node.max_registration_attempts, node.max_request_retransmits) == (2, 2)


@pytest.mark.conformance("ENRP-2.1-05")
def test_identifiers_are_drawn_anew_each_time_and_never_0() -> None:
    drawn = {load({}, {}, None, secrets.randbelow(0xFFFFFFFF) + 1).settings.identifier for _ in range(50)}
    assert len(drawn) == 50
    assert 0 not in drawn


def test_elements_of_a_home_that_nobody_knows_are_taken_over() -> None:
    scope = Scope(static_peers=1, keep_alive_timeout=1000.0)
    low = scope.associate(2)
    scope.send(low, ListResponse(sender_identifier=LOW, receiver_identifier=OWN))
    scope.send(low, table(LOW, element(1, LOW), element(2, 0x7777)))
    for _ in range(30):
        scope.wait(1)
        scope.send(low, presence(LOW, 2, scope.registrar.handlespace.checksum(LOW)))
        for message in scope.sent[low]:
            if isinstance(message, InitTakeover):
                scope.send(
                    low, InitTakeoverAck(sender_identifier=LOW, receiver_identifier=OWN, target_identifier=0x7777)
                )
        scope.sent[low].clear()
    assert scope.homes() == {1: LOW, 2: OWN}

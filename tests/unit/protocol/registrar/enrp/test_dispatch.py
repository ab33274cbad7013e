"""ENRP against peers that lie, flood, vanish or come back (threats to a scope of registrars), and the start of one."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rserpool.errors import Cause
from rserpool.messages import (
    EndpointKeepAliveAck,
    EnrpError,
    HandleTableRequest,
    HandleTableResponse,
    HandleUpdate,
    Policy,
    PolicyType,
    PoolEntry,
)
from rserpool.protocol.actions import Abort, Level, Note
from tests.support.scope import EMPTY, HIGH, LOW, OWN, POOL, Scope, element, presence, update


def kinds(messages: Sequence[object]) -> list[str]:
    return [type(message).__name__ for message in messages]


def table(sender: int, *elements: object, more: bool = False) -> HandleTableResponse:
    entries = (PoolEntry(pool_handle=POOL, pool_elements=tuple(elements)),) if elements else ()  # type: ignore[arg-type]
    return HandleTableResponse(sender_identifier=sender, receiver_identifier=OWN, more=more, pool_entries=entries)


# The table of a peer's life


# Identifiers


def test_unknown_senders_are_bounded() -> None:
    scope = Scope(peers=3)
    for number in range(10):
        scope.join(100 + number, 20 + number)
    assert len(scope.registrar.enrp.peers) == 3
    assert scope.counters["peers refused"] >= 7


@pytest.mark.parametrize("identifier", [0, OWN])
def test_nobodys_and_our_own_identifier_make_no_peer(identifier: int) -> None:
    scope = Scope()
    number = scope.associate(2)
    answer = scope.send(number, presence(identifier, 2, reply=True))
    assert kinds(answer) == (["Presence"] if identifier else []), "a twin that starts is to notice"
    scope.send(number, update(identifier, element(1, identifier)) if identifier else presence(0, 2))
    assert not len(scope.registrar.handlespace)
    assert not scope.registrar.enrp.peers
    assert any(isinstance(action, Note) and action.level == Level.ERROR for action in scope.others)


def test_an_identifier_sticks_to_its_association() -> None:
    scope = Scope()
    number = scope.join(LOW, 2)
    assert not scope.send(number, presence(HIGH, 2))
    assert Abort(number) in scope.others
    assert list(scope.registrar.enrp.peers) == [LOW]


def test_a_live_peers_identifier_is_not_taken_over_from_elsewhere() -> None:
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


def test_an_error_makes_no_peer_and_is_not_answered() -> None:
    scope = Scope()
    number = scope.associate(2)
    octets = bytes.fromhex("0a000014 11111111 22222222 000c0008 00000004")
    assert not scope.send(number, octets)
    assert not scope.registrar.enrp.peers


def test_malformed_messages_are_answered_so_often_only_and_do_not_end_the_association() -> None:
    scope = Scope(errors_burst=3)
    number = scope.join(LOW, 2)
    answers = [scope.send(number, bytes.fromhex("7f00000c 11111111 22222222")) for _ in range(10)]
    errors = [message for answer in answers for message in answer]
    assert kinds(errors) == ["EnrpError"] * 3
    assert isinstance(errors[0], EnrpError)
    assert errors[0].sender_identifier == OWN
    assert errors[0].operation_error[0].code == Cause.UNRECOGNIZED_MESSAGE
    assert Abort(number) not in scope.others


# Updates


def test_a_peers_word_counts_for_its_own_elements_only() -> None:
    scope = Scope()
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    scope.add(low, LOW, 1)
    scope.register(7)
    own = element(7, LOW)
    scope.send(high, update(HIGH, element(1, HIGH), action=1))
    scope.send(high, update(HIGH, element(1, LOW)))
    assert not scope.send(high, update(HIGH, element(2, LOW)))
    told = scope.send(high, update(HIGH, own, action=1))
    assert scope.homes() == {1: LOW, 7: OWN}
    assert kinds(told) == ["HandleUpdate"], "the true home says so once more"
    assert scope.counters["updates of others' elements"] == 4
    scope.send(low, update(LOW, element(1, LOW), action=1))
    assert scope.homes() == {7: OWN}
    assert not scope.send(low, update(LOW, element(1, LOW), action=1)), "an unknown element is not worth a word"
    assert not scope.send(low, update(LOW, element(1, LOW), action=7)), "a reserved action is nothing"


@pytest.mark.conformance("ENRP-1.1-01")
def test_an_element_that_registers_elsewhere_changes_its_home() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    number = scope.register(7)
    scope.add(low, LOW, 7)
    assert scope.homes() == {7: OWN}, "a peer's word is not enough while the element is associated here"
    assert scope.asked(number) == [7]
    scope.sent[low].clear()
    scope.take(scope.registrar.lost(number, scope.now))
    assert scope.homes() == {7: LOW}
    assert not any(isinstance(message, HandleUpdate) for message in scope.sent[low])


def test_an_element_that_answers_stays_and_the_claimant_is_told() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    number = scope.register(7)
    scope.add(low, LOW, 7)
    scope.sent[low].clear()
    ack = EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=7).encode()
    scope.take(scope.registrar.received(number, ack, scope.now))
    (told,) = scope.sent[low]
    assert isinstance(told, HandleUpdate)
    assert told.pool_element.home_identifier == OWN
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
    assert 20 <= len(scope.asked(number)) <= 60 / 2 + 10, "a probe each 2 s, three at once, and the regular ones"


@pytest.mark.parametrize("life", [-2, -(1 << 31)])
def test_an_element_of_negative_life_is_not_taken(life: int) -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.send(low, update(LOW, replace(element(1, LOW), registration_life=life)))
    scope.send(low, update(LOW, replace(element(2, LOW), registration_life=-1)))
    assert scope.homes() == {2: LOW}


def test_a_claim_that_does_not_fit_the_pool_inherits_nothing() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    number = scope.register(7)
    scope.register(8, where=10)
    other = replace(element(7, LOW), policy=Policy(policy_type=PolicyType.RANDOM, values=()))
    scope.send(low, update(LOW, other))
    scope.sent[low].clear()
    scope.take(scope.registrar.lost(number, scope.now))
    assert scope.homes() == {8: OWN}
    (told,) = scope.sent[low]
    assert isinstance(told, HandleUpdate)
    assert (told.update_action, told.pool_element.identifier) == (1, 7)


def test_a_claim_ends_with_the_claimants_word() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    number = scope.register(7)
    scope.add(low, LOW, 7)
    scope.send(low, update(LOW, element(7, LOW), action=1))
    scope.take(scope.registrar.lost(number, scope.now))
    assert scope.homes() == {}


def test_elements_of_a_peer_are_bounded_and_their_lives_end() -> None:
    scope = Scope(elements_per_peer=2)
    low = scope.join(LOW, 2)
    for identifier in range(1, 5):
        scope.add(low, LOW, identifier)
    assert len(scope.registrar.handlespace) == 2
    for _ in range(100):
        scope.wait(3.5)
        scope.send(low, presence(LOW, 2, scope.registrar.handlespace.checksum(LOW)))
    assert not len(scope.registrar.handlespace)


# Audit


def test_a_checksum_that_never_matches_is_looked_at_less_and_less_often() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    requests = []
    for second in range(600):
        scope.wait(1)
        answer = scope.send(low, presence(LOW, 2, 0x1234))
        if any(isinstance(message, HandleTableRequest) for message in answer):
            requests.append(second)
            scope.send(low, table(LOW))
    gaps = [after - before for before, after in itertools.pairwise(requests)]
    assert len(requests) <= 12
    assert gaps == sorted(gaps)
    scope.send(low, presence(LOW, 2, EMPTY))
    assert any(isinstance(one, HandleTableRequest) for one in scope.send(low, presence(LOW, 2, 1))), "and starts anew"


def test_a_table_tells_of_its_senders_elements_only() -> None:
    scope = Scope()
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    scope.add(high, HIGH, 3)
    number = scope.register(7)
    scope.send(low, presence(LOW, 2, 0x1234))
    scope.send(low, table(LOW, element(1, LOW), element(3, LOW, 5), element(4, HIGH), element(5, OWN), element(7, LOW)))
    assert scope.homes() == {1: LOW, 3: LOW, 7: OWN}
    assert scope.asked(number) == [7], "an element that is associated here is asked whose it is"


def test_a_table_that_nobody_asked_for_and_one_without_end() -> None:
    scope = Scope(table_responses=5)
    low = scope.join(LOW, 2)
    scope.send(low, table(LOW, element(1, LOW)))
    assert not len(scope.registrar.handlespace)
    scope.send(low, presence(LOW, 2, 0x1234))
    answers = [scope.send(low, table(LOW, element(1, LOW), more=True)) for _ in range(20)]
    assert sum(map(len, answers)) == 4


@pytest.mark.conformance("ENRP-3.6.3-05")
def test_what_a_download_does_not_name_is_gone_but_not_if_it_breaks_off() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 1)
    scope.add(low, LOW, 2)
    scope.send(low, presence(LOW, 2, 0x1234))
    scope.send(low, replace(table(LOW), reject=True))
    assert scope.homes() == {1: LOW, 2: LOW}
    scope.wait(2)
    scope.send(low, presence(LOW, 2, 0x1234))
    scope.send(low, table(LOW, element(1, LOW), more=True))
    scope.wait(5)
    assert scope.homes() == {1: LOW, 2: LOW}
    for _ in range(8):
        scope.wait(2)
        scope.send(low, presence(LOW, 2, 0x1234))
    scope.send(low, table(LOW, element(1, LOW)))
    assert scope.homes() == {1: LOW}


@pytest.mark.parametrize(("remaining", "alarm"), [(0, 1), (5, 1), (30, 0), (55, 0)])
def test_a_download_that_loses_most_elements_is_an_alarm(remaining: int, alarm: int) -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    for identifier in range(1, 61):
        scope.add(low, LOW, identifier)
    scope.send(low, presence(LOW, 2, 0x1234))
    scope.send(low, table(LOW, *(element(identifier, LOW) for identifier in range(1, remaining + 1))))
    assert len(scope.homes()) == remaining
    assert scope.counters["downloads that lost most elements"] == alarm


def test_once_an_hour_a_table_is_compared_whole() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 1)
    requests = []
    for minute in range(180):
        for _ in range(20):
            scope.wait(3)
            answer = scope.send(low, presence(LOW, 2, scope.registrar.handlespace.checksum(LOW)))
            scope.add(low, LOW, 1)
            if any(isinstance(message, HandleTableRequest) for message in answer):
                requests.append(minute)
                scope.send(low, table(LOW, element(1, LOW)))
    assert len(requests) in (2, 3)
    assert all(59 <= after - before <= 61 for before, after in itertools.pairwise(requests))


@pytest.mark.conformance("ENRP-3.2.3-13")
def test_an_abandoned_download_of_ours_starts_anew() -> None:
    scope = Scope(keep_alive_interval=1000.0)
    low = scope.join(LOW, 2)
    for identifier in range(1, 400):
        scope.register(identifier)
    request = HandleTableRequest(sender_identifier=LOW, receiver_identifier=OWN)

    def part() -> list[int]:
        (answer,) = scope.send(low, request)
        assert isinstance(answer, HandleTableResponse)
        return [one.identifier for entry in answer.pool_entries for one in entry.pool_elements]

    first = part()
    assert part() != first
    for _ in range(4):
        scope.wait(3)
        scope.send(low, presence(LOW, 2))
    assert part() == first

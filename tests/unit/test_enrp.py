"""ENRP against peers that lie, flood, vanish or come back (threats to a scope of registrars), and the start of one."""

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rserpool.client_settings import ClientSettings
from rserpool.errors import Cause
from rserpool.messages import (
    EndpointKeepAliveAck,
    EnrpError,
    HandleTableRequest,
    HandleTableResponse,
    HandleUpdate,
    InitTakeover,
    InitTakeoverAck,
    ListRequest,
    ListResponse,
    Policy,
    PolicyType,
    PoolEntry,
    Presence,
    ServerInformation,
    TakeoverServer,
)
from rserpool.protocol.actions import Abort, Level, Note, Protocol, Renumber
from rserpool.protocol.peers import TABLE, Event, State
from rserpool.registrar.config import load
from rserpool.settings import Settings
from tests.support.scope import EMPTY, HIGH, LOW, OWN, POOL, Scope, element, host, presence, update


def kinds(messages: Sequence[object]) -> list[str]:
    return [type(message).__name__ for message in messages]


def table(sender: int, *elements: object, more: bool = False) -> HandleTableResponse:
    entries = (PoolEntry(pool_handle=POOL, pool_elements=tuple(elements)),) if elements else ()  # type: ignore[arg-type]
    return HandleTableResponse(sender_identifier=sender, receiver_identifier=OWN, more=more, pool_entries=entries)


# The table of a peer's life


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_event_in_every_state_is_in_the_table(state: State, event: Event) -> None:
    action, after = TABLE[state, event]
    assert action in Scope().registrar.enrp._reactions or action == "let_be"
    assert after in State


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


@pytest.mark.conformance("ENRP-3.5.2-02")
def test_a_dead_peer_without_elements_is_forgotten() -> None:
    scope = Scope()
    scope.join(LOW, 2)
    scope.wait(11)
    assert not scope.registrar.enrp.peers


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


@pytest.mark.conformance("ENRP-3.2.2.1-03")
def test_a_registrar_without_peers_is_one_at_once() -> None:
    assert Scope().registrar.enrp.startup.over


@pytest.mark.conformance(
    "ENRP-3.2.2.1-01", "ENRP-3.2.2.2-01", "ENRP-3.2.2.2-04", "ENRP-3.2.3-01", "ENRP-3.2.3-04", "ENRP-3.2.3-05",
    "ENRP-3.2.3-06", "ENRP-3.2.3-07", "ENRP-3.2.3-09", "ENRP-2.6-01", "ENRP-2.3-01", "ENRP-3.2.2.2-05", "ENRP-3.2.3-10",
)  # fmt: skip
def test_a_mentor_gives_its_list_and_its_table() -> None:
    scope = Scope(static_peers=1)
    assert [(call.addresses, call.port) for call in scope.calls] == [((host(2),), 9901)]
    low = scope.associate(2)
    assert kinds(scope.sent[low]) == ["Presence", "ListRequest"]
    stranger = scope.join(5, 7)
    for request in (ListRequest, HandleTableRequest):
        answer = scope.send(stranger, request(sender_identifier=5, receiver_identifier=OWN))
        assert answer[-1].reject, "who starts has nothing to tell"  # type: ignore[attr-defined]
    servers = tuple(
        ServerInformation(server_identifier=one, transport=replace(element(1, 1, where).asap_transport, port=9901))  # type: ignore[type-var]
        for one, where in ((0, 4), (OWN, 1), (HIGH, 3))
    )
    answer = scope.send(low, ListResponse(sender_identifier=LOW, receiver_identifier=OWN, servers=servers))
    assert kinds(answer) == ["HandleTableRequest"]
    assert [call.addresses for call in scope.calls[1:]] == [(host(3),)], "nobody and ourselves are not called"
    answer = scope.send(low, table(LOW, element(1, LOW), more=True))
    assert kinds(answer) == ["HandleTableRequest"]
    scope.send(low, table(LOW, element(2, HIGH), element(3, OWN)))
    assert scope.registrar.enrp.startup.over
    assert scope.homes() == {1: LOW, 2: HIGH}


@pytest.mark.conformance("ENRP-3.2.2.1-02", "ENRP-3.2.2.2-02", "ENRP-3.2.2.2-06", "ENRP-3.2.3-11", "ENRP-3.2.3-12")
def test_the_next_mentor_is_asked_where_one_is_mute_or_unwilling() -> None:
    scope = Scope(static_peers=3)
    mute, unwilling, willing = (scope.associate(where) for where in (2, 3, 4))
    scope.wait(5)
    assert "ListRequest" in kinds(scope.sent[unwilling])
    refusal = ListResponse(sender_identifier=HIGH, receiver_identifier=OWN, reject=True)
    for _ in range(3):
        scope.send(unwilling, refusal)
        scope.wait(4.9)
    assert "ListRequest" in kinds(scope.sent[willing])
    scope.send(willing, ListResponse(sender_identifier=5, receiver_identifier=OWN))
    scope.send(willing, table(5))
    assert scope.registrar.enrp.startup.over
    assert kinds(scope.sent[mute])[:2] == ["Presence", "ListRequest"]


def test_without_a_mentor_it_goes_on_alone() -> None:
    scope = Scope(static_peers=1)
    assert not scope.registrar.enrp.startup.over
    scope.wait(5)
    assert scope.registrar.enrp.startup.over
    scope.wait(60)
    assert len(scope.calls) > 1, "and goes on calling"


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

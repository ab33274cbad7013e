"""Downloads of handle tables, in both directions, and the audits that lead to them."""

import itertools
from dataclasses import replace

import pytest

from rserpool.messages import HandleTableRequest, HandleTableResponse, ListResponse
from tests.support.scope import EMPTY, HIGH, LOW, OWN, Scope, element, presence, table


def test_a_checksum_that_never_matches_leads_to_ever_rarer_downloads() -> None:
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
    assert any(isinstance(one, HandleTableRequest) for one in scope.send(low, presence(LOW, 2, 1))), (
        "the pause is reset"
    )


def test_a_download_stores_only_elements_of_its_sender() -> None:
    scope = Scope()
    low, high = scope.join(LOW, 2), scope.join(HIGH, 3)
    scope.add(high, HIGH, 3)
    number = scope.register(7)
    scope.send(low, presence(LOW, 2, 0x1234))
    scope.send(low, table(LOW, element(1, LOW), element(3, LOW, 5), element(4, HIGH), element(5, OWN), element(7, LOW)))
    assert scope.homes() == {1: LOW, 3: LOW, 7: OWN}
    assert scope.asked(number) == [7], "an element that is associated here is asked"


def test_an_unexpected_table_is_dropped_and_an_endless_one_cut_off() -> None:
    scope = Scope(table_responses=5)
    low = scope.join(LOW, 2)
    scope.send(low, table(LOW, element(1, LOW)))
    assert not len(scope.registrar.handlespace)
    scope.send(low, presence(LOW, 2, 0x1234))
    answers = [scope.send(low, table(LOW, element(1, LOW), more=True)) for _ in range(20)]
    assert sum(map(len, answers)) == 4


@pytest.mark.conformance("ENRP-3.6.3-05")
def test_elements_missing_in_a_download_are_removed_only_if_it_is_complete() -> None:
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
def test_a_download_that_removes_most_elements_raises_an_alarm(remaining: int, alarm: int) -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    for identifier in range(1, 61):
        scope.add(low, LOW, identifier)
    scope.send(low, presence(LOW, 2, 0x1234))
    scope.send(low, table(LOW, *(element(identifier, LOW) for identifier in range(1, remaining + 1))))
    assert len(scope.homes()) == remaining
    assert scope.counters["downloads that lost most elements"] == alarm


def test_a_table_is_downloaded_once_an_hour_even_if_its_checksum_matches() -> None:
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
def test_an_abandoned_upload_begins_again_with_the_first_part() -> None:
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


def test_a_peer_without_elements_is_not_downloaded() -> None:
    scope = Scope()
    number = scope.associate(2)
    assert not any(isinstance(message, HandleTableRequest) for message in scope.send(number, presence(HIGH, 2)))


def test_a_mentors_table_of_a_third_registrar_is_downloaded_again_from_its_home() -> None:
    """The mentor's knowledge of another registrar's elements may be old, and no checksum shows it."""
    scope = Scope(static_peers=1)
    mentor = scope.associate(2)
    scope.send(mentor, ListResponse(sender_identifier=HIGH, receiver_identifier=OWN))
    scope.send(mentor, table(HIGH, element(1, LOW)))
    assert scope.registrar.enrp.startup.over
    checksum = scope.registrar.handlespace.checksum(LOW)
    third = scope.associate(3)
    answer = scope.send(third, presence(LOW, 3, checksum))
    assert any(isinstance(message, HandleTableRequest) and message.own_only for message in answer)
    scope.send(third, table(LOW, element(1, LOW)))
    again = scope.send(third, presence(LOW, 3, checksum))
    assert not any(isinstance(message, HandleTableRequest) for message in again), "one download is enough"

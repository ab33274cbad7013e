"""Watches: the events of elements, pools, peers and takeovers, with and without the fast lane."""

import pytest

from rserpool.errors import LocalProtocolError
from rserpool.messages import Deregistration, HandleTableResponse, PoolEntry, Registration
from rserpool.protocol.registrar.actions import Protocol
from rserpool.protocol.registrar.watching import (
    ElementAdded,
    ElementRemoved,
    ElementUpdated,
    Event,
    EventsMissed,
    PeerChanged,
    PeerRemoved,
    PoolAdded,
    PoolRemoved,
    Reason,
    TakeoverFinished,
    TakeoverStarted,
)
from tests.support.scope import HIGH, LOW, OWN, POOL, Scope, element, update

NEW_POOL, ADDED, UPDATED = (
    PoolAdded(handle=POOL),
    ElementAdded(handle=POOL, identifier=1),
    ElementUpdated(handle=POOL, identifier=1),
)


def removed(reason: Reason, identifier: int = 1) -> list[Event]:
    """The events when the only element of the pool is removed."""
    return [ElementRemoved(handle=POOL, identifier=identifier, reason=reason), PoolRemoved(handle=POOL)]


@pytest.fixture(params=["fast lane", "readable way"])
def scope(request: pytest.FixtureRequest) -> Scope:
    made = Scope(keep_alive_timeout=1.0)
    if request.param == "readable way":
        made.registrar.elements.ownership.add_claim((b"disputed", 1), 8, b"")
    return made


def register_again(scope: Scope, number: int, identifier: int = 1) -> None:
    octets = Registration(pool_handle=POOL, pool_element=element(identifier, 0)).encode()
    scope.take(scope.registrar.received(number, octets, scope.now))


def test_registration_and_re_registration(scope: Scope) -> None:
    watch = scope.registrar.watch()
    number = scope.register(1)
    assert watch.take() == [NEW_POOL, ADDED]
    register_again(scope, number)
    assert watch.take() == [UPDATED]
    scope.register(2)
    assert watch.take() == [ElementAdded(handle=POOL, identifier=2)]


def test_fast_lane_stays_in_use_while_watched() -> None:
    scope = Scope()
    scope.registrar.watch()
    number = scope.register(1)
    lane = scope.registrar.lane(number)
    assert lane is not None
    lane.used = False
    register_again(scope, number)
    assert lane.used


def test_deregistration(scope: Scope) -> None:
    number = scope.register(1)
    watch = scope.registrar.watch()
    octets = Deregistration(pool_handle=POOL, pe_identifier=1).encode()
    scope.take(scope.registrar.received(number, octets, scope.now))
    assert watch.take() == removed(Reason.DEREGISTERED)


def test_end_of_an_association(scope: Scope) -> None:
    number = scope.register(1)
    scope.register(2)
    watch = scope.registrar.watch()
    scope.take(scope.registrar.lost(number, scope.now))
    assert watch.take() == [ElementRemoved(handle=POOL, identifier=1, reason=Reason.ASSOCIATION_LOST)]


def test_silence(scope: Scope) -> None:
    scope.register(1)
    watch = scope.registrar.watch()
    scope.wait(20)
    assert watch.take() == removed(Reason.SILENT)


def test_end_of_the_registration_life() -> None:
    scope = Scope(keep_alive_interval=10_000.0)
    scope.register(1)
    watch = scope.registrar.watch()
    scope.wait(301)
    assert watch.take() == removed(Reason.EXPIRED)


def test_elements_of_a_peer() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    watch = scope.registrar.watch()
    scope.add(low, LOW, 1)
    scope.add(low, LOW, 1)
    scope.send(low, update(LOW, element(1, LOW), action=1))
    assert watch.take() == [NEW_POOL, ADDED, UPDATED, *removed(Reason.REMOVED_BY_HOME)]


def test_element_that_a_handle_table_does_not_name() -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 1)
    watch = scope.registrar.watch()
    scope.wait(3)
    entry = PoolEntry(pool_handle=b"Other", pool_elements=(element(2, LOW),))
    scope.join(LOW, 2, checksum=1)
    scope.wait(3)
    scope.send(low, HandleTableResponse(sender_identifier=LOW, receiver_identifier=OWN, pool_entries=(entry,)))
    scope.wait(0.1)
    events = [one for one in watch.take() if not isinstance(one, PeerChanged)]
    assert events == [
        PoolAdded(handle=b"Other"),
        ElementAdded(handle=b"Other", identifier=2),
        *removed(Reason.REMOVED_BY_HOME),
    ]


def test_takeover_by_this_registrar() -> None:
    scope = Scope(keep_alive_timeout=1000.0)
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 1)
    watch = scope.registrar.watch()
    scope.wait(30)
    assert watch.take() == [
        PeerChanged(identifier=LOW, state="suspect"),
        PeerChanged(identifier=LOW, state="target"),
        TakeoverStarted(target=LOW),
        PeerChanged(identifier=LOW, state="claiming"),
        PeerChanged(identifier=LOW, state="won"),
        PeerRemoved(identifier=LOW),
        TakeoverFinished(target=LOW, winner=OWN),
    ]


def test_new_peer() -> None:
    scope = Scope()
    watch = scope.registrar.watch()
    scope.join(HIGH, 3)
    assert watch.take() == [PeerChanged(identifier=HIGH, state="alive")]


def test_full_queue_is_replaced_by_a_marker() -> None:
    scope = Scope()
    watch = scope.registrar.watch(limit=4)
    for identifier in range(1, 6):
        scope.register(identifier)
    events = watch.take()
    assert events[0] == EventsMissed()
    assert events[-1] == ElementAdded(handle=POOL, identifier=5)
    assert len(events) <= 4
    scope.register(6)
    assert watch.take() == [ElementAdded(handle=POOL, identifier=6)]


def test_ready_is_called_when_the_queue_was_empty() -> None:
    scope = Scope()
    calls: list[int] = []
    watch = scope.registrar.watch(ready=lambda: calls.append(len(watch)))
    scope.register(1)
    assert calls == [1]
    scope.register(2)
    assert calls == [1]
    watch.take()
    scope.register(3)
    assert calls == [1, 1]


def test_events_are_taken_in_parts() -> None:
    scope = Scope()
    watch = scope.registrar.watch()
    scope.register(1)
    assert watch.take(1) == [NEW_POOL]
    assert watch.take(1) == [ADDED]
    assert watch.take(1) == []


def test_closed_watch_gets_nothing_and_others_go_on() -> None:
    scope = Scope()
    first, second = scope.registrar.watch(), scope.registrar.watch()
    first.close()
    first.close()
    scope.register(1)
    assert (first.take(), second.take()) == ([], [NEW_POOL, ADDED])


def test_without_a_watch_the_fast_lane_records_nothing() -> None:
    scope = Scope()
    number = scope.associate(9, 17777, Protocol.ASAP)
    space = scope.registrar.handlespace
    assert (space.record_renewals, space.added) == (False, None)
    watch = scope.registrar.watch()
    assert (space.record_renewals, space.added) == (True, {})
    watch.close()
    register_again(scope, number)
    assert (space.record_renewals, space.added, space.updated) == (False, None, [])


def test_watch_keeps_at_least_two_events() -> None:
    with pytest.raises(LocalProtocolError, match="at least 2"):
        Scope().registrar.watch(limit=1)

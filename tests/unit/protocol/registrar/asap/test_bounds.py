"""Bounds: no peer makes the registrar grow or work without limit."""

from dataclasses import replace

import pytest

from rserpool.errors import Cause
from rserpool.messages import (
    Deregistration,
    EndpointKeepAliveAck,
    EndpointUnreachable,
    HandleResolution,
    HandleResolutionResponse,
)
from rserpool.protocol.actions import Abort
from rserpool.protocol.peer import Peer
from rserpool.settings.profile import RFC
from tests.support.bench import (
    HOST,
    OTHER_HOST,
    POOL,
    SECOND,
    Bench,
    answers,
    cause_of,
    registration,
)


def test_pools_elements_of_a_pool_and_of_an_association_are_bounded() -> None:
    bench = Bench(pools=2, elements_per_pool=2, elements_per_association=3, registration_burst=100)
    one, two = bench.associate(), bench.associate()
    assert not bench.register(one, 1, b"A").reject
    assert not bench.register(one, 2, b"A").reject
    assert cause_of(bench.register(one, 3, b"A")) == Cause.LACK_OF_RESOURCES
    assert not bench.register(one, 3, b"B").reject
    assert cause_of(bench.register(one, 4, b"B")) == Cause.LACK_OF_RESOURCES
    assert cause_of(bench.register(two, 5, b"C")) == Cause.LACK_OF_RESOURCES
    assert not bench.register(one, 1, b"A").reject
    bench.send(one, Deregistration(pool_handle=b"A", pe_identifier=1))
    assert not bench.register(one, 4, b"B").reject


def test_associations_are_bounded() -> None:
    bench = Bench(associations=2)
    bench.associate()
    bench.associate()
    actions = bench.asap.associated(3, Peer(addresses=(HOST,), port=1, sctp=True), 0)
    assert Abort(3) in actions
    bench.asap.lost(1, 0)
    assert not bench.asap.associated(4, Peer(addresses=(HOST,), port=1, sctp=True), 0)


def test_associations_of_one_host_are_bounded() -> None:
    bench = Bench(associations_per_host=2)
    bench.associate()
    bench.associate()
    assert Abort(3) in bench.asap.associated(3, Peer(addresses=(HOST,), port=1, sctp=True), 0)
    assert not bench.asap.associated(4, Peer(addresses=(OTHER_HOST,), port=1, sctp=True), 0)
    bench.asap.lost(1, 0)
    bench.asap.lost(3, 0)
    assert not bench.asap.associated(5, Peer(addresses=(HOST,), port=1, sctp=True), 0)


def test_a_registration_flood_gets_lack_of_resources_and_finally_an_abort() -> None:
    bench = Bench(registration_rate=10.0, registration_burst=5, registration_excess=2.0)
    number = bench.associate()
    rejected = [bench.register(number).reject for _ in range(7)]
    assert rejected == [False] * 5 + [True] * 2
    assert cause_of(bench.register(number)) == Cause.LACK_OF_RESOURCES
    removal = answers(bench.send(number, Deregistration(pool_handle=POOL, pe_identifier=1)))[0]
    assert cause_of(removal) == Cause.LACK_OF_RESOURCES
    aborted = False
    for _ in range(300):
        bench.now += SECOND // 100
        aborted = aborted or Abort(number) in bench.send(number, registration())
    assert aborted
    patient = bench.associate()
    for _ in range(100):
        bench.now += SECOND // 10
        assert not bench.register(patient, 2).reject


@pytest.mark.conformance("PAR-3.12.7-01")
def test_a_resolution_flood_gets_lack_of_resources() -> None:
    bench = Bench(resolution_burst=3, resolution_rate=1.0)
    number = bench.associate()
    bench.register(number)
    assert [bool(bench.listed(number)) for _ in range(5)] == [True, True, True, False, False]
    answer = answers(bench.send(number, HandleResolution(pool_handle=POOL)))[0]
    assert cause_of(answer) == Cause.LACK_OF_RESOURCES
    assert answer.encode().endswith(bytes.fromhex("000c0008 00060004"))
    bench.now += SECOND
    assert bench.listed(number) == [1]


@pytest.mark.conformance("SEC-9.2-11", "SEC-9.2-10")
def test_reports_neither_flood_an_element_with_keep_alives_nor_remove_it_at_once() -> None:
    bench = Bench(keep_alive_interval=1000.0, profile=replace(RFC, bad_reports=1000))
    number = bench.associate()
    bench.register(number)
    reporters = [bench.associate() for _ in range(20)]
    report = EndpointUnreachable(pool_handle=POOL, pe_identifier=1)
    keep_alives = 0
    for _ in range(50):
        for reporter in reporters:
            keep_alives += len(answers(bench.send(reporter, report)))
    assert keep_alives == 3
    bench.send(number, EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1))
    bench.now += 2 * SECOND
    assert len(answers(bench.send(reporters[0], report))) == 1
    assert bench.listed(number) == [1]


def test_repeated_reports_of_one_user_do_not_remove_an_element() -> None:
    bench = Bench(keep_alive_interval=1000.0)
    number, reporter = bench.associate(), bench.associate()
    bench.register(number)
    report = EndpointUnreachable(pool_handle=POOL, pe_identifier=1)
    for _ in range(3):
        bench.send(reporter, report)
    assert bench.listed(number) == [1]
    bench.register(number)
    for _ in range(3):
        bench.now += SECOND
        bench.send(reporter, report)
    assert bench.listed(number) == [1], "a re-registration resets the count"


def test_reports_of_unknown_elements_do_nothing() -> None:
    bench = Bench()
    number = bench.associate()
    assert not bench.send(number, EndpointUnreachable(pool_handle=b"Nowhere", pe_identifier=1))
    bench.register(number)
    assert not bench.send(number, EndpointUnreachable(pool_handle=POOL, pe_identifier=2))


def test_subscriptions_are_bounded_and_end_with_s_0_and_with_the_association() -> None:
    bench = Bench(subscriptions=2, resolution_burst=1000)
    number, user = bench.associate(), bench.associate()
    accepted = []
    for name in (b"A", b"B", b"C", b"A"):
        bench.register(number, 1, name)
        answer = answers(bench.send(user, HandleResolution(subscribe=True, pool_handle=name)))[0]
        assert isinstance(answer, HandleResolutionResponse)
        accepted.append(answer.accept_subscription)
    assert accepted == [True, True, False, True]
    bench.wait(2)
    bench.send(user, HandleResolution(pool_handle=b"A"))
    bench.register(number, 2, b"A")
    bench.register(number, 2, b"B")
    pushed = [message for message in answers(bench.wait(2)) if isinstance(message, HandleResolutionResponse)]
    assert [message.pool_handle for message in pushed] == [b"B"]
    bench.asap.lost(user, bench.now)
    bench.register(number, 3, b"B")
    assert not [message for message in answers(bench.wait(2)) if isinstance(message, HandleResolutionResponse)]


def test_changes_of_a_pool_are_pushed_in_one_update() -> None:
    bench = Bench(keep_alive_interval=1000.0)
    number, user = bench.associate(), bench.associate()
    bench.register(number, 1)
    bench.send(user, HandleResolution(subscribe=True, pool_handle=POOL))
    for identifier in range(2, 12):
        bench.register(number, identifier)
    (pushed,) = answers(bench.wait(5))
    assert isinstance(pushed, HandleResolutionResponse)
    assert len(pushed.pool_elements) == 11

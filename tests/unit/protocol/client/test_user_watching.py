"""Reports and watched pools of the pool user (RFC 5352 3.5, 2.2.5)."""

import pytest

from rserpool.errors import Cause
from rserpool.messages import (
    EndpointUnreachable,
    ErrorCause,
    HandleResolution,
)
from rserpool.protocol.client.actions import Dial
from rserpool.protocol.client.events import Failure
from rserpool.settings.profile import ALL_ITEMS
from tests.support.client_bench import (
    POOL,
    SECOND,
    NodeBench,
    at_home,
    listed,
    resolutions,
    selected,
    sent,
    sent_to,
    with_pool,
)

UNKNOWN = (ErrorCause(code=Cause.UNKNOWN_POOL_HANDLE),)
REQUEST = HandleResolution(pool_handle=POOL, items=ALL_ITEMS)
SUBSCRIPTION = HandleResolution(pool_handle=POOL, items=ALL_ITEMS, subscribe=True)


def report(bench: NodeBench, identifier: int) -> list[object]:
    bench.node.user.report(POOL, identifier, bench.now)
    return list(sent(bench.drain()))


# Reports


@pytest.mark.conformance("ASAP-3.5-01", "ASAP-3.5-02", "ASAP-3.5-04")
def test_failure_is_reported_once_and_the_element_dropped() -> None:
    bench = with_pool(None, listed(1), listed(2))
    assert report(bench, 1) == [EndpointUnreachable(pool_handle=POOL, pe_identifier=1)]
    assert report(bench, 1) == []
    assert selected(bench, 2) == [2, 2]


@pytest.mark.conformance("ASAP-3.5-05")
def test_element_that_was_never_handed_out_is_not_reported() -> None:
    bench = with_pool(None, listed(1))
    assert report(bench, 5) == []
    bench, _ = at_home()
    assert report(bench, 1) == []


def test_element_is_reported_again_after_it_was_handed_out_again() -> None:
    bench = with_pool(None, listed(1))
    assert report(bench, 1)
    assert bench.context.home is not None
    bench.resolve()
    bench.answer(bench.context.home.number, 1)
    assert report(bench, 1)


@pytest.mark.conformance("SEC-9.2-10")
def test_reports_are_rate_limited() -> None:
    bench = with_pool(None, *map(listed, range(1, 101)))
    assert sum(len(report(bench, one)) for one in range(1, 101)) == 5
    assert bench.context.counters["reports not sent"] == 95


def test_report_waits_for_a_home() -> None:
    bench = with_pool(None, listed(1))
    assert bench.context.home is not None
    bench.refuse(bench.context.home.number)
    assert report(bench, 1) == []
    bench.wait(1)
    home = bench.accept()
    assert sent_to(bench.actions, home) == [EndpointUnreachable(pool_handle=POOL, pe_identifier=1)]


@pytest.mark.conformance("ASAP-3.5-03")
def test_node_with_an_element_reports_over_sctp() -> None:
    bench = NodeBench(1, tcp=True)
    home, _ = bench.registered()
    bench.resolve()
    bench.answer(home, 1)
    assert report(bench, 1)
    assert all(dial.sctp for dial in bench.actions if isinstance(dial, Dial))


# Watching


def watched(**settings: object) -> tuple[NodeBench, int]:
    bench, home = at_home(2, **settings)
    bench.node.user.watch(POOL, bench.now, 5.0)
    assert sent(bench.drain()) == [SUBSCRIPTION]
    return bench, home


@pytest.mark.conformance("ASAP-2.2.5-01")
def test_pushed_changes_are_published() -> None:
    bench, home = watched()
    bench.answer(home, 1, accept_subscription=True)
    bench.answer(home, 1, 2, accept_subscription=True)
    bench.answer(home, 2, 1, accept_subscription=True)
    bench.answer(home, 2)
    assert bench.changes() == [[1], [1, 2], [2]]
    assert not bench.wait(1000)


def test_registrar_without_subscriptions_is_queried_periodically() -> None:
    bench, home = watched()
    bench.answer(home, 1)
    assert bench.changes() == [[1]]
    assert not bench.wait(4.9)
    assert sent(bench.wait(0.2)) == [SUBSCRIPTION]
    bench.answer(home, 1)
    assert bench.changes() == []
    assert sent(bench.wait(5)) == [SUBSCRIPTION]
    bench.answer(home, 1, 2)
    assert bench.changes() == [[1, 2]]
    assert not bench.answer(home, 3), "unsolicited, without a subscription"
    assert bench.changes() == []


def test_pool_that_disappeared_is_published_empty_and_queried_again() -> None:
    bench, home = watched()
    bench.answer(home, 1, accept_subscription=True)
    bench.answer(home, operation_error=UNKNOWN, pool_elements=())
    assert bench.changes() == [[1], []]
    assert sent(bench.wait(5.1)) == [SUBSCRIPTION]
    bench.answer(home, 4, accept_subscription=True)
    assert bench.changes() == [[4]]


@pytest.mark.conformance("ASAP-2.2.5-02")
def test_subscription_is_renewed_at_the_next_home() -> None:
    bench, home = watched()
    bench.answer(home, 1, accept_subscription=True)
    bench.refuse(home)
    other = bench.accept()
    assert sent_to(bench.actions, other) == [SUBSCRIPTION]
    bench.answer(other, 1, accept_subscription=True)
    assert bench.changes() == [[1]]


def test_resolving_a_watched_pool_keeps_the_subscription() -> None:
    bench, home = watched()
    bench.answer(home, 1, accept_subscription=True)
    bench.resolve()
    assert resolutions(bench.actions)[-1].subscribe


def test_watching_a_pool_that_is_being_resolved_subscribes_after_the_answer() -> None:
    bench, home = at_home()
    bench.resolve()
    bench.node.user.watch(POOL, bench.now, 5.0)
    bench.drain()
    bench.answer(home, 1)
    assert resolutions(bench.actions) == [REQUEST, SUBSCRIPTION]


def test_unwatching_ends_the_subscription() -> None:
    bench, home = watched()
    bench.answer(home, 1, accept_subscription=True)
    bench.node.user.unwatch(POOL, bench.now)
    assert sent(bench.drain()) == [REQUEST]
    bench.answer(home, 1)
    assert not bench.answer(home, 1, 2)
    assert bench.changes() == [[1]]
    assert not bench.wait(1000)


def test_unwatching_without_a_home_sends_nothing() -> None:
    bench, home = watched()
    bench.answer(home, 1, accept_subscription=True)
    bench.refuse(home)
    bench.node.user.unwatch(POOL, bench.now)
    other = bench.accept()
    assert not sent_to(bench.actions, other)


def test_unwatching_before_the_answer_ends_the_subscription_after_it() -> None:
    bench, home = watched()
    bench.node.user.unwatch(POOL, bench.now)
    assert not sent(bench.drain())
    assert bench.answer(home, 1, accept_subscription=True) == [REQUEST]
    assert not bench.answer(home, 1, accept_subscription=True), "no third request"


def test_watch_survives_a_registrar_that_does_not_answer() -> None:
    bench, home = watched()
    bench.answer(home, 1, accept_subscription=False)
    bench.wait(60)
    assert bench.context.home is None
    bench.wait(5)
    other = max(bench.dialled)
    bench.accept(other)
    bench.wait(1)
    assert SUBSCRIPTION in sent_to(bench.actions, other)
    bench.answer(other, 1, 2)
    assert bench.changes() == [[1], [1, 2]]


def test_stopping_fails_waiting_resolutions() -> None:
    bench, _ = at_home()
    ticket = bench.resolve()
    bench.take(bench.node.stop(bench.now))
    assert [(one.ticket, one.failure) for one in bench.resolutions()] == [(ticket, Failure.STOPPED)]


def test_next_expiry_is_in_microseconds() -> None:
    bench, _ = at_home(request_timeout=2.0)
    bench.resolve()
    assert bench.node.next_expiry == bench.now + 2 * SECOND

"""The pool user (RFC 5352 3.3, 3.5, 3.7.2; RFC 5356 4 and 5)."""

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

import pytest

from rserpool.errors import Cause
from rserpool.messages import (
    AsapError,
    DCCPTransport,
    ErrorCause,
    HandleResolution,
    Policy,
    PolicyType,
    SCTPTransport,
    TCPTransport,
    Transport,
    UDPLiteTransport,
    UDPTransport,
)
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.client.actions import Dial
from rserpool.protocol.client.cache import CHOICES
from rserpool.protocol.client.events import Failure
from rserpool.settings.profile import ALL_ITEMS
from tests.support.client_bench import (
    POOL,
    NodeBench,
    at_home,
    listed,
    resolutions,
    selected,
    sent,
    sent_to,
    server,
    with_pool,
)

HOST = ip_address("10.44.2.1")
UNKNOWN = (ErrorCause(code=Cause.UNKNOWN_POOL_HANDLE),)
REQUEST = HandleResolution(pool_handle=POOL, items=ALL_ITEMS)


def report(bench: NodeBench, identifier: int) -> list[object]:
    bench.node.user.report(POOL, identifier, bench.now)
    return list(sent(bench.drain()))


def policy(kind: int, *values: int) -> Policy:
    return Policy(policy_type=kind, values=values)


# Resolution


@pytest.mark.conformance("ASAP-3.3-01", "ASAP-3.3-02", "ASAP-4-01", "ASAP-6.9.1-01", "ASAP-3.3-07")
def test_request_waits_for_a_home_and_is_answered() -> None:
    bench = NodeBench(1)
    ticket = bench.resolve()
    assert not sent(bench.actions)
    home = bench.accept()
    assert sent(bench.actions) == [REQUEST]
    bench.answer(home, 3, 1, 2, policy=policy(PolicyType.RANDOM))
    (answer,) = bench.resolutions()
    assert (answer.ticket, [one.identifier for one in answer.elements]) == (ticket, [3, 1, 2])
    assert answer.policy == policy(PolicyType.RANDOM)
    assert not bench.wait(1000)


@pytest.mark.conformance("ASAP-2.2.6-07", "ASAP-3.3-16")
def test_error_cause_makes_an_answer_negative() -> None:
    bench, home = at_home()
    ticket = bench.resolve()
    bench.answer(home, 1, operation_error=UNKNOWN, pool_elements=())
    (answer,) = bench.resolutions()
    assert (answer.ticket, answer.failure, answer.causes) == (ticket, Failure.REFUSED, UNKNOWN)


@pytest.mark.conformance("PAR-3.3-02", "PAR-3.5-02", "PAR-3.6-01", "PAR-3.7-01")
@pytest.mark.parametrize(
    ("transport", "protocol"),
    [
        (TCPTransport(port=5, address=HOST, reserved=1), "tcp"),
        (UDPTransport(port=5, address=HOST), "udp"),
        (UDPLiteTransport(port=5, address=HOST), "udplite"),
        (DCCPTransport(port=5, service_code=7, address=HOST), "dccp"),
    ],
)
def test_only_sctp_has_a_control_channel(transport: Transport, protocol: str) -> None:
    bench = with_pool(None, replace(listed(1), user_transport=transport))
    element = bench.node.user.select(POOL)
    assert element is not None
    assert (element.protocol, element.addresses, element.port) == (protocol, (HOST,), 5)
    assert not element.control_channel
    sctp = SCTPTransport(port=5, transport_use=1, addresses=(HOST, ip_address("10.0.0.9")))
    element = with_pool(None, replace(listed(1), user_transport=sctp)).node.user.select(POOL)
    assert element is not None
    assert element.control_channel


def test_resolutions_of_one_pool_share_an_answer() -> None:
    bench, home = at_home()
    tickets = [bench.resolve(items=items) for items in (ALL_ITEMS, 1, 2)]
    assert len(resolutions(bench.actions)) == 1
    bench.answer(home, 1, 2, 3)
    answers = bench.resolutions()
    assert [(one.ticket, len(one.elements)) for one in answers] == list(zip(tickets, (3, 1, 2), strict=True))


def test_resolution_that_wants_more_follows_the_answer() -> None:
    bench, home = at_home()
    bench.resolve(items=1)
    bench.resolve(items=5)
    bench.resolve(items=3)
    assert [one.items for one in resolutions(bench.actions)] == [1]
    bench.answer(home, 1)
    assert [one.items for one in resolutions(bench.actions)] == [1, 5]
    bench.answer(home, 1, 2, 3, 4)
    assert [len(one.elements) for one in bench.resolutions()] == [1, 4, 3]


def test_cancelled_resolution_publishes_nothing() -> None:
    bench, home = at_home()
    ticket = bench.resolve()
    bench.node.user.cancel(ticket)
    bench.answer(home, 1)
    assert not bench.resolutions()
    assert not bench.wait(1000)


def test_cancelled_resolution_is_not_sent() -> None:
    bench = NodeBench(1)
    bench.node.user.cancel(bench.resolve())
    bench.accept()
    assert not sent(bench.actions)
    assert not bench.node.wanting


def test_resolutions_beyond_the_limit_fail_at_once() -> None:
    bench = NodeBench(0, requests=3)
    for _ in range(5):
        bench.resolve()
    assert [one.failure for one in bench.resolutions()] == [Failure.OVERLOAD] * 2


@pytest.mark.conformance("ASAP-3.3-04", "ASAP-3.3-05", "ASAP-3.7.2-01", "ASAP-3.7.2-02")
def test_unanswered_request_is_repeated_and_given_up() -> None:
    bench, home = at_home(2)
    ticket = bench.resolve()
    assert not bench.wait(14.9)
    again = bench.wait(0.2)
    assert sent_to(again, home) == [REQUEST]
    assert [type(one) for one in again].count(Dial) == 1
    assert bench.context.home is not None
    bench.wait(30)
    assert sent_to(bench.actions, home) == [REQUEST] * 3
    (answer,) = bench.resolutions()
    assert (answer.ticket, answer.failure) == (ticket, Failure.UNANSWERED)
    assert Abort(home) in bench.actions


def test_home_that_sends_other_messages_is_kept() -> None:
    bench, home = at_home()
    bench.grant(home, bench.element())
    bench.resolve()
    bench.wait(20)
    bench.ask(home, 7)
    bench.wait(30)
    assert [one.failure for one in bench.resolutions()] == [Failure.UNANSWERED]
    assert bench.context.home is not None
    assert bench.context.home.number == home


def test_late_answer_of_the_home_ends_the_hunt() -> None:
    bench, home = at_home(2)
    bench.resolve()
    bench.wait(15.1)
    assert bench.hosts() == [2]
    (dialled,) = bench.dialled
    bench.answer(home, 1)
    assert Abort(dialled) in bench.actions
    assert len(bench.resolutions()) == 1
    assert not bench.wait(1000)


@pytest.mark.conformance("ASAP-3.7.2-03")
def test_second_candidate_that_answers_becomes_home() -> None:
    bench, home = at_home(2)
    bench.resolve()
    bench.wait(15.1)
    candidate = bench.accept()
    assert sent_to(bench.actions, candidate) == [REQUEST]
    assert bench.context.home is not None
    assert bench.context.home.number == home
    bench.answer(candidate, 1)
    assert bench.context.home.number == candidate
    assert Shutdown(home) in bench.actions
    assert len(bench.resolutions()) == 1
    bench.resolve()
    assert sent_to(bench.actions, candidate) == [REQUEST] * 2


def test_unsolicited_answer_of_a_second_candidate_is_ignored() -> None:
    bench, home = at_home(2)
    bench.resolve()
    bench.wait(15.1)
    candidate = bench.accept()
    bench.answer(candidate, 1, pool_handle=b"OtherPool")
    assert bench.context.home is not None
    assert bench.context.home.number == home
    bench.receive(candidate, AsapError(operation_error=UNKNOWN))
    assert not bench.resolutions()


@pytest.mark.conformance("ASAP-3.3-06")
def test_lost_registrar_is_replaced_and_the_request_repeated() -> None:
    bench, home = at_home(2)
    bench.resolve()
    bench.refuse(home)
    other = bench.accept()
    assert sent_to(bench.actions, other) == [REQUEST]


@pytest.mark.conformance("ASAP-3.3-03", "ASAP-2.1-02")
def test_user_without_elements_may_use_tcp() -> None:
    bench = NodeBench(places=[server(1, sctp=False)], tcp=True)
    home = bench.accept()
    bench.resolve()
    assert sent_to(bench.actions, home) == [REQUEST]


def test_asap_error_fails_the_oldest_resolution() -> None:
    bench, home = at_home()
    first = bench.resolve()
    second = bench.node.user.resolve(b"OtherPool", bench.now)
    bench.drain()
    bench.receive(home, AsapError(operation_error=(ErrorCause(code=0x10),)))
    assert [one.ticket for one in bench.resolutions()] == [first]
    bench.answer(home, 1, pool_handle=b"OtherPool")
    assert [one.ticket for one in bench.resolutions()] == [second]


def test_unsolicited_answers_are_ignored() -> None:
    bench, home = at_home()
    assert not bench.answer(home, 1)
    assert bench.context.counters["answers ignored"] == 1
    assert bench.node.user.select(POOL) is None


def test_user_without_requests_does_not_hunt() -> None:
    bench, home = at_home()
    bench.refuse(home)
    assert not bench.wait(1000)
    bench.resolve()
    assert bench.hosts() == [1]


# The cache


@pytest.mark.conformance("ASAP-3.3-08", "ASAP-3.3-09", "ASAP-3.3-10", "ASAP-3.3-11")
def test_cache_answers_while_it_is_fresh() -> None:
    bench, home = at_home(stale_cache=10.0)
    bench.resolve()
    bench.answer(home, 1, 2)
    bench.wait(9.9)
    bench.resolve()
    assert len(resolutions(bench.actions)) == 1
    assert [len(one.elements) for one in bench.resolutions()] == [2, 2]
    bench.wait(0.2)
    bench.resolve()
    assert len(resolutions(bench.actions)) == 2
    assert not bench.resolutions(), "the third one waits for the answer"


def test_without_a_cache_every_resolution_sends_a_request() -> None:
    bench, home = at_home()
    for _ in range(3):
        bench.resolve()
        bench.answer(home, 1)
    assert len(resolutions(bench.actions)) == 3
    bench.resolve(fresh_within=5.0)
    assert len(resolutions(bench.actions)) == 3
    assert len(bench.resolutions()) == 4


def test_partial_answer_does_not_serve_larger_resolutions() -> None:
    bench, home = at_home(stale_cache=10.0)
    bench.resolve(items=2)
    bench.answer(home, 1, 2)
    assert not bench.node.user.fresh(POOL, bench.now)
    bench.resolve(items=2)
    assert len(resolutions(bench.actions)) == 1
    bench.resolve(items=3)
    assert len(resolutions(bench.actions)) == 2
    bench.answer(home, 1, 2)
    bench.resolve()
    assert len(resolutions(bench.actions)) == 2, "the cache has the whole pool"


def test_negative_answer_empties_the_cache() -> None:
    bench, home = at_home(stale_cache=10.0)
    bench.resolve()
    bench.answer(home, 1)
    bench.resolve(fresh_within=0)
    bench.answer(home, operation_error=UNKNOWN, pool_elements=())
    assert bench.node.user.select(POOL) is None


@pytest.mark.conformance("ASAP-6.3-01", "ASAP-6.4-01")
def test_resolution_populates_the_cache_and_purge_empties_it() -> None:
    bench, home = at_home(stale_cache=10.0)
    bench.resolve(fresh_within=0)
    bench.answer(home, 1)
    assert bench.node.user.fresh(POOL, bench.now)
    bench.node.user.purge(POOL)
    assert not bench.node.user.fresh(POOL, bench.now)


def test_least_recently_used_pool_makes_room() -> None:
    bench, home = at_home(stale_cache=100.0, pools_cached=3)
    for pool in (b"A", b"B", b"C", b"A", b"D"):
        bench.node.user.resolve(pool, bench.now)
        bench.drain()
        bench.answer(home, 1, pool_handle=pool)
    assert [bench.node.user.fresh(pool, bench.now) for pool in (b"A", b"B", b"C", b"D")] == [True, False, True, True]


# Selection


@pytest.mark.conformance("POL-4.1-05", "POL-4.1-01", "ASAP-2.2.6-02", "ASAP-6.5.2.1-01")
@pytest.mark.parametrize("overall", [None, policy(PolicyType.ROUND_ROBIN), Policy(policy_type=0x80001234)])
def test_round_robin_begins_with_the_first_element(overall: Policy | None) -> None:
    bench = with_pool(overall, listed(3), listed(1), listed(2))
    assert selected(bench, 7) == [3, 1, 2, 3, 1, 2, 3]
    assert selected(bench, 3, exclude=(1, 3)) == [2, 2, 2]
    assert selected(bench, 1, exclude=(1, 2, 3)) == []


@pytest.mark.conformance("POL-4.2-03")
def test_element_listed_twice_has_two_turns() -> None:
    weights = [listed(one, policy(PolicyType.WEIGHTED_ROUND_ROBIN, 2)) for one in (1, 2, 1)]
    bench = with_pool(weights[0].policy, *weights)
    assert selected(bench, 6) == [1, 2, 1, 1, 2, 1]


@pytest.mark.conformance("POL-4.3-03", "POL-4.4-03")
@pytest.mark.parametrize(
    "overall",
    [
        policy(PolicyType.RANDOM),
        policy(PolicyType.WEIGHTED_RANDOM, 1),
        policy(PolicyType.RANDOMIZED_LEAST_USED, 1),
    ],
)
def test_random_policies_select_uniformly(overall: Policy) -> None:
    bench = with_pool(overall, *(listed(one, overall) for one in range(1, 11)))
    counts = Counter(selected(bench, 10_000))
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 27.9, "chi-square, 9 degrees, 0.1 %"


@pytest.mark.conformance("POL-4.5-03")
def test_highest_priority_is_selected_until_it_fails() -> None:
    elements = [listed(one, policy(PolicyType.PRIORITY, one % 4)) for one in (1, 7, 3, 2)]
    bench = with_pool(policy(PolicyType.PRIORITY, 0), *elements)
    assert selected(bench, 3) == [7, 7, 7]
    bench.node.user.report(POOL, 7, bench.now)
    assert selected(bench, 2) == [3, 3]
    assert selected(bench, 1, exclude=(3,)) == [2]


@pytest.mark.conformance("POL-5.1-05")
@pytest.mark.parametrize(
    "kind", [PolicyType.LEAST_USED, PolicyType.LEAST_USED_WITH_DEGRADATION, PolicyType.PRIORITY_LEAST_USED]
)
def test_least_used_selects_in_the_order_of_the_answer(kind: int) -> None:
    bench = with_pool(policy(kind, *[0] * (1 + (kind != PolicyType.LEAST_USED))), listed(3), listed(1), listed(2))
    assert [selected(bench, 1, exclude)[0] for exclude in ((), (3,), (3, 1))] == [3, 1, 2]


@pytest.mark.conformance("ASAP-2.2.6-04")
def test_policies_of_elements_do_not_define_the_pool_policy() -> None:
    inside = [listed(one, policy(PolicyType.PRIORITY, one)) for one in (1, 2, 3)]
    assert selected(with_pool(None, *inside), 4) == [1, 2, 3, 1]


def test_every_policy_has_a_selection() -> None:
    assert set(CHOICES) == set(PolicyType)


def test_round_robin_continues_after_a_dropped_element() -> None:
    bench = with_pool(None, *map(listed, (1, 2, 3, 4)))
    assert selected(bench, 2) == [1, 2]
    bench.node.user.report(POOL, 2, bench.now)
    assert selected(bench, 4) == [3, 4, 1, 3]

"""The registrar's ASAP: liveness, unexpected messages, and the fast lane against the readable way."""

import pytest

from rserpool.messages import (
    AsapError,
    DeregistrationResponse,
    EndpointKeepAlive,
    EndpointKeepAliveAck,
    EndpointUnreachable,
    HandleResolution,
    HandleResolutionResponse,
    Policy,
    PolicyType,
    RegistrationResponse,
)
from rserpool.protocol.actions import Abort, Note, Send
from rserpool.protocol.registrar.actions import Update
from tests.support.bench import (
    OTHER_HOST,
    POOL,
    ROUND_ROBIN,
    SECOND,
    Bench,
    answers,
    registration,
)


@pytest.mark.conformance("ASAP-3.5-13")
def test_keep_alives_of_many_elements_are_spread_over_time() -> None:
    bench = Bench(registration_burst=100, elements_per_association=100, keep_alive_interval=10.0)
    number = bench.associate()
    for identifier in range(1, 51):
        bench.register(number, identifier)
    per_slot: dict[int, int] = {}
    for _ in range(200):
        sent = sum(isinstance(answer, EndpointKeepAlive) for answer in answers(bench.wait(0.1)))
        per_slot[bench.now // (SECOND // 10)] = sent
    assert sum(per_slot.values()) == 50
    assert max(per_slot.values()) <= 10


def test_acknowledgements_count_only_over_the_elements_own_association() -> None:
    bench = Bench(keep_alive_interval=2.0, keep_alive_timeout=1.0)
    number, stranger = bench.associate(), bench.associate()
    bench.register(number)
    (probe,) = answers(bench.wait(3.0))
    assert isinstance(probe, EndpointKeepAlive)
    bench.send(stranger, EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1))
    actions = bench.wait(1.0)
    assert len(bench.space) == 0
    assert Abort(number) in actions, "nothing of the silent association is left"


def test_a_silent_element_does_not_abort_the_association_of_its_living_neighbour() -> None:
    bench = Bench(keep_alive_interval=2.0, keep_alive_timeout=1.0)
    number = bench.associate()
    bench.register(number, 1)
    bench.register(number, 2)
    for _ in range(10):
        actions = bench.wait(0.5)
        for message in answers(actions):
            if isinstance(message, EndpointKeepAlive) and message.pe_identifier == 1:
                bench.send(number, EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1))
        assert Abort(number) not in actions
    assert bench.listed(number) == [1]


@pytest.mark.parametrize("reported", [False, True])
def test_an_element_that_is_removed_as_dead_gets_a_notice(reported: bool) -> None:
    bench = Bench(keep_alive_interval=1000.0 if reported else 2.0, keep_alive_timeout=1.0)
    number = bench.associate()
    bench.register(number, 1)
    bench.register(number, 2)
    actions = []
    for _ in range(50):
        if reported:
            reporter = bench.associate(OTHER_HOST)
            actions += bench.send(reporter, EndpointUnreachable(pool_handle=POOL, pe_identifier=2))
        actions += bench.wait(0.1)
        if any(isinstance(action, Update) for action in actions):
            break
        bench.send(number, EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1))
    assert bench.listed(number) == [1]
    (notice,) = [answer for answer in answers(actions) if isinstance(answer, DeregistrationResponse)]
    assert notice == DeregistrationResponse(pool_handle=POOL, pe_identifier=2)
    assert Send(number, notice.encode()) in actions


@pytest.mark.conformance("ASAP-3.5-07", "ASAP-3.5-12", "ENRP-3.3.2-01")
def test_a_lost_association_removes_its_elements_and_updates_peers() -> None:
    bench = Bench()
    number, other = bench.associate(), bench.associate()
    bench.register(number, 1)
    bench.register(number, 2)
    bench.register(other, 3)
    updates = [action for action in bench.asap.lost(number, 0) if isinstance(action, Update)]
    assert [update.added for update in updates] == [False, False]
    assert bench.listed(other) == [3]


def outcome(*, lane: bool) -> tuple[object, ...]:
    """The actions, the element and the counters after a series of requests."""
    bench = Bench()
    number = bench.associate()
    if not lane:
        bench.context.associations[number].lane = None
    actions = []
    for load in (5, 5, 9, 1):
        policy = Policy(policy_type=PolicyType.LEAST_USED, values=(load,))
        actions.append(bench.send(number, registration(policy=policy)))
    actions.append(bench.send(number, EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1)))
    actions.append(bench.send(number, HandleResolution(pool_handle=POOL)))
    actions.append(bench.send(number, HandleResolution(pool_handle=POOL, items=1)))
    actions.append(bench.wait(8))
    view = bench.space.find(POOL, 1)
    assert view is not None
    return actions, view.parameter, view.connection, view.probed, view.bad_reports, dict(bench.counters)


def test_fast_lane_and_readable_way_have_the_same_outcome() -> None:
    assert outcome(lane=True) == outcome(lane=False)


def test_messages_not_for_a_registrar_are_only_noted() -> None:
    bench = Bench()
    number = bench.associate()
    for message in (
        RegistrationResponse(pool_handle=POOL, pe_identifier=1),
        HandleResolutionResponse(pool_handle=POOL, policy=ROUND_ROBIN, pool_elements=()),
        EndpointKeepAlive(server_identifier=1, pool_handle=POOL),
        AsapError(operation_error=()),
    ):
        data = message.encode() if not isinstance(message, AsapError) else bytes.fromhex("0e00000c000c000800000004")
        if isinstance(message, HandleResolutionResponse):
            data = bytes.fromhex("0600001c0009000e4e6f53756368506f6f6c0000000c000800090004")
        assert all(isinstance(action, Note) for action in bench.send(number, data))


def test_the_rate_of_error_messages_is_bounded() -> None:
    bench = Bench(errors_burst=4, errors_per_second=1.0)
    number = bench.associate()
    bad = bytes.fromhex("050000100009ffff4563686f506f6f6c")
    sent = sum(len(answers(bench.send(number, bad))) for _ in range(100))
    assert sent == 4
    assert bench.counters["malformed messages"] == 100


def test_unknown_associations_and_empty_messages_are_ignored() -> None:
    bench = Bench()
    assert bench.asap.received(77, registration().encode(), 0) == []
    assert bench.send(bench.associate(), b"") == []

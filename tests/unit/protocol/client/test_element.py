"""Pool elements (RFC 5352 3.1, 3.2, 3.4)."""

import math
from itertools import pairwise, product

import pytest

from rserpool.errors import Cause, LocalProtocolError
from rserpool.messages import (
    ErrorCause,
    Registration,
    SCTPTransport,
    UDPTransport,
)
from rserpool.protocol.actions import Abort
from rserpool.protocol.client.actions import Dial
from rserpool.protocol.client.element import reregistration_interval
from rserpool.protocol.client.element_table import ANYTIME, TABLE, ElementEvent, ElementReaction
from rserpool.protocol.client.events import ElementState
from tests.support.client_bench import (
    ERROR,
    POOL,
    ROUND_ROBIN,
    SECOND,
    SERVICE,
    NodeBench,
    change,
    in_state,
    load,
    registrations,
    sent_to,
    server,
)

WARNING = ErrorCause(code=Cause.UNSPECIFIED_ERROR)


# The table

S, E = ElementState, ElementEvent
FINAL: dict[ElementState, dict[ElementEvent, ElementState]] = {
    S.IDLE: {E.START: S.REG},
    S.HUNT: {
        E.READY_TO_REGISTER: S.REG,
        E.ADOPTED: S.REG,
        E.TIMEOUT: S.HUNT,
        E.DEREGISTER: S.DEREG,
        E.WITHDRAW: S.IDLE,
    },
    S.REG: {
        E.GRANTED: S.READY,
        E.REJECTED: S.REFUSED,
        E.OUTDATED_REJECTED: S.REG,
        E.LACKS_RESOURCES: S.HUNT,
        E.IDENTIFIER_TAKEN: S.REG,
        E.ERROR: S.HUNT,
        E.TIMEOUT: S.HUNT,
        E.HOME_LOST: S.REG,
        E.ADOPTED: S.REG,
        E.DEREGISTER: S.DEREG,
    },
    S.READY: {
        E.TIMEOUT: S.REG,
        E.TURN: S.REG,
        E.CHANGED: S.REG,
        E.HOME_LOST: S.REG,
        E.UNREGISTERED: S.HUNT,
        E.DEREGISTER: S.DEREG,
    },
    S.DEREG: {
        E.START: S.REG,
        E.ERROR: S.DEREG,
        E.TIMEOUT: S.DEREG,
        E.UNREGISTERED: S.IDLE,
        E.DEREGISTRATION_REFUSED: S.READY,
    },
    S.REFUSED: {E.CHANGED: S.REG, E.DEREGISTER: S.DEREG, E.WITHDRAW: S.IDLE},
}
"""The state after each event, follow-up events included, of an element with a home, which pauses if it is in HUNT. In a
state that does not name an event, the event changes nothing if it may come anytime, and is impossible otherwise."""


@pytest.mark.parametrize(("state", "event"), list(product(ElementState, ElementEvent)))
def test_every_event_in_every_state(state: ElementState, event: ElementEvent) -> None:
    bench, element = in_state(state)
    armed = len(bench.context.wheel)
    if event not in FINAL[state] and event not in ANYTIME:
        with pytest.raises(LocalProtocolError, match=f"{event.name} is impossible in state {state.name}"):
            element.feed(event, bench.now)
        assert element.state is state
        assert not bench.drain()
        return
    element.feed(event, bench.now)
    assert element.state is FINAL[state].get(event, state)
    actions = bench.drain()
    if TABLE[state, event].reaction is ElementReaction.IGNORE:
        assert not actions
        assert len(bench.context.wheel) == armed
    if element.state in (S.IDLE, S.REFUSED):
        assert element._timer is None
    if element.state in (S.REG, S.DEREG, S.READY):
        assert element._timer is not None or bench.context.home is None, "nothing would end this state"
    bench.wait(1000)


def test_every_reaction_is_used_and_has_a_method() -> None:
    _, element = in_state(S.IDLE)
    assert set(element._reactions) == set(ElementReaction) - {ElementReaction.IGNORE}
    assert {row.reaction for row in TABLE.values()} == set(ElementReaction)


# Registration


@pytest.mark.conformance(
    "ASAP-3.1-01", "ASAP-3.1-02", "ASAP-3.1-04", "ASAP-3.1-07", "ASAP-3.1-08", "ASAP-2.2.1-01", "PAR-3.10-03"
)
def test_registration_follows_the_hunt_and_carries_every_value() -> None:
    bench = NodeBench(1)
    element = bench.element(policy=load(5), life=300.0)
    assert not registrations(bench.actions)
    assert element.state is ElementState.HUNT
    home = bench.accept()
    (message,) = sent_to(bench.actions, home)
    assert message == Registration(pool_handle=POOL, pool_element=message.pool_element)  # type: ignore[attr-defined]
    sent_element = message.pool_element  # type: ignore[attr-defined]
    assert (sent_element.identifier, sent_element.home_identifier) == (7, 0)
    assert (sent_element.user_transport, sent_element.policy) == (SERVICE, load(5))
    assert sent_element.registration_life == 300_000
    assert [one.state for one in bench.states()] == [ElementState.HUNT, ElementState.REG]
    bench.grant(home, element)
    (news,) = bench.states()
    assert news.home is not None
    assert (news.state, news.identifier, str(news.home.addresses[0])) == (ElementState.READY, 7, "10.44.0.1")


@pytest.mark.conformance("ASAP-3.1-05")
def test_default_identifiers_are_random() -> None:
    bench = NodeBench(0)
    drawn = [bench.element(None).identifier for _ in range(50)]
    assert len(set(drawn)) == 50
    assert all(0 < one <= 0xFFFFFFFF for one in drawn)
    assert len({later - earlier for earlier, later in pairwise(drawn)}) == 49


@pytest.mark.conformance("ASAP-3.1-19", "ASAP-3.1-06")
def test_reregistration_interval() -> None:
    lives = (10, 40, 41, 300, 620, 100_000, math.inf)
    assert [reregistration_interval(life) for life in lives] == [5, 20, 21, 280, 600, 600, 600]


@pytest.mark.conformance("ASAP-3.1-06", "ASAP-3.1-18", "ASAP-3.1-20")
@pytest.mark.parametrize(("life", "interval"), [(300.0, 280), (30.0, 15), (math.inf, 600)])
def test_registration_is_renewed_before_its_life_ends(life: float, interval: int) -> None:
    bench = NodeBench(1)
    home, element = bench.registered(life=life)
    for _ in range(3):
        assert not registrations(bench.wait(0.95 * interval - 0.01))
        (again,) = registrations(bench.wait(0.05 * interval + 0.01))
        assert again.pool_element.identifier == 7
        bench.grant(home, element)
    assert {one.state for one in bench.states()} <= {ElementState.HUNT, ElementState.REG, ElementState.READY}


def test_life_on_the_wire_and_interval_can_be_set() -> None:
    bench = NodeBench(1)
    bench.registered(life=300.0, life_on_wire=300, reregister_every=7.0)
    assert registrations(bench.actions)[0].pool_element.registration_life == 300
    assert registrations(bench.wait(7.01))
    bench = NodeBench(1)
    bench.registered(life=math.inf)
    assert registrations(bench.actions)[0].pool_element.registration_life == -1
    bench = NodeBench(1)
    bench.registered(life=1e9)
    assert registrations(bench.actions)[0].pool_element.registration_life == (1 << 31) - 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"life": 0.0},
        {"life": -1.0},
        {"identifier": 0},
        {"identifier": 1 << 32},
        {"policy": load(1 << 32)},
        {"handle": b""},
        {"handle": b"x" * 70_000},
        {"life_on_wire": 1 << 31},
    ],
)
def test_values_that_cannot_be_sent_raise_local_protocol_error(wrong: dict[str, object]) -> None:
    bench = NodeBench(1)
    with pytest.raises(LocalProtocolError):
        bench.element(**wrong)  # type: ignore[arg-type]
    assert not bench.node.elements


def test_second_element_with_the_same_name_is_refused() -> None:
    bench = NodeBench(1)
    bench.element(7)
    bench.element(7, b"OtherPool")
    with pytest.raises(LocalProtocolError, match="already"):
        bench.element(7)


@pytest.mark.conformance("ASAP-3.1-10", "ASAP-3.1-12", "ASAP-3.1-13")
def test_unanswered_registration_leads_to_another_registrar_at_t2() -> None:
    bench = NodeBench(2)
    bench.element()
    first = bench.number_of(1)
    bench.accept(first)
    assert not [one for one in bench.wait(29.9) if isinstance(one, Dial)]
    bench.wait(0.2)
    assert Abort(first) in bench.actions
    assert bench.hosts() == [2]
    second = bench.accept()
    assert len(registrations(bench.actions)) == 2
    assert sent_to(bench.actions, second)


@pytest.mark.conformance("ASAP-3.1-14")
def test_answer_just_before_t2_stops_the_timer() -> None:
    bench = NodeBench(2)
    element = bench.element()
    first = bench.number_of(1)
    bench.accept(first)
    bench.wait(29.9)
    bench.grant(first, element)
    assert not bench.wait(200)
    assert element.state is ElementState.READY


@pytest.mark.conformance("ASAP-3.1-21", "ASAP-3.1-22")
def test_failed_attempts_are_counted_reported_and_repeated() -> None:
    bench = NodeBench(1)
    element = bench.element()
    times = []
    for _ in range(6):
        while not bench.dialled:
            bench.wait(0.1)
        bench.accept()
        while element.state is not ElementState.REG:
            bench.wait(0.1)
        times.append(bench.now / SECOND)
        bench.wait(30)
    reports = [one.attempts for one in bench.states() if "attempts have failed" in one.reason]
    assert reports == [3, 4, 5, 6]
    gaps = [later - earlier - 30 for earlier, later in pairwise(times)]
    assert all(gap <= 1.5 for gap in gaps[:2])
    assert all(4 <= gap <= 61 for gap in gaps[2:])
    while not bench.dialled:
        bench.wait(0.1)
    home = bench.accept()
    while element.state is not ElementState.REG:
        bench.wait(0.1)
    bench.grant(home, element)
    assert element.attempts == 0


@pytest.mark.conformance("ASAP-3.1-15", "ASAP-3.1-16")
def test_refused_element_waits_for_a_change() -> None:
    bench = NodeBench(2)
    element = bench.element()
    home = bench.number_of(1)
    bench.accept(home)
    bench.wait(0.1)
    bench.reject(home, element, Cause.INCONSISTENT_POOLING_POLICY)
    news = bench.states()[-1]
    assert (news.state, news.causes[0].code) == (ElementState.REFUSED, Cause.INCONSISTENT_POOLING_POLICY)
    assert not registrations(bench.wait(3600))
    assert not change(bench, element, policy=ROUND_ROBIN)
    (again,) = change(bench, element, policy=load(1))
    assert again.pool_element.policy == load(1)
    bench.grant(home, element)
    assert element.state is ElementState.READY


@pytest.mark.parametrize(
    "what",
    [{"policy": load(9)}, {"life": 100.0}, {"user_transport": SCTPTransport(port=8, addresses=SERVICE.addresses)}],
)
@pytest.mark.conformance("ASAP-3.1-17")
def test_every_change_is_registered(what: dict[str, object]) -> None:
    bench = NodeBench(1)
    _, element = bench.registered()
    (again,) = change(bench, element, **what)
    assert again.pool_element.identifier == 7
    assert again != registrations(bench.actions)[0]


@pytest.mark.conformance("ASAP-3.1-18")
def test_changes_during_a_registration_are_merged_into_the_next_one() -> None:
    bench = NodeBench(1)
    home, element = bench.registered(policy=load(0))
    (first,) = change(bench, element, policy=load(1))
    assert first.pool_element.policy == load(1)
    for value in range(2, 100):
        assert not change(bench, element, policy=load(value))
    bench.grant(home, element)
    assert [one.pool_element.policy.load for one in registrations(bench.actions)] == [0, 1, 99]
    bench.grant(home, element)
    assert element.state is ElementState.READY
    assert not registrations(bench.wait(270))


def test_fast_changes_are_limited_to_the_update_rate() -> None:
    bench = NodeBench(1, update_rate=5.0)
    home, element = bench.registered(policy=load(0))
    for value in range(1, 1001):
        if change(bench, element, policy=load(value)):
            bench.grant(home, element)
        if registrations(bench.wait(0.01)):
            bench.grant(home, element)
    seen = [one.pool_element.policy.load for one in registrations(bench.actions)]
    assert 40 <= len(seen) <= 60
    if registrations(bench.wait(0.3)):
        bench.grant(home, element)
    assert registrations(bench.actions)[-1].pool_element.policy == load(1000)


def test_refusal_of_outdated_values_leads_to_a_new_registration() -> None:
    bench = NodeBench(1)
    home = bench.accept()
    element = bench.element(policy=load(1))
    change(bench, element, policy=ROUND_ROBIN)
    bench.reject(home, element, Cause.INCONSISTENT_POOLING_POLICY)
    assert element.state is ElementState.REG
    assert registrations(bench.actions)[-1].pool_element.policy == ROUND_ROBIN


def test_changes_of_many_elements_share_the_rate() -> None:
    bench = NodeBench(1, update_rate=5.0)
    home = bench.accept()
    elements = [bench.element(number, policy=load(0)) for number in range(1, 65)]
    for element in elements:
        bench.grant(home, element)
    mark = len(bench.actions)
    for value in range(1, 101):
        for element in elements:
            element.change(bench.now, policy=load(value))
        for again in registrations(bench.drain()) + registrations(bench.wait(0.1)):
            bench.grant(home, bench.node.elements[POOL, again.pool_element.identifier])
    seen = registrations(bench.actions[mark:])
    assert 50 <= len(seen) <= 65, "10 seconds"
    assert len({one.pool_element.identifier for one in seen}) > 25


def test_elements_that_started_together_renew_at_different_times() -> None:
    bench = NodeBench(1)
    home = bench.accept()
    for number in range(1, 101):
        bench.grant(home, bench.element(number))
    most = 0
    for _ in range(280):
        again = registrations(bench.wait(1))
        most = max(most, len(again))
        for one in again:
            bench.grant(home, bench.node.elements[POOL, one.pool_element.identifier])
    assert 0 < most <= 20


@pytest.mark.conformance("ASAP-2.2.3-02", "PAR-3.12.1-01")
def test_warning_leaves_the_element_registered() -> None:
    bench = NodeBench(1)
    home = bench.accept()
    element = bench.element()
    bench.grant(home, element, WARNING)
    news = bench.states()[-1]
    assert (news.state, news.reason, news.causes) == (ElementState.READY, "the registrar warns", (WARNING,))


def test_lack_of_resources_leads_to_another_registrar_after_a_pause() -> None:
    bench = NodeBench(2)
    element = bench.element()
    first = bench.number_of(1)
    bench.accept(first)
    bench.wait(0.1)
    bench.reject(first, element, Cause.LACK_OF_RESOURCES)
    assert Abort(first) in bench.actions
    assert bench.hosts() == [2]
    second = bench.accept()
    assert not sent_to(bench.actions, second)
    bench.wait(10)
    assert len(sent_to(bench.actions, second)) == 1


def test_lack_of_resources_does_not_move_registered_elements() -> None:
    bench = NodeBench(2)
    bench.element(8)
    first = bench.number_of(1)
    bench.accept(first)
    bench.wait(0.1)
    bench.grant(first, bench.node.elements[POOL, 8])
    element = bench.element(7)
    bench.reject(first, element, Cause.LACK_OF_RESOURCES)
    assert bench.context.home is not None
    assert element.state is ElementState.HUNT
    assert not bench.wait(4.9)
    assert [one.pool_element.identifier for one in registrations(bench.wait(5.2))] == [7]


def test_random_identifier_that_is_taken_is_drawn_again() -> None:
    bench = NodeBench(1)
    home = bench.accept()
    element = bench.element(None)
    first = element.identifier
    bench.reject(home, element, Cause.NON_UNIQUE_PE_IDENTIFIER)
    assert element.identifier != first
    assert registrations(bench.actions)[-1].pool_element.identifier == element.identifier
    bench.grant(home, element)
    assert element.state is ElementState.READY
    assert list(bench.node.elements) == [(POOL, element.identifier)]
    assert {one.element for one in bench.states()} == {element.number}


def test_identifier_draws_are_limited_by_the_attempts() -> None:
    bench = NodeBench(1)
    home = bench.accept()
    element = bench.element(None)
    for _ in range(1000):
        bench.reject(home, element, Cause.NON_UNIQUE_PE_IDENTIFIER)
    assert len(registrations(bench.actions)) == 3
    assert len(registrations(bench.wait(300))) >= 1


def test_fixed_identifier_that_is_taken_is_refused() -> None:
    bench = NodeBench(1)
    home = bench.accept()
    element = bench.element(7)
    bench.reject(home, element, Cause.NON_UNIQUE_PE_IDENTIFIER)
    assert element.state is ElementState.REFUSED


def test_registered_element_keeps_its_identifier() -> None:
    bench = NodeBench(1)
    home, element = bench.registered(identifier=None)
    identifier = element.identifier
    change(bench, element, policy=load(1))
    bench.reject(home, element, Cause.NON_UNIQUE_PE_IDENTIFIER)
    assert (element.identifier, element.state) == (identifier, ElementState.REFUSED)


def test_only_the_answers_of_the_home_count() -> None:
    bench = NodeBench(1)
    home = bench.accept()
    element = bench.element()
    stranger = bench.incoming(9)
    bench.grant(stranger, element)
    bench.reject(stranger, element, Cause.INVALID_VALUES)
    assert element.state is ElementState.REG
    bench.grant(home, element)
    bench.release(stranger, element)
    assert element.state is ElementState.READY


def test_asap_error_is_treated_like_no_answer() -> None:
    bench = NodeBench(2)
    element = bench.element()
    first = bench.number_of(1)
    bench.accept(first)
    bench.wait(0.1)
    bench.receive(first, ERROR)
    assert Abort(first) in bench.actions
    assert bench.hosts() == [2]
    assert element.state is ElementState.HUNT
    assert bench.states()[-1].causes == ERROR.operation_error


@pytest.mark.conformance("ASAP-3.1-09", "ASAP-2.2.1-02", "ASAP-2.1-01")
def test_elements_register_over_sctp_for_every_user_transport() -> None:
    bench = NodeBench(places=[server(1, sctp=False), server(2, sctp=False), server(3)], tcp=True)
    assert len(bench.dialled) == 3
    bench.accept(next(number for number, dial in bench.dialled.items() if not dial.sctp))
    bench.wait(0.05)
    made = bench.node.add(POOL, UDPTransport(port=5, address=SERVICE.addresses[0]), ROUND_ROBIN)
    made.start(bench.now)
    bench.drain()
    bench.wait(2)
    assert [dial.sctp for dial in bench.dialled.values()] == [True]
    home = bench.accept()
    assert sent_to(bench.actions, home)
    assert all(sent_to(bench.actions, one) == [] for one in range(1, home))

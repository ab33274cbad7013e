"""Pool elements and their home registrar: deregistration and keep-alives (RFC 5352 3.2, 3.4)."""

from ipaddress import ip_address

import pytest

from rserpool.errors import Cause
from rserpool.messages import (
    Deregistration,
    EndpointKeepAliveAck,
    ErrorCause,
    HandleResolution,
    Registration,
    SCTPTransport,
)
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.client.actions import Dial
from rserpool.protocol.client.events import ElementState, HomeChanged
from tests.support.client_bench import (
    ERROR,
    POOL,
    SERVICE,
    NodeBench,
    change,
    deregister,
    in_state,
    load,
    registrations,
    sent_to,
)

# Deregistration


@pytest.mark.conformance("ASAP-2.2.2-01", "ASAP-3.2-02", "ASAP-3.2-03")
def test_element_deregisters_at_its_home() -> None:
    bench = NodeBench(1)
    home, element = bench.registered()
    assert deregister(bench, element) == [Deregistration(pool_handle=POOL, pe_identifier=7)]
    assert sent_to(bench.actions, home)
    bench.release(home, element)
    assert element.state is ElementState.IDLE
    assert not bench.wait(3600)


@pytest.mark.conformance("ASAP-3.2-04", "ASAP-3.2-05")
def test_unanswered_deregistration_is_repeated_at_another_registrar() -> None:
    bench = NodeBench(2)
    element = bench.element()
    first = bench.number_of(1)
    bench.accept(first)
    bench.wait(0.1)
    bench.grant(first, element)
    deregister(bench, element)
    assert not [one for one in bench.wait(29.9) if isinstance(one, Dial)]
    bench.wait(0.1)
    second = bench.accept()
    assert sent_to(bench.actions, second) == [Deregistration(pool_handle=POOL, pe_identifier=7)]
    bench.release(second, element)
    assert element.state is ElementState.IDLE


@pytest.mark.conformance("ASAP-3.2-06")
def test_late_duplicate_answers_are_ignored() -> None:
    bench = NodeBench(1)
    home, element = bench.registered()
    deregister(bench, element)
    bench.wait(29)
    bench.release(home, element)
    mark = len(bench.actions)
    bench.release(home, element)
    bench.grant(home, element)
    assert len(bench.actions) == mark
    assert not bench.wait(1000)


def test_refused_deregistration_leaves_the_element_registered() -> None:
    bench = NodeBench(1)
    home, element = bench.registered()
    deregister(bench, element)
    bench.release(home, element, ErrorCause(code=Cause.REJECTED_DUE_TO_SECURITY_CONSIDERATIONS))
    news = bench.states()[-1]
    assert (news.state, news.causes[0].code) == (ElementState.READY, Cause.REJECTED_DUE_TO_SECURITY_CONSIDERATIONS)
    assert registrations(bench.wait(280))


@pytest.mark.parametrize("state", [ElementState.IDLE, ElementState.HUNT, ElementState.REFUSED])
def test_element_that_was_never_registered_becomes_idle_at_once(state: ElementState) -> None:
    bench = NodeBench(1)
    if state is ElementState.HUNT:
        element = bench.element()
    else:
        bench, element = in_state(state)
    assert not deregister(bench, element)
    assert element.state is ElementState.IDLE


def test_deregistration_waits_for_a_home() -> None:
    bench = NodeBench(1)
    home, element = bench.registered()
    bench.refuse(home)
    assert not deregister(bench, element)
    bench.wait(1)
    second = bench.accept()
    assert sent_to(bench.actions, second) == [Deregistration(pool_handle=POOL, pe_identifier=7)]


@pytest.mark.conformance("ASAP-2.2.4-01")
def test_expired_registration_is_renewed_but_not_within_a_second_of_the_grant() -> None:
    bench = NodeBench(1)
    home, element = bench.registered()
    bench.wait(5)
    (again,) = bench.release(home, element)
    assert isinstance(again, Registration)
    bench.grant(home, element)
    assert not bench.release(home, element)
    assert registrations(bench.wait(1.01)), "a second after the grant"


# Keep-alives


@pytest.mark.conformance("ASAP-3.4-01", "ASAP-3.4-02", "ASAP-2.2.7-01", "ASAP-2.2.8-01")
@pytest.mark.parametrize("home_bit", [False, True])
def test_keep_alives_for_own_elements_are_acknowledged(home_bit: bool) -> None:
    bench = NodeBench(1)
    home, _ = bench.registered()
    acknowledgement = EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=7)
    assert bench.ask(home, 7, home=home_bit) == [acknowledgement]
    assert bench.ask(home, None, home=home_bit) == [acknowledgement]
    assert bench.ask(home, 8, home=home_bit) == []
    assert bench.ask(home, None, b"OtherPool", home=home_bit) == []


def test_keep_alive_without_identifier_is_acknowledged_by_every_element_of_the_pool() -> None:
    bench = NodeBench(1)
    home = bench.accept()
    for identifier, pool in ((1, POOL), (2, POOL), (3, b"OtherPool")):
        bench.grant(home, bench.element(identifier, pool))
    said = bench.ask(home, None)
    assert [one.pe_identifier for one in said] == [1, 2]  # type: ignore[attr-defined]


@pytest.mark.conformance("ASAP-3.4-03")
def test_keep_alive_of_another_registrar_is_acknowledged_over_its_association() -> None:
    bench = NodeBench(1)
    home, _ = bench.registered()
    stranger = bench.incoming(9)
    mark = len(bench.actions)
    bench.ask(stranger, 7)
    assert sent_to(bench.actions[mark:], stranger) == [EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=7)]
    assert bench.context.home is not None
    assert bench.context.home.number == home
    assert bench.context.home_identifier == 0


@pytest.mark.conformance("ASAP-3.4-04", "ASAP-2.2.7-02", "ASAP-1.1-02")
def test_registrar_that_takes_over_becomes_home() -> None:
    bench = NodeBench(1)
    home, element = bench.registered()
    stranger = bench.incoming(9)
    mark = len(bench.actions)
    bench.ask(stranger, 7, home=True)
    assert sent_to(bench.actions[mark:], stranger) == [EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=7)]
    assert Shutdown(home) in bench.actions
    assert element.state is ElementState.READY
    (again,) = registrations(bench.wait(3))
    assert sent_to(bench.actions, stranger)[-1] == again
    assert again.pool_element.home_identifier == 0x33333333
    bench.grant(stranger, element)
    assert bench.news(HomeChanged)[-1].home.identifier == 0x33333333  # type: ignore[union-attr]
    assert bench.states()[-1].home.identifier == 0x33333333


def test_registrar_that_takes_over_ends_the_hunt() -> None:
    bench = NodeBench(1)
    element = bench.element()
    stranger = bench.incoming(9)
    said = bench.ask(stranger, 7, home=True)
    assert [type(one) for one in said] == [EndpointKeepAliveAck, Registration]
    assert element.state is ElementState.REG
    assert len(bench.left) == 1


def test_keep_alive_of_the_home_reveals_its_identifier() -> None:
    bench = NodeBench(1)
    home, element = bench.registered()
    bench.ask(home, 7, server=0x44444444)
    assert bench.states()[-1].home.identifier == 0x44444444
    (again,) = change(bench, element, policy=load(3))
    assert again.pool_element.home_identifier == 0x44444444


def test_removed_element_does_not_acknowledge() -> None:
    bench = NodeBench(1)
    home, element = bench.registered()
    bench.node.remove(element)
    assert bench.ask(home, None) == []
    assert not bench.wait(1000)


def kept_alive(bench: NodeBench, home: int, times: int) -> None:
    for _ in range(times):
        bench.wait(5)
        bench.ask(home, 7)


def test_silent_home_is_probed_and_left() -> None:
    bench = NodeBench(2)
    element = bench.element()
    home = bench.number_of(1)
    bench.accept(home)
    bench.wait(0.1)
    bench.grant(home, element)
    kept_alive(bench, home, 4)
    assert not bench.wait(12)
    assert len(registrations(bench.wait(1))) == 1
    assert element.state is ElementState.REG
    bench.wait(30)
    assert Abort(home) in bench.actions
    assert bench.hosts() == [2]


def test_home_with_regular_keep_alives_is_not_probed() -> None:
    bench = NodeBench(1)
    home, element = bench.registered(reregister_every=10_000.0)
    for pause in (5, 60, 60, 60, 100, 140, 60):
        assert not bench.wait(pause)
        bench.ask(home, 7)
    assert not bench.wait(300)
    assert registrations(bench.wait(20))
    bench.grant(home, element)
    assert bench.context.counters["homes fallen silent"] == 1
    assert not bench.wait(1000)


def test_home_without_a_known_interval_may_be_silent() -> None:
    bench = NodeBench(1)
    home, _ = bench.registered(reregister_every=10_000.0)
    kept_alive(bench, home, 2)
    assert not bench.wait(1000)


# Element and user


@pytest.mark.conformance("ASAP-4-02", "ASAP-4-04", "ASAP-3.3-03")
def test_element_and_user_share_one_association() -> None:
    bench = NodeBench(1)
    home, _ = bench.registered()
    ticket = bench.resolve()
    assert isinstance(sent_to(bench.actions, home)[-1], HandleResolution)
    bench.answer(home, 3)
    (answer,) = bench.resolutions()
    assert (answer.ticket, answer.elements[0].identifier) == (ticket, 3)
    assert bench.ask(home, 7)


def test_asap_error_fails_the_oldest_request() -> None:
    bench = NodeBench(1)
    home, element = bench.registered()
    bench.resolve()
    change(bench, element, policy=load(3))
    bench.receive(home, ERROR)
    (answer,) = bench.resolutions()
    assert answer.causes == ERROR.operation_error
    assert element.state is ElementState.REG
    bench.receive(home, ERROR)
    assert element.state is ElementState.HUNT


def test_elements_of_several_pools_share_a_home() -> None:
    bench = NodeBench(1)
    elements = [bench.element(7, b"Pool%d" % number) for number in range(20)]
    home = bench.accept()
    assert {one.pool_handle for one in registrations(bench.actions)} == {b"Pool%d" % number for number in range(20)}
    for element in elements:
        bench.grant(home, element)
    bench.refuse(home)
    assert {element.state for element in elements} == {ElementState.HUNT}
    bench.wait(1)
    second = bench.accept()
    assert len(sent_to(bench.actions, second)) == 20


@pytest.mark.conformance("PAR-3-05", "PAR-3-04", "PAR-3-02", "PAR-3-03", "PAR-3.12.2-01")
@pytest.mark.parametrize(
    ("kind", "granted", "reports"), [(0x00FF, 0, 0), (0x40FF, 0, 1), (0x80FF, 1, 0), (0xC0FF, 1, 1)]
)
def test_unknown_parameters_are_handled_by_their_action_bits(kind: int, granted: int, reports: int) -> None:
    bench = NodeBench(1)
    home = bench.accept()
    element = bench.element()
    unknown = kind.to_bytes(2, "big") + b"\x00\x08what"
    octets = bytes.fromhex("030000 1c 0009000c4563686f506f6f6c 000e000800000007".replace(" ", ""))
    octets = octets[:2] + (len(octets) + len(unknown)).to_bytes(2, "big") + octets[4:] + unknown
    said = bench.receive(home, octets)
    assert (element.state is ElementState.READY) == bool(granted)
    assert [one.operation_error[0].information for one in said] == [unknown] * reports  # type: ignore[attr-defined]


def test_asap_errors_are_rate_limited() -> None:
    bench = NodeBench(1)
    home = bench.accept()
    bench.element()
    said = [one for _ in range(100) for one in bench.receive(home, b"\x4f\x00\x00\x04")]
    assert len(said) == 4
    assert bench.context.counters["errors not sent"] == 96


def test_ipv4_and_ipv6_addresses_are_registered_unchanged() -> None:
    bench = NodeBench(1)
    both = SCTPTransport(port=1, transport_use=1, addresses=(SERVICE.addresses[0], ip_address("2001:db8::1")))
    _, element = bench.registered()
    (again,) = change(bench, element, user_transport=both)
    assert again.pool_element.user_transport == both

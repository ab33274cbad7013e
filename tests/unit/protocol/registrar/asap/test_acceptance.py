"""Registrations: the stored pool elements, and the error causes of refusals."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from rserpool.errors import Cause
from rserpool.messages import (
    AsapError,
    Deregistration,
    DeregistrationResponse,
    HandleResolution,
    HandleResolutionResponse,
    OpaqueTransport,
    Policy,
    PolicyType,
    SCTPTransport,
    TCPTransport,
    Transport,
    UDPTransport,
)
from rserpool.model.addresses import Scope
from rserpool.protocol.actions import Send
from rserpool.protocol.registrar.actions import Update
from rserpool.settings.profile import RFC, RSPLIB
from tests.support.bench import (
    HOST,
    OTHER_HOST,
    POOL,
    SERVICE,
    Bench,
    answers,
    cause_of,
    registration,
)


@pytest.mark.conformance("ASAP-3.1-31", "ASAP-3.1-36", "ASAP-3.1-37", "PAR-3.10-02", "ENRP-3.3.1-02")
def test_peers_get_the_update_with_the_asap_transport_before_the_registrant_its_answer() -> None:
    bench = Bench()
    number = bench.associate()
    update, answer = bench.send(number, registration())
    assert isinstance(update, Update)
    assert isinstance(answer, Send)
    stored = bench.space.find(POOL, 1)
    assert stored is not None
    assert update == Update(True, POOL, stored.parameter)
    transport = SCTPTransport(port=17777, transport_use=0, addresses=(HOST,))
    assert stored.asap_transport == transport.encode()
    bench.register(number, 2)
    refused = bench.send(number, registration(3, policy=Policy(policy_type=PolicyType.RANDOM, values=())))
    assert not [action for action in refused if isinstance(action, Update)]


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"registration_life": 0}, Cause.INVALID_VALUES),
        ({"registration_life": -2}, Cause.INVALID_VALUES),
        ({"registration_life": -(2**31)}, Cause.INVALID_VALUES),
        ({"policy": Policy(policy_type=0x80000001, values=())}, Cause.INVALID_VALUES),
        ({"user_transport": replace(SERVICE, port=0)}, Cause.INVALID_VALUES),
        ({"user_transport": replace(SERVICE, transport_use=2)}, Cause.INVALID_VALUES),
        ({"user_transport": replace(SERVICE, addresses=(ip_address("127.0.0.1"),))}, Cause.INVALID_VALUES),
        ({"user_transport": replace(SERVICE, addresses=(ip_address("224.0.0.1"),))}, Cause.INVALID_VALUES),
        ({"user_transport": UDPTransport(port=53, address=OTHER_HOST)}, Cause.INVALID_VALUES),
    ],
)
@pytest.mark.conformance("PAR-3.4-03", "POL-7.1-02", "ASAP-3.1-32", "ASAP-3.1-33")
def test_invalid_registrations_are_refused_and_store_nothing(changes: dict[str, Any], cause: Cause) -> None:
    bench = Bench()
    answer = bench.register(bench.associate(), **changes)
    assert answer.reject
    assert cause_of(answer) == cause
    assert len(bench.space) == 0
    assert bench.wheel.next_expiry() is None


@pytest.mark.parametrize("policy_type", ["00000000", "40000000"])
@pytest.mark.conformance("POL-7.1-01")
def test_reserved_policy_types_are_invalid(policy_type: str) -> None:
    bench = Bench()
    number = bench.associate()
    octets = registration().encode()
    data = octets[:-4] + bytes.fromhex(policy_type)
    error = answers(bench.send(number, data))[0]
    assert isinstance(error, AsapError)
    assert error.operation_error[0].information == bytes.fromhex("00080008" + policy_type)
    assert cause_of(error) == Cause.INVALID_VALUES
    assert len(bench.space) == 0


@pytest.mark.parametrize("identifier", [0, 0xFFFFFFFF])
def test_identifier_0_is_refused_and_the_largest_is_accepted(identifier: int) -> None:
    bench = Bench()
    assert bench.register(bench.associate(), identifier).reject == (identifier == 0)


@pytest.mark.parametrize("life", [1, 2**31 - 1, -1])
def test_valid_registration_lives_are_stored_unchanged(life: int) -> None:
    bench = Bench()
    number = bench.associate()
    assert not bench.register(number, registration_life=life).reject
    stored = bench.space.find(POOL, 1)
    assert stored is not None
    assert stored.registration_life == life


@pytest.mark.parametrize(
    "transport",
    [
        TCPTransport(port=80, address=HOST),
        UDPTransport(port=53, address=HOST),
        OpaqueTransport(value=b"abcde"),
        replace(SERVICE, transport_use=1),
    ],
)
@pytest.mark.conformance("PAR-2-02", "PAR-3.6-01", "PAR-3.16-01", "PAR-3.4-02")
def test_user_transports_are_resolved_as_registered(transport: Transport) -> None:
    bench = Bench()
    number = bench.associate()
    assert not bench.register(number, user_transport=transport).reject
    answer = answers(bench.send(number, HandleResolution(pool_handle=POOL)))[0]
    assert isinstance(answer, HandleResolutionResponse)
    assert answer.pool_elements[0].user_transport == transport


def test_addresses_that_are_not_the_associations_are_dropped() -> None:
    bench = Bench()
    foreign = ip_address("192.0.2.99")
    bench.register(bench.associate(), user_transport=replace(SERVICE, addresses=(foreign, HOST)))
    stored = bench.space.find(POOL, 1)
    assert stored is not None
    assert stored.user_transport == SERVICE.encode()


def test_loopback_addresses_are_accepted_only_with_loopback_scope() -> None:
    loopback = ip_address("127.0.0.1")
    for scope, refused in ((Scope.LOOPBACK, False), (Scope.SITE_LOCAL, True)):
        bench = Bench(address_scope=scope)
        answer = bench.register(bench.associate(loopback), user_transport=replace(SERVICE, addresses=(loopback,)))
        assert answer.reject == refused


@pytest.mark.conformance("PAR-3.12.5-01")
def test_an_identifier_that_another_host_holds_is_refused_as_not_unique() -> None:
    bench = Bench()
    first, same_host, other_host = bench.associate(), bench.associate(), bench.associate(OTHER_HOST)
    bench.register(first)
    elsewhere = replace(SERVICE, addresses=(OTHER_HOST,))
    hijack = bench.register(other_host, user_transport=elsewhere)
    assert hijack.reject
    assert cause_of(hijack) == Cause.NON_UNIQUE_PE_IDENTIFIER
    assert not bench.register(same_host).reject
    stored = bench.space.find(POOL, 1)
    assert stored is not None
    assert stored.connection == same_host
    bench.asap.lost(first, bench.now)
    assert len(bench.space) == 1
    bench.asap.lost(same_host, bench.now)
    assert not bench.register(other_host, user_transport=elsewhere).reject


def test_the_rsplib_profile_refuses_policies_that_would_crash_an_rsplib_peer() -> None:
    weightless = Policy(policy_type=PolicyType.WEIGHTED_RANDOM, values=(0,))
    unencodable = Policy(policy_type=PolicyType.PRIORITY_LEAST_USED_WITH_DPF, values=(0, 0, 0, 0))
    for profile, refused in ((RFC, False), (RSPLIB, True)):
        bench = Bench(profile=profile)
        number = bench.associate()
        life = {"registration_life": 300_000}
        assert bench.register(number, 1, b"a" * 33, **life).reject == refused
        assert bench.register(number, 2, b"b" * 32, **life).reject is False
        assert bench.register(number, 3, b"weightless", policy=weightless, **life).reject == refused
        assert bench.register(number, 4, b"dpf", policy=unencodable, **life).reject == refused
        one = replace(weightless, values=(1,))
        bench.register(number, 5, b"weight", policy=one, **life)
        assert bench.register(number, 5, b"weight", policy=weightless, **life).reject == refused


def test_the_registration_life_is_in_the_profiles_unit() -> None:
    bench = Bench(profile=RSPLIB, keep_alive_interval=1000.0)
    number = bench.associate()
    bench.register(number, registration_life=15_000)
    assert not answers(bench.wait(14.9))
    assert isinstance(answers(bench.wait(0.2))[0], DeregistrationResponse)
    assert len(bench.space) == 0


def test_delay_penalty_policies_get_the_measured_distance_to_the_element() -> None:
    bench = Bench()
    number = bench.associate(rtt=0.21)
    policy = Policy(policy_type=PolicyType.LEAST_USED_WITH_DPF, values=(5, 6, 0))
    for load in (5, 7):
        bench.register(number, policy=replace(policy, values=(load, 6, 0)))
        stored = bench.space.find(POOL, 1)
        assert stored is not None
        assert stored.policy_parameter == replace(policy, values=(load, 6, 100)).encode()


@pytest.mark.conformance("ASAP-3.1-11")
def test_an_asap_transport_in_a_registration_is_replaced_by_the_associations() -> None:
    bench = Bench()
    claimed = SCTPTransport(port=1, addresses=(OTHER_HOST,))
    assert not bench.register(bench.associate(), asap_transport=claimed).reject
    stored = bench.space.find(POOL, 1)
    assert stored is not None
    assert stored.asap_transport == SCTPTransport(port=17777, addresses=(HOST,)).encode()


@pytest.mark.conformance("ASAP-3.2-14", "ASAP-3.2-15")
def test_peers_get_one_update_on_a_deregistration() -> None:
    bench = Bench()
    number = bench.associate()
    bench.register(number)
    stored = bench.space.find(POOL, 1)
    assert stored is not None
    parameter = stored.parameter
    removal = Deregistration(pool_handle=POOL, pe_identifier=1)
    assert bench.send(number, removal)[0] == Update(False, POOL, parameter)
    assert not [action for action in bench.send(number, removal) if isinstance(action, Update)]


@pytest.mark.conformance("REQ-3237-2.7-01")
def test_one_association_serves_several_pools() -> None:
    bench = Bench()
    number = bench.associate()
    bench.register(number, 1, b"A")
    bench.register(number, 1, b"B")
    bench.send(number, Deregistration(pool_handle=b"A", pe_identifier=1))
    assert bench.listed(number, b"B") == [1]


@pytest.mark.conformance("ASAP-4-03", "ASAP-5-01")
def test_two_messages_in_one_are_reported_as_an_error_and_change_nothing() -> None:
    bench = Bench()
    number = bench.associate()
    twice = registration(1).encode() + registration(2).encode()
    assert isinstance(answers(bench.send(number, twice))[0], AsapError)
    assert len(bench.space) == 0

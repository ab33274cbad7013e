"""The registrar's ASAP without input and output: bounds, hostile input, and what no scenario shows."""

from dataclasses import replace
from ipaddress import ip_address
from random import Random

import pytest

from rserpool._fast.handlespace import Handlespace
from rserpool._fast.wheel import Wheel
from rserpool.errors import Cause
from rserpool.limits import Limits
from rserpool.messages import (
    AsapError,
    AsapMessage,
    Deregistration,
    DeregistrationResponse,
    EndpointKeepAlive,
    EndpointKeepAliveAck,
    EndpointUnreachable,
    HandleResolution,
    HandleResolutionResponse,
    OpaqueTransport,
    Policy,
    PolicyType,
    PoolElement,
    Registration,
    RegistrationResponse,
    SCTPTransport,
    TCPTransport,
    Transport,
    UDPTransport,
    decode,
)
from rserpool.profile import RFC, RSPLIB
from rserpool.protocol.actions import Abort, Action, Announce, Note, Send, Update
from rserpool.protocol.asap import AsapRegistrar
from rserpool.protocol.association import Peer
from rserpool.settings import Scope, Settings

OWN = 0x22222222
HOST = ip_address("10.44.0.1")
OTHER_HOST = ip_address("10.44.0.2")
SECOND = 1_000_000
ROUND_ROBIN = Policy(policy_type=PolicyType.ROUND_ROBIN, values=())
SERVICE = SCTPTransport(port=7777, transport_use=0, addresses=(HOST,))
POOL = b"EchoPool"


class Bench:
    """A registrar and a hand on its clock."""

    def __init__(self, **changes: object) -> None:
        limits = {name: value for name, value in changes.items() if name in Limits.__dataclass_fields__}
        rest = {name: value for name, value in changes.items() if name not in limits}
        settings = Settings(identifier=OWN, limits=Limits(**limits), **rest)  # type: ignore[arg-type]
        self.now = 0
        wheel = Wheel(0)
        self.space = Handlespace(OWN, seed=1, wheel=wheel)
        self.asap = AsapRegistrar(settings, self.space, wheel, Random(1))
        self.wheel = wheel
        self.associations = 0

    def associate(self, host: object = HOST, *, sctp: bool = True, rtt: float | None = None) -> int:
        self.associations += 1
        peer = Peer(addresses=(host,), port=17777, sctp=sctp, round_trip=lambda: rtt)  # type: ignore[arg-type]
        assert not self.asap.associated(self.associations, peer, self.now)
        return self.associations

    def send(self, number: int, message: AsapMessage | bytes) -> list[Action]:
        data = message if isinstance(message, bytes) else message.encode()
        actions = self.asap.received(number, data, self.now)
        self.space._check()
        return actions

    def register(
        self, number: int, identifier: int = 1, handle: bytes = POOL, **changes: object
    ) -> RegistrationResponse:
        answer = answers(self.send(number, registration(identifier, handle, **changes)))[-1]
        assert isinstance(answer, RegistrationResponse)
        return answer

    def wait(self, seconds: float) -> list[Action]:
        """Let time pass, expiry by expiry."""
        end = self.now + round(seconds * SECOND)
        actions: list[Action] = []
        while (due := self.wheel.next_expiry()) is not None and due <= end:
            self.now = max(due, self.now)
            actions += self.asap.advance(self.now)
        self.now = end
        return actions

    def listed(self, number: int, handle: bytes = POOL) -> list[int]:
        answer = answers(self.send(number, HandleResolution(pool_handle=handle)))[0]
        assert isinstance(answer, HandleResolutionResponse)
        return [element.identifier for element in answer.pool_elements]


def registration(identifier: int = 1, handle: bytes = POOL, **changes: object) -> Registration:
    element = PoolElement(
        identifier=identifier, home_identifier=0, registration_life=300, user_transport=SERVICE, policy=ROUND_ROBIN
    )
    return Registration(pool_handle=handle, pool_element=replace(element, **changes))  # type: ignore[arg-type]


def answers(actions: list[Action]) -> list[AsapMessage]:
    return [decode(action.data, "asap") for action in actions if isinstance(action, Send)]  # type: ignore[misc]


def cause_of(answer: object) -> int:
    (cause,) = answer.operation_error  # type: ignore[attr-defined]
    return int(cause.code)


# Registration


@pytest.mark.conformance("ASAP-3.1-31", "ASAP-3.1-36", "ASAP-3.1-37", "PAR-3.10-02", "ENRP-3.3.1-02")
def test_peers_hear_of_a_registration_before_the_registrant_and_with_the_asap_transport() -> None:
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
def test_impossible_registrations_are_refused_and_leave_nothing(changes: dict[str, object], cause: Cause) -> None:
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
def test_identifier_0_is_refused_and_the_largest_is_not(identifier: int) -> None:
    bench = Bench()
    assert bench.register(bench.associate(), identifier).reject == (identifier == 0)


@pytest.mark.parametrize("life", [1, 2**31 - 1, -1])
def test_lives_that_are_taken_as_they_are(life: int) -> None:
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
def test_user_transports_come_back_as_registered(transport: Transport) -> None:
    bench = Bench()
    number = bench.associate()
    assert not bench.register(number, user_transport=transport).reject
    answer = answers(bench.send(number, HandleResolution(pool_handle=POOL)))[0]
    assert isinstance(answer, HandleResolutionResponse)
    assert answer.pool_elements[0].user_transport == transport


def test_addresses_that_are_not_the_associations_are_left_out() -> None:
    bench = Bench()
    foreign = ip_address("192.0.2.99")
    bench.register(bench.associate(), user_transport=replace(SERVICE, addresses=(foreign, HOST)))
    stored = bench.space.find(POOL, 1)
    assert stored is not None
    assert stored.user_transport == SERVICE.encode()


def test_loopback_only_where_the_scope_allows_it() -> None:
    loopback = ip_address("127.0.0.1")
    for scope, refused in ((Scope.LOOPBACK, False), (Scope.SITE_LOCAL, True)):
        bench = Bench(address_scope=scope)
        answer = bench.register(bench.associate(loopback), user_transport=replace(SERVICE, addresses=(loopback,)))
        assert answer.reject == refused


@pytest.mark.conformance("PAR-3.12.5-01")
def test_an_identifier_that_another_host_holds_is_not_unique() -> None:
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


def test_the_rsplib_profile_refuses_what_would_end_an_rsplib_peer() -> None:
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


def test_the_distance_to_the_element_is_measured_for_delay_penalty_policies() -> None:
    bench = Bench()
    number = bench.associate(rtt=0.21)
    policy = Policy(policy_type=PolicyType.LEAST_USED_WITH_DPF, values=(5, 6, 0))
    for load in (5, 7):
        bench.register(number, policy=replace(policy, values=(load, 6, 0)))
        stored = bench.space.find(POOL, 1)
        assert stored is not None
        assert stored.policy_parameter == replace(policy, values=(load, 6, 100)).encode()


# Bounds


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


def test_a_registration_flood_gets_cause_6_and_at_last_an_abort() -> None:
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


def test_a_resolution_flood_gets_cause_6() -> None:
    bench = Bench(resolution_burst=3, resolution_rate=1.0)
    number = bench.associate()
    bench.register(number)
    assert [bool(bench.listed(number)) for _ in range(5)] == [True, True, True, False, False]
    answer = answers(bench.send(number, HandleResolution(pool_handle=POOL)))[0]
    assert cause_of(answer) == Cause.LACK_OF_RESOURCES
    bench.now += SECOND
    assert bench.listed(number) == [1]


@pytest.mark.conformance("SEC-9.2-11", "SEC-9.2-10")
def test_reports_cannot_flood_an_element_nor_remove_it_at_once() -> None:
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


def test_one_reporter_cannot_remove_an_element_by_insisting() -> None:
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
    assert bench.listed(number) == [1], "a re-registration starts the count anew"


def test_reports_of_what_is_not_there_do_nothing() -> None:
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


def test_changes_of_a_pool_are_pushed_together() -> None:
    bench = Bench(keep_alive_interval=1000.0)
    number, user = bench.associate(), bench.associate()
    bench.register(number, 1)
    bench.send(user, HandleResolution(subscribe=True, pool_handle=POOL))
    for identifier in range(2, 12):
        bench.register(number, identifier)
    (pushed,) = answers(bench.wait(5))
    assert isinstance(pushed, HandleResolutionResponse)
    assert len(pushed.pool_elements) == 11


# Liveness


@pytest.mark.conformance("ASAP-3.5-13")
def test_keep_alives_are_spread() -> None:
    bench = Bench(registration_burst=100, elements_per_association=100, keep_alive_interval=10.0)
    number = bench.associate()
    for identifier in range(1, 51):
        bench.register(number, identifier)
    per_slot: dict[int, int] = {}
    for _ in range(200):
        sent = len(answers(bench.wait(0.1)))
        per_slot[bench.now // (SECOND // 10)] = sent
    assert sum(per_slot.values()) == 50
    assert max(per_slot.values()) <= 10


def test_only_the_elements_own_association_acknowledges() -> None:
    bench = Bench(keep_alive_interval=2.0, keep_alive_timeout=1.0)
    number, stranger = bench.associate(), bench.associate()
    bench.register(number)
    (probe,) = answers(bench.wait(3.0))
    assert isinstance(probe, EndpointKeepAlive)
    bench.send(stranger, EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1))
    actions = bench.wait(1.0)
    assert len(bench.space) == 0
    assert Abort(number) in actions, "nothing of the silent association is left"


def test_a_silent_element_does_not_take_its_living_neighbours_association() -> None:
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


@pytest.mark.conformance("ASAP-3.5-12", "ENRP-3.3.2-01")
def test_a_lost_association_takes_its_elements_and_peers_are_told() -> None:
    bench = Bench()
    number, other = bench.associate(), bench.associate()
    bench.register(number, 1)
    bench.register(number, 2)
    bench.register(other, 3)
    updates = [action for action in bench.asap.lost(number, 0) if isinstance(action, Update)]
    assert [update.added for update in updates] == [False, False]
    assert bench.listed(other) == [3]


# The two ways


def test_the_fast_lane_and_the_readable_way_end_alike() -> None:
    least_used = Policy(policy_type=PolicyType.LEAST_USED, values=(5,))
    benches = []
    for slow in (False, True):
        bench = Bench()
        number = bench.associate()
        if slow:
            bench.asap.handlespace = WithoutFastLane(bench.space)  # type: ignore[assignment]
        said = []
        for load in (5, 5, 9, 1):
            said.append(bench.send(number, registration(policy=replace(least_used, values=(load,)))))
        bench.send(number, EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1))
        said.append(bench.send(number, HandleResolution(pool_handle=POOL)))
        said.append(bench.send(number, HandleResolution(pool_handle=POOL, items=1)))
        bench.wait(100)
        benches.append((said, bench.space.find(POOL, 1), bench.asap.counters))
    assert benches[0][0] == benches[1][0]
    assert benches[0][2] == benches[1][2]


class WithoutFastLane:
    """A handlespace that has no fast lane."""

    def __init__(self, space: Handlespace) -> None:
        self._space = space

    def answer(self, data: bytes, connection: int, now: int) -> None:
        return None

    def __getattr__(self, name: str) -> object:
        return getattr(self._space, name)


# Noise


def test_messages_that_a_registrar_does_not_take_are_noted_only() -> None:
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


def test_errors_are_not_sent_without_end() -> None:
    bench = Bench(errors_burst=4, errors_per_second=1.0)
    number = bench.associate()
    bad = bytes.fromhex("050000100009ffff4563686f506f6f6c")
    sent = sum(len(answers(bench.send(number, bad))) for _ in range(100))
    assert sent == 4
    assert bench.asap.counters["malformed messages"] == 100


def test_an_unknown_association_or_nothing_at_all_is_nothing() -> None:
    bench = Bench()
    assert bench.asap.received(77, registration().encode(), 0) == []
    assert bench.send(bench.associate(), b"") == []


# Announcements


@pytest.mark.conformance("ASAP-3.6-01")
def test_the_announcement_period_grows_with_other_registrars_heard() -> None:
    bench = Bench()
    bench.asap.start(0, (HOST,), 3863, (), 3863)

    def announcements(seconds: float) -> int:
        return sum(isinstance(action, Announce) for action in bench.wait(seconds))

    assert announcements(10) == 10
    for server in range(2, 6):
        bench.asap.announcing.heard(server, bench.now)
    bench.asap.announcing.heard(OWN, bench.now)
    bench.wait(1)
    assert announcements(5) == 1
    assert 8 <= announcements(10) <= 10, "registrars that fell silent do not count"


def test_forged_announcers_cannot_silence_the_registrar() -> None:
    bench = Bench(announcements=8)
    bench.asap.start(0, (HOST,), 3863, (), 3863)
    for server in range(2, 10_000):
        bench.asap.announcing.heard(server, bench.now)
    assert bench.asap.announcing.period(bench.now, 0.5) == 9 * SECOND


def test_a_flood_of_announcements_is_dropped_unread() -> None:
    bench = Bench(announcement_rate=10.0)
    assert [bench.asap.announcing.within_rate(0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert bench.asap.announcing.within_rate(SECOND)


def test_the_rsplib_profile_keeps_announcing_every_second() -> None:
    bench = Bench(profile=RSPLIB)
    for server in range(2, 10):
        bench.asap.announcing.heard(server, bench.now)
    periods = [bench.asap.announcing.period(bench.now, draw) for draw in (0.0, 0.5, 0.999)]
    assert periods[0] == 875_000
    assert periods[1] == SECOND
    assert 1_120_000 < periods[2] < 1_125_000

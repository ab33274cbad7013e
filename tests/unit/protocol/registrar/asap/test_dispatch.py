"""The registrar's ASAP without input and output: liveness, noise, announcements, and its two ways."""

from dataclasses import replace

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
from rserpool.protocol.registrar.actions import Announce, Update
from rserpool.settings.profile import RSPLIB
from tests.support.bench import (
    HOST,
    OTHER_HOST,
    OWN,
    POOL,
    ROUND_ROBIN,
    SECOND,
    Bench,
    answers,
    registration,
)


@pytest.mark.conformance("ASAP-3.5-13")
def test_keep_alives_are_spread() -> None:
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


@pytest.mark.parametrize("reported", [False, True])
def test_an_element_that_is_held_for_dead_is_told(reported: bool) -> None:
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
    (told,) = [answer for answer in answers(actions) if isinstance(answer, DeregistrationResponse)]
    assert told == DeregistrationResponse(pool_handle=POOL, pe_identifier=2)
    assert Send(number, told.encode()) in actions


@pytest.mark.conformance("ASAP-3.5-07", "ASAP-3.5-12", "ENRP-3.3.2-01")
def test_a_lost_association_takes_its_elements_and_peers_are_told() -> None:
    bench = Bench()
    number, other = bench.associate(), bench.associate()
    bench.register(number, 1)
    bench.register(number, 2)
    bench.register(other, 3)
    updates = [action for action in bench.asap.lost(number, 0) if isinstance(action, Update)]
    assert [update.added for update in updates] == [False, False]
    assert bench.listed(other) == [3]


def test_the_fast_lane_and_the_readable_way_end_alike() -> None:
    least_used = Policy(policy_type=PolicyType.LEAST_USED, values=(5,))
    benches = []
    for slow in (False, True):
        bench = Bench()
        number = bench.associate()
        if slow:
            bench.asap.associations[number].lane = NoLane()  # type: ignore[assignment]
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


class NoLane:
    """Leaves everything to the readable way."""

    def answer(self, data: bytes, now: int) -> None:
        return None


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

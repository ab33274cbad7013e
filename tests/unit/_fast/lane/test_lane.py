"""An association's fast lane: streams of messages, rate limits, and messages that it declines."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace, Timer
from rserpool._fast.lane.lane import Lane, LaneContext
from rserpool._fast.lane.registration import Registrant
from tests.support import elements as e
from tests.support.lanes import LIMITS

OWN, SECONDS, LINE = 7, 1000.0, 33
NOW = round(SECONDS * 1e6)
ECHO = e.handle_parameter(b"Echo1")
RESOLVE = e.message(5, ECHO)
UNKNOWN = e.message(5, e.handle_parameter(b"Nobody"))
ACK = e.message(8, ECHO, e.identifier_parameter(1))


class LaneWorld:
    """A lane and the objects that it uses."""

    def __init__(self, rate: float = 1000.0) -> None:
        self.space = Handlespace(OWN, seed=1, wheel=Wheel(NOW))
        for identifier in (1, 2, 3):
            octets = e.element(identifier, e.LU, (identifier,), asap=e.sctp(9))
            self.space.register(b"Echo1", octets, home=OWN, connection=LINE)
        self.registrations, self.resolutions = Bucket(rate, rate, NOW), Bucket(rate, rate, NOW)
        self.subscriptions: set[bytes] = set()
        self.unconfirmed: set[object] = set()
        self.claims: dict[object, object] = {}
        self.context = LaneContext(self.space, LIMITS, self.unconfirmed, self.claims)
        self.lane = Lane(
            self.context, LINE, Registrant(b"", b""), self.registrations, self.resolutions, self.subscriptions
        )

    def counted(self) -> tuple[int, int, int, int]:
        """Resolutions, acknowledgements, re-registrations and registrations served."""
        counters = self.context.counters
        return counters.resolutions, counters.acknowledgements, counters.reregistrations, counters.registrations

    def left(self, bucket: Bucket) -> int:
        return sum(bucket.take(NOW) for _ in range(2000))


def renewal(load: int) -> bytes:
    return e.message(1, ECHO, e.element(1, e.LU, (load,)))


@given(st.lists(st.sampled_from([RESOLVE, ACK, renewal(5), renewal(6), UNKNOWN]), max_size=6), st.integers(0, 300))
def test_stream_is_served_like_its_single_messages(messages: list[bytes], cut: int) -> None:
    together, apart = LaneWorld(), LaneWorld()
    stream = b"".join(messages)
    stream = stream[: max(0, len(stream) - cut)]
    expected, at = [], 0
    for message in messages:
        if message == UNKNOWN or at + len(message) > len(stream):
            break
        answer = apart.lane.answer(message, NOW)
        assert answer is not None
        expected.append(answer)
        at += len(message)
    assert together.lane.serve(stream, SECONDS) == (b"".join(expected), at)
    assert together.counted() == apart.counted()
    assert together.left(together.resolutions) == apart.left(apart.resolutions)


@pytest.mark.parametrize("garbage", [b"", b"\5", b"\5\0\0", b"\5\0\0\3", b"\5\0\0\0" * 8, b"\xff" * 100, RESOLVE[:-1]])
def test_incomplete_or_malformed_messages_are_declined(garbage: bytes) -> None:
    world = LaneWorld()
    answers, served = world.lane.serve(RESOLVE + garbage, SECONDS)
    assert (served, bool(answers)) == (len(RESOLVE), True)
    assert world.lane.serve(garbage, SECONDS) == (b"", 0)
    assert world.counted() == (1, 0, 0, 0)
    assert world.counted() == (1, 0, 0, 0), "reading the counters has no side effect"


def watch(world: LaneWorld) -> None:
    world.subscriptions.add(b"Echo1")


@pytest.mark.parametrize("message", [ACK, renewal(7)])
def test_taken_over_element_is_confirmed_by_its_first_message(message: bytes) -> None:
    world = LaneWorld()
    world.unconfirmed |= {(b"Echo1", 1), (b"Echo1", 2)}
    assert world.lane.answer(message, NOW) is not None
    assert world.unconfirmed == {(b"Echo1", 2)}
    assert world.space.updated == [(b"Echo1", 1)]
    world.space.updated.clear()
    assert world.lane.answer(ACK, NOW) is not None
    assert not world.space.updated


def claim(world: LaneWorld) -> None:
    world.claims[b"Other", 9] = (8, b"")


@pytest.mark.parametrize(("disturb", "message"), [(watch, RESOLVE), (claim, ACK)])
def test_lane_declines_messages_with_subscriptions_or_claims(
    disturb: Callable[[LaneWorld], None], message: bytes
) -> None:
    world = LaneWorld()
    assert world.lane.answer(message, NOW) is not None
    disturb(world)
    assert world.lane.answer(message, NOW) is None
    assert world.lane.serve(message, SECONDS) == (b"", 0)
    assert world.lane.answer(message, NOW) is None
    assert world.lane.answer(renewal(9), NOW) is not None


@pytest.mark.parametrize("message", [RESOLVE, renewal(9)])
def test_lane_declines_messages_beyond_the_rate(message: bytes) -> None:
    world = LaneWorld(rate=2)
    _, served = world.lane.serve(message * 5, SECONDS)
    assert served == 2 * len(message)
    assert world.lane.answer(message, NOW + 400_000) is None
    assert world.lane.answer(message, NOW + 600_000) is not None


def test_declined_messages_take_nothing_from_the_rates() -> None:
    world = LaneWorld(rate=10)
    for _ in range(50):
        assert world.lane.answer(UNKNOWN, NOW) is None
        assert world.lane.answer(e.message(1, e.handle_parameter(b"New"), e.element(1, e.LU, (1,))), NOW) is None
    assert world.left(world.resolutions) == world.left(world.registrations) == 10


def test_renewed_is_called_before_the_answer_goes_out() -> None:
    world = LaneWorld()
    calls: list[list[object]] = []

    def renewed() -> None:
        calls.append(list(world.space.updated))
        world.space.updated.clear()

    world.lane.renewed = renewed
    answers, _ = world.lane.serve(RESOLVE + renewal(5) + ACK + renewal(6), SECONDS)
    assert calls == [[(b"Echo1", 1)], [(b"Echo1", 1)]]
    assert answers.count(e.identifier_parameter(1)) == 2


def test_renewals_are_recorded_only_while_record_renewals_is_set() -> None:
    world, recorded = LaneWorld(), LaneWorld()
    world.space.record_renewals = False
    calls: list[None] = []
    world.lane.renewed = lambda: calls.append(None)
    requests = renewal(5) + RESOLVE + renewal(6)
    assert world.lane.serve(requests, SECONDS) == recorded.lane.serve(requests, SECONDS)
    assert recorded.space.updated == 2 * [(b"Echo1", 1)]
    assert not world.space.updated
    assert not calls


def test_answers_to_one_read_are_bounded() -> None:
    world = LaneWorld(rate=1e9)
    for identifier in range(4, 1000):
        world.space.register(b"Echo1", e.element(identifier, e.LU, (identifier,)), home=OWN, connection=LINE)
    answers, served = world.lane.serve(RESOLVE * 1000, SECONDS)
    assert 1 << 18 <= len(answers) < 2 << 18
    assert served < 10 * len(RESOLVE)


def test_used_is_set_by_served_messages_only() -> None:
    world = LaneWorld()
    assert not world.lane.used
    world.lane.answer(UNKNOWN, NOW)
    assert not world.lane.used
    world.lane.answer(ACK, NOW)
    assert world.lane.used


def test_renewed_is_called_if_a_timer_expires_before_the_announced_time() -> None:
    world = LaneWorld()
    calls: list[int | None] = []
    world.lane.renewed = lambda: calls.append(world.space.wheel.next_expiry())
    world.lane.serve(ACK, SECONDS)
    assert not calls, "no expiry has been announced yet"
    world.space.arm(b"Echo1", 1, Timer.KEEP_ALIVE, NOW + 10**9)
    announced = world.space.wheel.next_expiry()
    assert announced is not None
    world.lane.serve(RESOLVE, SECONDS)
    assert not calls
    world.lane.serve(ACK, SECONDS)
    (next_expiry,) = calls
    assert next_expiry is not None
    assert next_expiry < announced
    world.lane.serve(RESOLVE, SECONDS)
    assert len(calls) == 1, "the expiry was announced by the previous call"


def test_answer_declines_a_message_that_serve_has_just_declined() -> None:
    world = LaneWorld(rate=1)
    assert world.lane.serve(RESOLVE * 2, SECONDS)[1] == len(RESOLVE)
    assert world.lane.declined
    assert world.context.counters.declined == 1
    assert world.lane.answer(RESOLVE, NOW + 10**6) is None, "still declined, although the rate would allow it now"
    assert not world.lane.declined
    assert world.lane.answer(RESOLVE, NOW + 10**6) is not None

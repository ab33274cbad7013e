"""The timers of pool elements, postponed, advanced and disarmed, against a table of their deadlines."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace, Timer
from tests.support import elements as e

OWN, POOL, ELEMENTS = 7, b"Pool", 2
WAKES = 2 * ELEMENTS * 11
"""Limit of needless wake-ups before a timer fires: one for each timer on each of the wheel's levels."""

timers = st.tuples(st.integers(1, ELEMENTS), st.sampled_from([Timer.KEEP_ALIVE, Timer.LIFE]))
spans = st.one_of(
    st.sampled_from([0, 1, 2, 1023, 1024, 1025, 2**20 - 1, 2**20, 2**20 + 1]),
    st.integers(900, 1200),
    st.integers(2**20 - 3000, 2**20 + 3000),
    st.integers(0, 10**7),
    st.integers(0, 10**12),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), timers, spans),
        st.tuples(st.just("put off"), timers, spans),
        st.tuples(st.just("disarm"), timers, spans),
        st.tuples(st.just("advance"), timers, spans),
        st.tuples(st.just("sleep"), timers, spans),
    ),
    max_size=80,
)


@settings(max_examples=600)
@given(start=st.sampled_from([0, 1000, 2**20 - 25, 10**15]), taken=steps)
def test_the_timers_fire_like_a_table_of_deadlines(start: int, taken: list[tuple[str, tuple[int, Timer], int]]) -> None:
    space, now = Handlespace(OWN, seed=1, wheel=Wheel(start)), start
    for number in range(1, ELEMENTS + 1):
        space.register(POOL, e.element(number, e.LU, (number,), asap=e.sctp(9)), home=OWN)
    deadlines: dict[tuple[int, Timer], int] = {}

    def expire() -> list[tuple[int, Timer]]:
        fired = [(number, which) for which, _, number in space.expire(now)]
        due = {timer for timer, deadline in deadlines.items() if deadline <= now}
        assert set(fired) == due
        assert len(fired) == len(due)
        when = [deadlines.pop(timer) for timer in fired]
        assert when == sorted(when)
        return fired

    def bound() -> int:
        expiry = space.wheel.next_expiry()
        assert isinstance(expiry, int)
        assert expiry > now or min(deadlines.values()) <= now
        assert expiry <= max(now, min(deadlines.values()))
        return expiry

    for step, (number, which), span in taken:
        timer = number, which
        if step in ("arm", "put off"):
            deadlines[timer] = (deadlines.get(timer, now) if step == "put off" else now) + span
            space.arm(POOL, number, which, deadlines[timer])
        elif step == "disarm":
            assert space.disarm(POOL, number, which) is (deadlines.pop(timer, None) is not None)
        elif step == "advance":
            now += span
            expire()
        elif deadlines:
            for _ in range(WAKES):
                now = max(now, bound())
                if expire():
                    break
            else:
                raise AssertionError("a sleeper wakes and wakes, and nothing fires")
        assert len(space.wheel) == len(deadlines)
        if deadlines:
            bound()

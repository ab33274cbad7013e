"""Prefetching does not change the result of any message."""

from hypothesis import given
from hypothesis import strategies as st

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.prefetch import prefetch_all
from tests.support import elements as e
from tests.support.lanes import lane_of

OWN, LINE, SIZE, NOW = 7, 33, 60, 1_000_000
POOLS = {b"Least": e.LU, b"Round": e.RR, b"Random": e.WRAND, b"Degraded": e.LUD, b"Turns": e.WRR}


def filled() -> Handlespace:
    space = Handlespace(OWN, seed=1, wheel=Wheel(0))
    for handle, policy in POOLS.items():
        for identifier in range(1, SIZE):
            values = tuple(identifier * 7 % 50 + 1 for _ in range(e.WORDS[policy]))
            space.register(handle, e.element(identifier, policy, values, asap=e.sctp(9)), home=OWN, connection=LINE)
    return space


@st.composite
def message(draw: st.DrawFn) -> bytes:
    """Messages of elements and users, valid or mutated."""
    handle = draw(st.sampled_from([*POOLS, b"Nobody"]))
    policy = draw(st.sampled_from([*POOLS.values()]))
    identifier = draw(st.integers(0, SIZE + 3))
    values = tuple(draw(st.integers(0, 60)) for _ in range(e.WORDS[policy]))
    octets = draw(
        st.sampled_from(
            [
                e.message(1, e.handle_parameter(handle), e.element(identifier, policy, values)),
                e.message(8, e.handle_parameter(handle), e.identifier_parameter(identifier)),
                e.message(5, e.handle_parameter(handle)),
            ]
        )
    )
    if draw(st.booleans()):
        return octets
    at = draw(st.integers(0, len(octets) - 1))
    changed = octets[:at] + bytes([draw(st.integers(0, 255))]) + octets[at + 1 :]
    return changed[: draw(st.integers(0, len(changed)))]


@given(st.lists(message(), max_size=40))
def test_prefetching_changes_no_answer_and_no_record(messages: list[bytes]) -> None:
    prefetched, plain = filled(), filled()
    lane, twin = lane_of(prefetched, LINE), lane_of(plain, LINE)
    for at in range(len(messages)):
        prefetch_all(prefetched, messages[at:])
        answer = lane.answer(messages[at], NOW)
        assert answer == twin.answer(messages[at], NOW)
    prefetched._check()
    assert prefetched.updated == plain.updated
    for handle in POOLS:
        assert prefetched.select(handle, 5) == plain.select(handle, 5)

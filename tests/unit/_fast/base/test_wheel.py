"""The timer wheel against a heap, and its edge cases."""

import gc
import heapq
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rserpool._fast.base.wheel import Entry, Wheel
from rserpool.errors import LocalProtocolError

LATEST = 2**64 - 1
spans = st.one_of(
    st.integers(0, 200),
    st.integers(0, 10**7),
    st.integers(0, 10**12),
    st.sampled_from([1, 63, 64, 65, 4095, 4096, 2**18, 2**30, 2**48, 2**60]),
)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), spans),
        st.tuples(st.just("late"), spans),
        st.tuples(st.just("cancel"), st.integers(0, 50)),
        st.tuples(st.just("advance"), spans),
        st.tuples(st.just("sleep"), st.just(0)),
    ),
    max_size=80,
)


@settings(max_examples=400)
@given(start=st.sampled_from([0, 1, 63, 4095, 10**15, 2**40 - 1]), steps=operations)
def test_wheel_fires_like_a_heap(start: int, steps: list[tuple[str, int]]) -> None:
    wheel, now, number = Wheel(start), start, 0
    heap: list[tuple[int, int, Entry]] = []
    cancelled: set[int] = set()
    for step, size in steps:
        if step in ("insert", "late"):
            deadline = now + size if step == "insert" else max(0, now - size)
            heapq.heappush(heap, (deadline, number, wheel.insert(deadline, number)))
            number += 1
        elif step == "cancel" and heap:
            _, key, entry = heap[size % len(heap)]
            assert wheel.cancel(entry) is (key not in cancelled)
            assert not entry.armed
            cancelled.add(key)
        else:
            bound = wheel.next_expiry()
            least = min((deadline for deadline, key, _ in heap if key not in cancelled), default=None)
            assert (bound is None) == (least is None)
            assert bound is None or least is None or (bound <= max(least, now) and (bound > now or least <= now))
            now = now + size if step == "advance" or bound is None else max(now, bound)
            due = []
            while heap and heap[0][0] <= now:
                _, key, _ = heapq.heappop(heap)
                if key not in cancelled:
                    due.append(key)
            assert wheel.expire(now) == due
        assert len(wheel) == sum(key not in cancelled for _, key, _ in heap)


def test_equal_deadlines_fire_in_order_of_insertion() -> None:
    wheel = Wheel(0)
    for number in range(100):
        wheel.insert(10_000_000 if number % 2 else 5_000_000, number)
    wheel.expire(4_999_999)
    wheel.insert(10_000_000, 100)
    assert wheel.expire(2 * 10**7) == [*range(0, 100, 2), *range(1, 100, 2), 100]


def test_entry_does_not_fire_before_its_deadline() -> None:
    wheel = Wheel(0)
    wheel.insert(1000, "a")
    assert wheel.expire(999) == []
    assert wheel.next_expiry() == 1000
    assert wheel.expire(1000) == ["a"]
    assert wheel.next_expiry() is None


def test_far_and_past_deadlines_fire() -> None:
    wheel = Wheel(100)
    far = wheel.insert(LATEST, "far")
    wheel.insert(5, "past")
    assert wheel.next_expiry() == 100
    assert wheel.expire(50) == ["past"]
    assert wheel.now == 100
    assert wheel.expire(LATEST - 1) == []
    assert far.deadline == LATEST
    assert far.payload == "far"
    assert wheel.expire(LATEST) == ["far"]


def test_sleep_until_next_expiry_rarely_ends_too_early() -> None:
    wheel, now, wakes = Wheel(0), 0, 0
    for number in range(1000):
        wheel.insert(5_000_000 + number * 10_000, number)
    fired = 0
    while (bound := wheel.next_expiry()) is not None:
        now, wakes = bound, wakes + 1
        fired += len(wheel.expire(now))
    assert fired == 1000
    assert wakes < 1200


def test_wrong_arguments_raise() -> None:
    wheel = Wheel(0)
    entry = wheel.insert(1, None)
    for wrong in (-1, 2**64):
        with pytest.raises(LocalProtocolError):
            wheel.insert(wrong, None)
        with pytest.raises(LocalProtocolError):
            wheel.expire(wrong)
        with pytest.raises(LocalProtocolError):
            Wheel(wrong)
    with pytest.raises(TypeError):
        wheel.insert(1.5, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        wheel.cancel(None)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError):
        Wheel(0).cancel(entry)
    with pytest.raises(LocalProtocolError):
        wheel.cancel(Entry())
    assert len(wheel) == 1


def test_cycle_through_payload_and_wheel_is_collected() -> None:
    class Payload:
        wheel: Wheel

    payload = Payload()
    payload.wheel = Wheel(0)
    entry = payload.wheel.insert(5, payload)
    gone = weakref.ref(payload)
    del payload
    gc.collect()
    assert gone() is not None
    del entry
    gc.collect()
    assert gone() is None


def test_entry_outlives_its_wheel() -> None:
    entry = Wheel(0).insert(5, "payload")
    gc.collect()
    assert entry.payload == "payload"

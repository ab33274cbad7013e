"""Selection policies of RFC 5356 and of rsplib, tested by the order of selected elements."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise, permutations

import pytest

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace, Verdict
from tests.support import elements as e

POOL = b"Pool"
Make = Callable[..., Handlespace]


@pytest.fixture
def pool() -> Make:
    """Return a function that creates a handlespace with one pool of elements 1, 2, ... with the given policy values."""

    def make(kind: int, *values: Sequence[int], seed: int = 1) -> Handlespace:
        space = Handlespace(7, seed=seed, wheel=Wheel(0))
        for identifier, words in enumerate(values, 1):
            assert space.register(POOL, e.element(identifier, kind, words), home=7) is Verdict.ADDED
        return space

    return make


def heads(space: Handlespace, count: int) -> list[int]:
    found = [space.select(POOL, 1)[0] for _ in range(count)]
    space._check()
    return found


def reregister(space: Handlespace, identifier: int, kind: int, *words: int) -> None:
    assert space.register(POOL, e.element(identifier, kind, words), home=7) is Verdict.UPDATED


@pytest.mark.conformance("POL-4.1-01", "POL-4.1-02", "POL-4.1-03", "POL-4.1-04")
def test_round_robin_rotates(pool: Make) -> None:
    space = pool(e.RR, (), (), ())
    assert [space.select(POOL, 0) for _ in range(4)] == [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]
    assert [space.select(POOL, 2) for _ in range(3)] == [[2, 3], [3, 1], [1, 2]]


def test_round_robin_advances_by_the_number_of_used_items(pool: Make) -> None:
    space = pool(e.RR, (), (), (), ())
    space.used_items = 3
    assert [space.select(POOL, 3) for _ in range(4)] == [[1, 2, 3], [4, 1, 2], [3, 4, 1], [2, 3, 4]]
    assert [space.select(POOL, 1) for _ in range(3)] == [[1], [2], [3]]
    space._check()
    space.used_items = 1
    assert [space.select(POOL, 3) for _ in range(2)] == [[4, 1, 2], [1, 2, 3]]


@pytest.mark.parametrize("kind", [e.WRR, e.LU, e.RAND])
def test_every_policy_family_accepts_more_than_one_used_item(pool: Make, kind: int) -> None:
    space = pool(kind, *([(2,)] * 5 if kind != e.RAND else [()] * 5))
    space.used_items = 5
    seen = Counter(identifier for _ in range(40) for identifier in space.select(POOL, 3))
    space._check()
    assert sum(seen.values()) == 120
    assert set(seen) == {1, 2, 3, 4, 5}


def test_round_robin_keeps_its_place_on_re_registration(pool: Make) -> None:
    space = pool(e.RR, (), (), ())
    assert heads(space, 2) == [1, 2]
    reregister(space, 3, e.RR)
    assert heads(space, 3) == [3, 1, 2]


@pytest.mark.conformance("POL-4.2-01", "POL-4.2-02")
@pytest.mark.parametrize("weights", [(1, 3), (3, 1)])
def test_weighted_round_robin_is_evenly_spread(pool: Make, weights: tuple[int, ...]) -> None:
    space = pool(e.WRR, *((weight,) for weight in weights))
    light = weights.index(1) + 1
    seen = heads(space, 12)
    assert Counter(seen) == {light: 3, 3 - light: 9}
    assert all(seen[i : i + 4].count(light) == 1 for i in range(9))


def test_weighted_round_robin_gives_each_window_its_weights(pool: Make) -> None:
    space = pool(e.WRR, (1,), (2,), (3,), (7,), (13,))
    seen = heads(space, 26 * 6)
    for start in range(26 * 5):
        assert Counter(seen[start : start + 26]) == {1: 1, 2: 2, 3: 3, 4: 7, 5: 13}
    places = [i for i, head in enumerate(seen) if head == 4]
    assert {b - a for a, b in pairwise(places)} <= {3, 4, 5}


def test_weighted_round_robin_of_equal_weights_is_round_robin(pool: Make) -> None:
    assert heads(pool(e.WRR, (5,), (5,), (5,)), 9) == [1, 2, 3] * 3


@pytest.mark.conformance("POL-4.2-03")
def test_weighted_round_robin_lists_each_element_once(pool: Make) -> None:
    space = pool(e.WRR, (1,), (100,), (2,))
    for _ in range(50):
        assert sorted(space.select(POOL, 3)) == [1, 2, 3]


def test_weighted_round_robin_neither_overflows_nor_starves(pool: Make) -> None:
    top = 2**32 - 1
    space = pool(e.WRR, (1,), (top,), (top,), (1,))
    seen = Counter(heads(space, 2000))
    assert seen[1] <= 1
    assert abs(seen[2] - seen[3]) <= 1
    reregister(space, 2, e.WRR, 1)
    reregister(space, 3, e.WRR, 1)
    later = heads(space, 8)
    assert Counter(later[:4]) == Counter(later[4:]) == {1: 1, 2: 1, 3: 1, 4: 1}


def test_weighted_round_robin_admits_a_newcomer_without_a_burst(pool: Make) -> None:
    space = pool(e.WRR, (2,), (2,))
    heads(space, 1001)
    assert space.register(POOL, e.element(3, e.WRR, (4,)), home=7) is Verdict.ADDED
    assert Counter(heads(space, 80)) == {1: 20, 2: 20, 3: 40}


def test_weighted_round_robin_outlasts_its_round_counter(pool: Make) -> None:
    space = pool(e.WRR, (1,), (2,), (0,))
    seen = [space.select(POOL, 1)[0] for _ in range(3 * 66_000)]
    space._check()
    assert seen == seen[:3] * 66_000
    assert space.register(POOL, e.element(4, e.WRR, (3,)), home=7) is Verdict.ADDED
    assert Counter(heads(space, 60)) == {1: 10, 2: 20, 4: 30}


@pytest.mark.conformance("POL-3.2-01")
@pytest.mark.parametrize("kind", [e.WRR, e.WRAND])
def test_element_of_weight_0_is_not_listed_with_others(pool: Make, kind: int) -> None:
    space = pool(kind, (0,), (5,), (0,), (1,))
    assert all(sorted(space.select(POOL, 0)) == [2, 4] for _ in range(50))
    reregister(space, 2, kind, 0)
    assert all(space.select(POOL, 0) == [4] for _ in range(50))
    reregister(space, 4, kind, 0)
    assert set(heads(space, 200)) == {1, 2, 3, 4}
    assert all(sorted(space.select(POOL, 0)) == [1, 2, 3, 4] for _ in range(50))
    reregister(space, 3, kind, 1)
    assert heads(space, 20) == [3] * 20


def test_elements_are_drawn_uniformly_if_all_weights_are_0(pool: Make) -> None:
    counts = Counter(heads(pool(e.WRAND, (0,), (0,), (0,), (0,)), 8000))
    assert all(abs(count - 2000) < 200 for count in counts.values())
    assert Counter(heads(pool(e.WRR, (0,), (0,)), 10)) == {1: 5, 2: 5}


@pytest.mark.conformance("POL-4.3-01", "POL-4.3-02")
def test_random_lists_distinct_elements_uniformly(pool: Make) -> None:
    space = pool(e.RAND, *[()] * 5)
    lists = [space.select(POOL, 2) for _ in range(20000)]
    assert all(len(set(listed)) == 2 for listed in lists)
    assert chi_square(Counter(map(tuple, lists)), {(a, b): 1 for a in range(1, 6) for b in range(1, 6) if a != b}) < 45
    assert all(sorted(space.select(POOL, 9)) == [1, 2, 3, 4, 5] for _ in range(100))


def chi_square(seen: Counter[object], shares: dict[object, float]) -> float:
    total, whole = sum(seen.values()), sum(shares.values())
    assert set(seen) <= set(shares)
    return sum((seen[key] - total * share / whole) ** 2 / (total * share / whole) for key, share in shares.items())


@pytest.mark.conformance("POL-4.4-01", "POL-4.4-02")
def test_weighted_random_draws_without_replacement(pool: Make) -> None:
    weights = {1: 1, 2: 3, 3: 6, 4: 90}
    space = pool(e.WRAND, *((weight,) for weight in weights.values()))
    whole = sum(weights.values())
    shares: dict[object, float] = {}
    for a, b, c in permutations(weights, 3):
        second, third = whole - weights[a], whole - weights[a] - weights[b]
        shares[a, b, c] = weights[a] / whole * weights[b] / second * weights[c] / third
    seen: Counter[object] = Counter(tuple(space.select(POOL, 3)) for _ in range(40000))
    space._check()
    assert chi_square(seen, shares) < 55


def test_weighted_random_with_two_elements_follows_the_weights(pool: Make) -> None:
    counts = Counter(heads(pool(e.WRAND, (1,), (3,)), 4000))
    assert abs(counts[1] - 1000) < 100


@pytest.mark.conformance("POL-4.5-01", "POL-4.5-02")
def test_priority_lists_the_highest_first(pool: Make) -> None:
    space = pool(e.PRIO, (10,), (30,), (20,), (30,))
    assert [space.select(POOL, 3) for _ in range(3)] == [[2, 4, 3], [4, 2, 3], [2, 4, 3]]


@pytest.mark.conformance("POL-3.1-01", "POL-5.1-01", "POL-5.1-02", "POL-5.1-03", "POL-5.1-04")
def test_least_used_ascends_and_rotates_equals(pool: Make) -> None:
    space = pool(e.LU, (0x80000000,), (0x10000000,), (0x40000000,))
    assert [space.select(POOL, 0) for _ in range(3)] == [[2, 3, 1]] * 3
    space = pool(e.LU, (5,), (5,), (5,), (6,))
    assert heads(space, 7) == [1, 2, 3, 1, 2, 3, 1]
    assert space.select(POOL, 0) == [2, 3, 1, 4]


@pytest.mark.conformance("POL-5.2-01", "POL-5.2-02", "POL-5.2-03")
def test_degradation_counts_heads_since_registration(pool: Make) -> None:
    space = pool(e.LUD, (0x10000000, 0x30000000), (0x20000000, 0x08000000))
    assert heads(space, 5) == [1, 2, 2, 2, 2]
    reregister(space, 1, e.LUD, 0x10000000, 0x30000000)
    assert heads(space, 3) == [1, 2, 1]


def test_degradation_counts_the_head_of_a_list_only(pool: Make) -> None:
    space = pool(e.LUD, (0, 10), (5, 10))
    assert [space.select(POOL, 2) for _ in range(4)] == [[1, 2], [2, 1], [1, 2], [2, 1]]


def test_degradation_saturates(pool: Make) -> None:
    space = pool(e.LUD_DPF, (2**32 - 1,) * 4, (2**32 - 1,) * 4)
    assert Counter(heads(space, 100)) == {1: 50, 2: 50}


@pytest.mark.conformance("POL-5.3-01", "POL-5.3-02", "POL-5.3-03", "POL-5.3-04")
def test_priority_least_used_adds_the_degradation(pool: Make) -> None:
    half, tenth = 2**31, 2**32 // 10
    space = pool(e.PLU, (half, half - 1), (half, tenth), (0, half + tenth))
    assert [space.select(POOL, 0) for _ in range(3)] == [[2, 3, 1], [3, 2, 1], [2, 3, 1]]


@pytest.mark.conformance("POL-5.4-01")
def test_randomized_least_used_weighs_by_unload(pool: Make) -> None:
    counts = Counter(heads(pool(e.RLU, (0,), (0xBFFFFFFF,)), 10000))
    assert abs(counts[1] - 8000) < 200
    assert set(heads(pool(e.RLU, (0xFFFFFFFF,), (0xFFFFFFFE,)), 50)) == {2}
    assert set(heads(pool(e.RLU, (0xFFFFFFFF,), (0xFFFFFFFF,)), 50)) == {1, 2}


@pytest.mark.parametrize(
    ("kind", "values", "ratio"),
    [
        (e.RPLU, ((0, 0), (0x80000000, 0x40000000)), 4),
        (e.WRAND_DPF, ((100, 0, 9), (100, 0x40000000, 3)), 4),
        (e.WRAND_DPF, ((100, 0, 9), (100, 0xFFFFFFFF, 9)), 100),
    ],
)
def test_weights_of_rsplib_policies_give_the_expected_shares(
    pool: Make, kind: int, values: tuple[tuple[int, ...], ...], ratio: int
) -> None:
    counts = Counter(heads(pool(kind, *values), 20000))
    assert abs(counts[2] / 20000 - 1 / (ratio + 1)) < 0.01


@pytest.mark.parametrize("kind", [e.RLUD, e.RPLUD])
def test_randomized_degradation_counts(pool: Make, kind: int) -> None:
    space = pool(kind, (0, 0x7FFFFFFF), (0, 0))
    first = heads(space, 200)
    assert first.count(1) <= 6
    reregister(space, 1, kind, 0, 0)
    assert heads(space, 1000).count(1) > 400


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (e.PLUD, ((0, 4), (3, 2)), [1, 2, 2, 1]),
        (e.LU_DPF, ((10, 2, 5), (15, 2, 2)), [2, 2, 2]),
        (e.LUD_DPF, ((0, 4, 2, 5), (9, 4, 1, 2)), [1, 2, 1, 2]),
        (e.PLU_DPF, ((0, 9, 1, 5), (4, 1, 2, 3)), [2, 2, 2]),
        (e.PLUD_DPF, ((0, 4, 1, 1), (3, 1, 1, 2)), [1, 2, 2, 2]),
    ],
)
def test_sums_of_rsplib_policies_give_the_expected_order(
    pool: Make, kind: int, values: tuple[tuple[int, ...], ...], expected: list[int]
) -> None:
    assert heads(pool(kind, *values), len(expected)) == expected


def test_unknown_policy_is_served_by_round_robin(pool: Make) -> None:
    assert heads(pool(0x80000123, (1, 2), (9,), ()), 6) == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("kind", sorted(e.WORDS))
def test_selection_without_advance_changes_nothing(pool: Make, kind: int) -> None:
    values = [tuple(range(i, i + e.WORDS[kind])) for i in range(1, 9)]
    plain, peeked = pool(kind, *values), pool(kind, *values)
    for items in (1, 3, 8, 1, 3, 8):
        assert peeked.select(POOL, items, advance=False) == peeked.select(POOL, items, advance=False)
        peeked.resolution(POOL, items, advance=False)
        assert plain.select(POOL, items) == peeked.select(POOL, items)


def test_same_seed_gives_same_selection(pool: Make) -> None:
    runs = [[pool(e.RAND, *[()] * 9, seed=seed).select(POOL, 9)] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]

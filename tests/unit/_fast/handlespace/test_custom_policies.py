"""Custom policies: the arguments of their functions, the use of the results, and the handling of failures."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rserpool import messages as m
from rserpool import policies
from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace, Verdict
from rserpool.errors import Cause, LocalProtocolError, RemoteProtocolError
from rserpool.messages.resolved import resolved
from rserpool.policies import Candidate, CustomPolicy
from rserpool.protocol.actions import Level, Note
from rserpool.protocol.client.cache import Cache, CachedPool
from tests.support import client_bench
from tests.support import elements as e
from tests.support.bench import Bench, cause_of
from tests.support.client_bench import listed, with_pool
from tests.support.scope import LOW, Scope, element, update

POOL = b"Pool"
TYPE = 0x80000123
Seen = list[tuple[bytes, int, str]]


@pytest.fixture(autouse=True)
def unregister_new_policies() -> Iterator[None]:
    before = policies.registered()
    yield
    for policy in policies.registered():
        if policy not in before:
            policies.unregister(policy)
    assert policies.registered() == before


def nearest(candidates: Sequence[Candidate], items: int, state: object, random: random.Random) -> list[int]:
    return sorted(range(len(candidates)), key=lambda i: candidates[i].values[0])


def custom(select: policies.Select = nearest, **other: Any) -> CustomPolicy:
    given = {"name": "nearest", "policy_type": TYPE, "values": ("metres",), "select": select}
    return policies.register(CustomPolicy(**(given | other)))


def pool(*values: int, seed: int = 1, kind: int = TYPE) -> tuple[Handlespace, Seen]:
    space = Handlespace(7, seed=seed, wheel=Wheel(0))
    failures: Seen = []
    space.on_policy_failure = lambda handle, kind, reason: failures.append((handle, kind, reason))
    for identifier, value in enumerate(values, 1):
        assert space.register(POOL, e.element(identifier, kind, (value,)), home=7) is Verdict.ADDED
    space._check()
    return space, failures


def test_custom_policy_selects_and_equal_elements_alternate() -> None:
    custom()
    space, failures = pool(30, 10, 20, 10)
    assert [space.select(POOL, 3) for _ in range(3)] == [[2, 4, 3], [4, 2, 3], [2, 4, 3]]
    assert space.select(POOL, 0) == [4, 2, 3, 1]
    answer = m.decode(space.resolution(POOL, 2) or b"", "asap")
    assert isinstance(answer, m.HandleResolutionResponse)
    assert [element.identifier for element in answer.pool_elements] == [2, 4]
    assert answer.policy == m.Policy(policy_type=TYPE, values=(10,))
    assert answer.pool_elements[0].policy.value("metres") == 10
    space._check()
    assert not failures


def test_new_values_and_new_elements_take_effect_at_once() -> None:
    custom()
    space, _ = pool(30, 10)
    assert space.register(POOL, e.element(1, TYPE, (5,)), home=7) is Verdict.UPDATED
    assert space.select(POOL, 0) == [1, 2]
    assert space.register(POOL, e.element(3, TYPE, (1,)), home=7) is Verdict.ADDED
    assert space.select(POOL, 0) == [3, 1, 2]
    assert space.remove(POOL, 3)
    assert space.select(POOL, 0) == [1, 2]
    space._check()


def test_custom_policy_receives_candidates_with_values_and_uses() -> None:
    given: list[tuple[tuple[Candidate, ...], int]] = []

    def select(candidates: tuple[Candidate, ...], items: int, state: object, random: object) -> list[int]:
        given.append((candidates, items))
        return [0]

    custom(select, values=("a", "b"))
    space = Handlespace(7, seed=1, wheel=Wheel(0))
    for identifier in (1, 2):
        space.register(POOL, e.element(identifier, TYPE, (identifier, 0xFFFFFFFF)), home=7)
    first, second = (Candidate(identifier=i, values=(i, 0xFFFFFFFF)) for i in (1, 2))
    assert [space.select(POOL, 1), space.select(POOL, 9)] == [[1], [2]]
    used = Candidate(identifier=1, values=(1, 0xFFFFFFFF), uses=1)
    assert given == [((first, second), 1), ((second, used), 2)]
    space.register(POOL, e.element(1, TYPE, (1, 3)), home=7)
    space.select(POOL, 1)
    assert Candidate(identifier=1, values=(1, 3), uses=0) in given[-1][0]


def test_custom_policy_receives_a_limited_number_of_candidates() -> None:
    shown: list[int] = []

    def select(candidates: tuple[Candidate, ...], items: int, state: object, random: object) -> list[int]:
        shown.append(len(candidates))
        return list(range(len(candidates)))

    custom(select)
    space, failures = pool(*range(10))
    space.max_candidates = 4
    seen = [space.select(POOL, 0) for _ in range(10)]
    assert shown == [4] * 10
    assert [listed[0] for listed in seen] == list(range(1, 11))
    assert all(len(listed) == 4 for listed in seen)
    assert not failures
    with pytest.raises(LocalProtocolError):
        space.max_candidates = 0


def test_each_pool_has_its_own_policy_state() -> None:
    def select(candidates: object, items: int, state: dict[str, list[int]], random: object) -> list[int]:
        calls = state.setdefault("calls", [])
        calls.append(len(calls))
        return [len(calls) % 2]

    custom(select)
    space, failures = pool(1, 1)
    assert space.register(b"Other", e.element(9, TYPE, (1,)), home=7) is Verdict.ADDED
    peeks = [space.select(POOL, 1, advance=False) for _ in range(3)]
    assert peeks == [[2]] * 3
    assert [space.select(POOL, 1) for _ in range(2)] == [[2], [1]]
    assert space.select(b"Other", 1) == [9]
    assert len(failures) == 1, "index 1 is invalid in a pool of one element"
    for identifier in (1, 2):
        space.remove(POOL, identifier)
    for identifier in (1, 2):
        space.register(POOL, e.element(identifier, TYPE, (1,)), home=7)
    assert space.select(POOL, 1) == [2], "a new pool begins with an empty state"


def test_same_seed_gives_same_random_selection() -> None:
    def select(candidates: Sequence[Candidate], items: int, state: object, random: random.Random) -> list[int]:
        return random.sample(range(len(candidates)), items)

    custom(select)
    runs = [[pool(*range(9), seed=seed)[0].select(POOL, 9) for _ in range(2)] for seed in (1, 2)]
    assert runs[0][0] == runs[0][1] != runs[1][0]
    space, _ = pool(*range(9))
    assert space.select(POOL, 9, advance=False) == space.select(POOL, 9)
    assert space.select(POOL, 9) != space.select(POOL, 9)


class BrokenIndex:
    def __index__(self) -> int:
        raise RuntimeError("no")


def endless(*_: object) -> Iterator[int]:
    while True:
        yield 0


def raising(error: BaseException) -> Callable[..., Any]:
    def select(*_: object) -> Any:
        raise error

    return select


INVALID_RESULTS = {
    "out of range": ([0, 3], "no candidate 3"),
    "negative": ([-1], "no candidate -1"),
    "huge": ([2**80], "IndexError"),
    "twice": ([1, 1], "listed twice"),
    "empty": ([], "no candidate is listed"),
    "none": (None, "TypeError"),
    "text": ("012", "str is no index"),
    "bool": ([True], "bool is no index"),
    "float": ([0.0], "float is no index"),
    "number": (7, "TypeError"),
    "broken index": ([BrokenIndex()], "RuntimeError: no"),
}


@pytest.mark.parametrize("kind", INVALID_RESULTS)
def test_invalid_result_is_reported_and_round_robin_is_used(kind: str) -> None:
    answer, reason = INVALID_RESULTS[kind]
    custom(lambda *_: answer)  # type: ignore[arg-type, return-value]
    space, failures = pool(3, 2, 1)
    assert [space.select(POOL, 0) for _ in range(3)] == [[1, 2, 3], [2, 3, 1], [3, 1, 2]]
    assert [(handle, policy) for handle, policy, _ in failures] == [(POOL, TYPE)] * 3
    assert reason in failures[0][2]
    assert space.resolution(POOL, 2) is not None
    space._check()


@pytest.mark.parametrize(
    "select", [endless, raising(ValueError("line\nline " + "x" * 999)), raising(SystemExit(3)), raising(MemoryError())]
)
def test_exception_in_a_policy_is_reported_in_one_short_line(select: Callable[..., Any]) -> None:
    custom(select)
    space, failures = pool(3, 2, 1)
    assert [space.select(POOL, 2) for _ in range(2)] == [[1, 2], [2, 3]]
    assert len(failures) == 2
    assert "\n" not in failures[0][2]
    assert len(failures[0][2]) <= 200


def test_keyboard_interrupt_in_a_policy_is_raised() -> None:
    custom(raising(KeyboardInterrupt()))
    space, failures = pool(1)
    with pytest.raises(KeyboardInterrupt):
        space.select(POOL, 1)
    assert not failures
    assert space.remove(POOL, 1), "no policy is running any more"


def test_long_result_is_cut_and_short_result_is_accepted() -> None:
    custom(lambda candidates, items, state, random: [2, 1, 0, 0])
    space, failures = pool(1, 2, 3)
    assert space.select(POOL, 2) == [3, 2]
    assert not failures
    custom(lambda *_: [1], name="second", policy_type=TYPE + 1)
    space, failures = pool(1, 2, 3, kind=TYPE + 1)
    assert space.select(POOL, 0) == [2]
    assert not failures


def test_running_custom_policy_cannot_change_its_pool_or_recurse() -> None:
    space: Handlespace | None = None

    def select(candidates: Sequence[Candidate], items: int, state: object, random: object) -> list[int]:
        assert space is not None
        space.remove(POOL, candidates[0].identifier)
        return [0]

    custom(select)
    space, failures = pool(1, 2)
    assert space.select(POOL, 1) == [1]
    assert "cannot remove" in failures[0][2]
    assert len(space) == 2
    custom(lambda *_: [len(space.select(POOL, 1, advance=False))], name="recursive", policy_type=TYPE + 1)
    space, failures = pool(1, 2, kind=TYPE + 1)
    assert space.select(POOL, 1) in ([1], [2])
    assert "RecursionError" in failures[0][2]
    space._check()


def test_pools_keep_an_unregistered_policy_and_new_pools_use_round_robin() -> None:
    policy = custom()
    space, _ = pool(2, 1)
    policies.unregister(policy)
    policies.unregister(policy)
    assert TYPE not in m.POLICY_VALUES
    assert [space.select(POOL, 1) for _ in range(2)] == [[2], [2]]
    assert space.register(b"New", e.element(1, TYPE, (1,)), home=7) is Verdict.ADDED
    assert space.register(b"New", e.element(2, TYPE, (0,)), home=7) is Verdict.ADDED
    assert space.select(b"New", 1) == [1], "round robin serves an unknown policy type"
    space._check()


@pytest.mark.conformance("POL-7.1-02")
def test_custom_policy_is_encoded_and_decoded_with_its_values() -> None:
    octets = e.policy(TYPE, (5, 6))
    policy = custom(values=("metres", "floor"))
    record = policy.policy(floor=6, metres=5)
    assert record == m.Policy(policy_type=TYPE, values=(5, 6))
    assert record.encode() == octets
    card = e.message(13, e.handle_parameter(POOL), octets, e.element(1, TYPE, (5, 6)))
    read = m.decode(card, "asap")
    assert isinstance(read, m.BusinessCard)
    assert read.policy == record
    for wrong in ({"metres": 1}, {"metres": 1, "floor": 2, "door": 3}):
        with pytest.raises(LocalProtocolError, match="metres, floor"):
            policy.policy(**wrong)
    with pytest.raises(LocalProtocolError):
        m.Policy(policy_type=TYPE, values=(1,)).encode()
    short = e.message(13, e.handle_parameter(POOL), e.element(1, TYPE, (5,)))
    with pytest.raises(RemoteProtocolError):
        m.decode(short, "asap")
    with pytest.raises(LocalProtocolError):
        Handlespace(7, seed=1, wheel=Wheel(0)).register(POOL, e.element(1, TYPE, (5,)), home=7)


@pytest.mark.parametrize(
    "other",
    [
        {"policy_type": 0x7FFFFFFF},
        {"policy_type": 1},
        {"policy_type": 0xB0001001},
        {"policy_type": 0xB000FFFF},
        {"policy_type": 2**32},
        {"values": tuple("abcdefghijklmnopq")},
        {"values": ("a", "a")},
        {"name": ""},
        {"name": "least-used"},
        {"select": None},
    ],
)
def test_invalid_policies_are_refused(other: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        custom(**other)
    assert other.get("policy_type", TYPE) == 1 or other.get("policy_type", TYPE) not in {
        policy.policy_type for policy in policies.registered()
    }


@pytest.mark.parametrize("seed", range(5))
def test_other_policies_keep_their_values_when_one_is_unregistered(seed: int) -> None:
    draw = random.Random(seed)
    free = policies.MAX_CUSTOM_POLICIES - len(policies.registered())
    types = draw.sample(range(0x80000000, 0xB0000000), free)
    kept = [custom(name=f"policy-{kind:x}", policy_type=kind, values=tuple("abcd"[: kind % 5])) for kind in types]
    while kept:
        policy = kept.pop(draw.randrange(len(kept)))
        policies.unregister(policy)
        octets = m.Policy(policy_type=policy.policy_type, values=(), data=bytes(16)).encode()
        assert m.decode_parameter(octets, m.Policy).values == ()
        for other in kept:
            values = tuple(range(len(other.values)))
            encoded = m.Policy(policy_type=other.policy_type, values=values).encode()
            assert m.decode_parameter(encoded, m.Policy).values == values


def test_duplicate_name_duplicate_type_and_65th_policy_are_refused() -> None:
    policy = custom()
    assert policies.register(policy) is policy
    with pytest.raises(LocalProtocolError, match="taken"):
        custom(name="another")
    with pytest.raises(LocalProtocolError, match="another policy has the name"):
        custom(policy_type=TYPE + 1)
    for number in range(policies.MAX_CUSTOM_POLICIES - len(policies.registered())):
        custom(name=f"policy {number}", policy_type=0xC0000000 + number)
    with pytest.raises(LocalProtocolError, match="64"):
        custom(name="one too many", policy_type=0xD0000000)
    assert policies.name_of(TYPE) == "nearest"
    assert policies.name_of(m.PolicyType.LEAST_USED) == "least-used"
    assert policies.name_of(0xD0000000) == "0xd0000000"


PLUGIN = """
from rserpool.policies import CustomPolicy
NEAREST = CustomPolicy(name="plugged", policy_type=0x80007777, values=("x",), select=lambda c, n, s, r: [0])
TAKEN = CustomPolicy(name="plugged too", policy_type=0x80007777, select=lambda c, n, s, r: [0])
OTHER = 5
"""


def test_plugins_are_loaded_and_broken_ones_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_policy_plugin.py").write_text(PLUGIN)
    (tmp_path / "a_broken_plugin.py").write_text("raise OSError('out of\\norder')")
    info = tmp_path / "policy_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: policy-plugin\nVersion: 1.0\n")
    entries = ("a = a_policy_plugin:NEAREST", "b = a_policy_plugin:OTHER", "c = a_policy_plugin:TAKEN",
               "d = a_broken_plugin:X", "e = a_policy_plugin:MISSING")  # fmt: skip
    (info / "entry_points.txt").write_text("\n".join(("[rserpool.policies]", *entries)))
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded, errors = policies.load_plugins()
    assert [policy.name for policy in loaded] == ["plugged"]
    assert [str(error).split(" is not used: ") for error in errors] == [
        ["policy plug-in b of policy-plugin", "TypeError: a_policy_plugin:OTHER is not a CustomPolicy"],
        ["policy plug-in c of policy-plugin", "LocalProtocolError: policy type 0x80007777 is taken"],
        ["policy plug-in d of policy-plugin", "OSError: out of order"],
        ["policy plug-in e of policy-plugin", "AttributeError: module 'a_policy_plugin' has no attribute 'MISSING'"],
    ]
    assert policies.load_plugins()[0] == loaded, "loading again changes nothing"


def test_registrar_accepts_only_registered_custom_policies() -> None:
    bench = Bench()
    number = bench.associate()
    mine = m.Policy(policy_type=TYPE, data=bytes(4))
    assert cause_of(bench.register(number, 1, policy=mine)) == Cause.INVALID_VALUES
    policy = custom()
    for identifier, metres in ((1, 20), (2, 10)):
        assert not bench.register(number, identifier, policy=policy.policy(metres=metres)).reject
    assert bench.listed(number) == [2, 1]
    assert not bench.register(number, 1, policy=policy.policy(metres=5)).reject
    assert bench.listed(number) == [1, 2]
    assert not bench.wait(1.0)


def test_registrar_reports_a_failing_policy_once_and_answers_by_round_robin() -> None:
    custom(raising(ValueError("no data")))
    bench = Bench(rule_candidates=1)
    assert bench.space.max_candidates == 1
    number = bench.associate()
    for identifier in (1, 2):
        bench.register(number, identifier, policy=m.Policy(policy_type=TYPE, values=(identifier,)))
    assert [bench.listed(number) for _ in range(3)] == [[1, 2], [2, 1], [1, 2]]
    assert bench.counters["failures of custom policies"] == 3
    (note,) = bench.wait(0.0)
    assert isinstance(note, Note)
    assert (note.level, note.subject) == (Level.ERROR, "policy 0x80000123")
    assert "b'EchoPool'; round robin goes on: ValueError: no data" in note.text
    bench.listed(number)
    assert [type(action) for action in bench.wait(0.0)] == [Note]


def test_registrar_accepts_peer_elements_only_with_registered_policies() -> None:
    policy = custom()
    scope = Scope()
    low = scope.join(LOW, 2)
    mine = replace(element(5, LOW), policy=policy.policy(metres=3))
    scope.send(low, update(LOW, mine))
    assert scope.homes() == {5: LOW}
    policies.unregister(policy)
    unknown = m.Policy(policy_type=TYPE, data=bytes(4))
    scope = Scope()
    low = scope.join(LOW, 2)
    scope.send(low, update(LOW, replace(mine, policy=unknown)))
    assert scope.homes() == {}


def user_pool(*values: int, kind: int = TYPE) -> tuple[Cache, list[str]]:
    failures: list[str] = []
    cache = Cache(4, random.Random(1), lambda handle, kind, reason: failures.append(reason))
    elements = tuple(
        resolved(POOL, replace(element(number, LOW), policy=m.Policy(policy_type=TYPE, values=(value,))))
        for number, value in enumerate(values, 1)
    )
    cache.store(POOL, CachedPool(elements, m.Policy(policy_type=kind, values=(values[0],)), 0, 99))
    return cache, failures


def selected(cache: Cache, exclude: tuple[int, ...] = ()) -> int:
    found = cache.select(POOL, exclude)
    assert found is not None
    return found.identifier


def test_pool_user_selects_by_the_custom_policy() -> None:
    custom()
    cache, failures = user_pool(30, 10, 20, 10)
    assert [selected(cache) for _ in range(4)] == [2, 4, 2, 4]
    assert [selected(cache, (2, 4)) for _ in range(2)] == [3, 3]
    assert cache.select(POOL, (1, 2, 3, 4)) is None
    assert not failures


def test_policy_state_of_a_pool_user_survives_a_new_resolution() -> None:
    def select(candidates: Sequence[Candidate], items: int, state: dict[str, int], random: object) -> list[int]:
        state["calls"] = state.get("calls", 0) + 1
        return [i for i, one in enumerate(candidates) if one.identifier == state["calls"]]

    custom(select)
    cache, failures = user_pool(1, 1, 1, 1)
    first = cache.fresh(POOL, 99, 0)
    assert first is not None
    assert [selected(cache) for _ in range(2)] == [1, 2]
    cache.store(POOL, CachedPool(first.elements, first.policy, 5, 99))
    assert [selected(cache) for _ in range(2)] == [3, 4]
    assert not failures


def test_pool_user_falls_back_to_round_robin() -> None:
    custom(raising(ValueError("no data")))
    cache, failures = user_pool(1, 2, 3)
    assert [selected(cache) for _ in range(4)] == [1, 2, 3, 1]
    assert failures == ["ValueError: no data"] * 4
    cache, failures = user_pool(1, 2, kind=TYPE + 5)
    assert [selected(cache) for _ in range(3)] == [1, 2, 1]
    assert not failures, "an unknown policy type is no failure"


def test_node_of_a_pool_user_counts_and_reports_failures() -> None:
    custom(raising(ValueError("no data")))
    policy = m.Policy(policy_type=TYPE, values=(1,))
    bench = with_pool(policy, listed(1, policy))
    assert bench.node.user.select(client_bench.POOL) is not None
    assert bench.context.counters["failures of custom policies"] == 1
    assert any(isinstance(action, Note) and "no data" in action.text for action in bench.node.drain())

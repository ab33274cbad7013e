"""A pool under a custom policy against a plain model: the answer is the rule's valid choice, or else round robin."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rserpool import policies
from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool.policies import Candidate, CustomPolicy
from tests.support import elements as e

POOL = b"Pool"
TYPE = 0x8000AAAA

indices = st.integers(-1, 6)
answers = st.one_of(
    st.lists(indices, max_size=6),
    st.lists(st.integers(0, 5), min_size=1, unique=True),
    st.permutations(range(4)),
    st.lists(st.one_of(indices, st.booleans(), st.floats(), st.none(), st.text(max_size=1))),
    st.sampled_from((None, 3, "01", {0: 1}, RuntimeError("no"))),
)
steps = st.one_of(
    st.tuples(st.just("register"), st.integers(1, 6), st.integers(0, 0xFFFFFFFF)),
    st.tuples(st.just("remove"), st.integers(1, 6), st.just(0)),
    st.tuples(st.sampled_from(("select", "peek", "resolve")), st.integers(0, 7), answers),
)


class Model:
    """Round robin over a list, head first."""

    def __init__(self, window: int) -> None:
        self.order: list[int] = []
        self.values: dict[int, int] = {}
        self.uses: dict[int, int] = {}
        self.window = window

    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(identifier=who, values=(self.values[who],), uses=self.uses[who])
            for who in self.order[: self.window]
        )

    def listed(self, answer: Any, items: int) -> tuple[list[int], bool]:
        """Return the expected answer, and whether the rule failed."""
        wanted = min(items or len(self.order), len(self.order))
        count = min(self.window, len(self.order))
        found: list[int] = []
        try:
            for index in answer:
                good = type(index) is int and 0 <= index < count and self.order[index] not in found
                if not good:
                    return self.order[:wanted], True
                found.append(self.order[index])
                if len(found) == wanted:
                    break
        except TypeError:
            return self.order[:wanted], True
        return (found, False) if found else (self.order[:wanted], True)

    def use(self, head: int) -> None:
        self.uses[head] += 1
        self.order.remove(head)
        self.order.append(head)


@settings(max_examples=400)
@given(script=st.lists(steps, min_size=5, max_size=40), window=st.integers(1, 6))
def test_the_answer_comes_from_the_rule_or_else_from_round_robin(
    script: list[tuple[str, int, Any]], window: int
) -> None:
    shown: list[tuple[Candidate, ...]] = []
    complaints: list[str] = []
    answer: Any = None

    def select(candidates: tuple[Candidate, ...], items: int, state: object, random: object) -> Any:
        shown.append(candidates)
        if isinstance(answer, Exception):
            raise answer
        return answer

    policy = policies.register(CustomPolicy(name="scripted", policy_type=TYPE, values=("x",), select=select))
    try:
        space = Handlespace(7, seed=1, wheel=Wheel(0))
        space.max_candidates = window
        space.on_policy_failure = lambda handle, kind, reason: complaints.append(reason)
        model = Model(window)
        for step, number, answer in script:
            if step == "register":
                space.register(POOL, e.element(number, TYPE, (answer,)), home=7)
                if number not in model.values:
                    model.order.append(number)
                model.values[number], model.uses[number] = answer, 0
            elif step == "remove":
                assert space.remove(POOL, number) is (model.values.pop(number, None) is not None)
                model.order = [who for who in model.order if who != number]
            elif not model.order:
                assert space.select(POOL, number) == []
            else:
                shown.clear()
                complaints.clear()
                expected, failed = model.listed(answer, number)
                seen = model.candidates()
                if step == "resolve":
                    octets = space.resolution(POOL, number)
                    listed = [e.element(who, TYPE, (model.values[who],), home=7) for who in expected]
                    first = e.policy(TYPE, (model.values[expected[0]],))
                    assert octets == e.message(6, e.handle_parameter(POOL), first, *listed)
                else:
                    assert space.select(POOL, number, advance=step == "select") == expected
                assert shown == [seen]
                assert bool(complaints) is failed
                if step != "peek":
                    model.use(expected[0])
            space._check()
    finally:
        policies.unregister(policy)

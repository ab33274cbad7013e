"""A pool user's cache of resolved pools, and the selection of an element by policy (RFC 5352 3.3, RFC 5356).

The selection follows the pool's policy, which the answer contains separately from the elements. The policies of the
elements do not define the pool's (RFC 5352 2.2.6).
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from rserpool._fast.base.policy_types import FIRST_PRIVATE
from rserpool._fast.handlespace.custom_policies import choose_indices, failure
from rserpool.messages import Policy, PolicyType
from rserpool.messages.resolved import ResolvedElement
from rserpool.protocol.randomness import Randomness

USES_KEPT = 65_536
"""The largest number of elements in use that the cache remembers, so that it can report their failures. Beyond it the
oldest one is forgotten, because a registrar could list elements without end."""

SEEDS = 1 << 53
"""Number of distinct seeds that a random number below 1 yields."""

Choice = Callable[["CachedPool", list[ResolvedElement], Randomness], ResolvedElement]


@dataclass(slots=True)
class CachedPool:
    """One resolved pool. Times are microseconds."""

    elements: tuple[ResolvedElement, ...]
    policy: Policy | None
    """None for round robin."""
    resolved: int
    items: int
    """Number of elements that were asked for."""
    head: int = 0
    """Index of the next element of round robin."""
    memory: dict[Any, Any] = field(default_factory=dict)
    """The memory of a custom policy's rule between selections."""
    chosen: Counter[int] = field(default_factory=Counter)
    """How many times a custom policy has selected each element since the pool was resolved."""

    @property
    def policy_type(self) -> int:
        return PolicyType.ROUND_ROBIN if self.policy is None else self.policy.policy_type


def round_robin(pool: CachedPool, allowed: list[ResolvedElement], randomness: Randomness) -> ResolvedElement:
    """Take turns in the order of the answer, from its first element on (RFC 5356 4.1.3). An element that is listed more
    than once has more turns (4.2.3)."""
    eligible = set(map(id, allowed))
    while True:
        element = pool.elements[pool.head % len(pool.elements)]
        pool.head = (pool.head + 1) % len(pool.elements)
        if id(element) in eligible:
            return element


def uniformly(pool: CachedPool, allowed: list[ResolvedElement], randomness: Randomness) -> ResolvedElement:
    """Select any element with equal probability (RFC 5356 4.3.3, 4.4.3, 5.4.3)."""
    return allowed[int(randomness.random() * len(allowed))]


def first(pool: CachedPool, allowed: list[ResolvedElement], randomness: Randomness) -> ResolvedElement:
    """Select the first element of the answer (RFC 5356 5.1.3, 5.2.3, 5.3.3). The others serve when it fails."""
    return allowed[0]


def highest_priority(pool: CachedPool, allowed: list[ResolvedElement], randomness: Randomness) -> ResolvedElement:
    """Select the element with the highest priority (RFC 5356 4.5.3), the first among equals."""
    return max(allowed, key=_priority)


def _priority(element: ResolvedElement) -> int:
    policy = element.policy
    return policy.priority if policy.policy_type == PolicyType.PRIORITY else -1


CHOICES: dict[int, Choice] = {
    PolicyType.ROUND_ROBIN: round_robin,
    PolicyType.WEIGHTED_ROUND_ROBIN: round_robin,
    PolicyType.RANDOM: uniformly,
    PolicyType.WEIGHTED_RANDOM: uniformly,
    PolicyType.PRIORITY: highest_priority,
    PolicyType.LEAST_USED: first,
    PolicyType.LEAST_USED_WITH_DEGRADATION: first,
    PolicyType.PRIORITY_LEAST_USED: first,
    PolicyType.RANDOMIZED_LEAST_USED: uniformly,
    PolicyType.RANDOMIZED_PRIORITY_LEAST_USED: uniformly,
    PolicyType.RANDOMIZED_LEAST_USED_WITH_DEGRADATION: uniformly,
    PolicyType.PRIORITY_LEAST_USED_WITH_DEGRADATION: first,
    PolicyType.RANDOMIZED_PRIORITY_LEAST_USED_WITH_DEGRADATION: uniformly,
    PolicyType.WEIGHTED_RANDOM_WITH_DPF: uniformly,
    PolicyType.LEAST_USED_WITH_DPF: first,
    PolicyType.LEAST_USED_WITH_DEGRADATION_AND_DPF: first,
    PolicyType.PRIORITY_LEAST_USED_WITH_DPF: first,
    PolicyType.PRIORITY_LEAST_USED_WITH_DEGRADATION_AND_DPF: first,
}
"""The selection function that a pool user uses for each policy. Any other policy is treated as round robin."""


class Cache:
    """The latest resolved pools, at most ``pools``."""

    def __init__(
        self, pools: int, randomness: Randomness, failed: Callable[[bytes, int, str], None] = lambda *_: None
    ) -> None:
        """``failed`` is called with pool handle, policy type and reason when a custom policy fails."""
        self._limit = pools
        self._randomness = randomness
        self._failed = failed
        self._pools: OrderedDict[bytes, CachedPool] = OrderedDict()
        self._uses: OrderedDict[tuple[bytes, int], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pools)

    def store(self, handle: bytes, pool: CachedPool) -> None:
        """Store a pool that was just resolved. The least recently used pool makes room."""
        old = self._pools.get(handle)
        if old is not None and old.policy_type == pool.policy_type:
            pool.memory = old.memory
        self._pools[handle] = pool
        self._pools.move_to_end(handle)
        if len(self._pools) > self._limit:
            self._pools.popitem(last=False)

    def fresh(self, handle: bytes, items: int, since: int) -> CachedPool | None:
        """The pool if it was resolved at ``since`` or later, and holds ``items`` elements or all that exist; else
        None."""
        pool = self._pools.get(handle)
        if pool is None or pool.resolved < since or (len(pool.elements) >= pool.items < items):
            return None
        self._pools.move_to_end(handle)
        return pool

    def purge(self, handle: bytes) -> None:
        """Drop a pool."""
        self._pools.pop(handle, None)

    def drop(self, handle: bytes, identifier: int) -> None:
        """Drop one element of a pool. A pool without elements is dropped too."""
        pool = self._pools.get(handle)
        if pool is None or not any(element.identifier == identifier for element in pool.elements):
            return
        before = sum(element.identifier != identifier for element in pool.elements[: pool.head])
        pool.elements = tuple(element for element in pool.elements if element.identifier != identifier)
        pool.head = before
        if not pool.elements:
            del self._pools[handle]

    def select(self, handle: bytes, exclude: Collection[int]) -> ResolvedElement | None:
        """Select one element by the pool's policy, and count it as used. None if none is left."""
        pool = self._pools.get(handle)
        allowed = [one for one in pool.elements if one.identifier not in exclude] if pool is not None else []
        if pool is None or not allowed:
            return None
        chosen = self._by_rule(handle, pool, allowed) if pool.policy_type >= FIRST_PRIVATE else None
        if chosen is None:
            chosen = CHOICES.get(pool.policy_type, round_robin)(pool, allowed, self._randomness)
        self.used(handle, (chosen,))
        return chosen

    def _by_rule(self, handle: bytes, pool: CachedPool, allowed: list[ResolvedElement]) -> ResolvedElement | None:
        """Select by the rule of a custom policy. None if there is no such rule, or it fails."""
        rotated = [*pool.elements[pool.head :], *pool.elements[: pool.head]]
        eligible = {one.identifier for one in allowed if one.policy.policy_type == pool.policy_type}
        order = {one.identifier: one for one in rotated if one.identifier in eligible}
        candidates = [(key, one.policy.values, pool.chosen[key]) for key, one in order.items()]
        seed = int(self._randomness.random() * SEEDS)
        try:
            indices = choose_indices(pool.policy_type, candidates, 1, pool.memory, seed) if candidates else None
        except (Exception, SystemExit) as error:
            self._failed(handle, pool.policy_type, failure(error))
            return None
        if indices is None:
            return None
        chosen = order[candidates[indices[0]][0]]
        pool.chosen[chosen.identifier] += 1
        pool.head = pool.elements.index(chosen) + 1
        return chosen

    def used(self, handle: bytes, elements: Collection[ResolvedElement]) -> None:
        """Record that elements were handed out. A failure of each may be reported once."""
        for element in elements:
            self._uses[handle, element.identifier] = None
            self._uses.move_to_end((handle, element.identifier))
        while len(self._uses) > USES_KEPT:
            self._uses.popitem(last=False)

    def end_use(self, handle: bytes, identifier: int) -> bool:
        """The element has failed. True if it was in use: only then is the failure reported (RFC 5352 3.5)."""
        return self._uses.pop((handle, identifier), self) is None

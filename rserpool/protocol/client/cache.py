"""A pool user's cache of resolved pools, and its own choice among their elements (RFC 5352 3.3, RFC 5356).

The choice follows the pool's policy, which the answer names apart from its elements; what the elements say of policies
never defines it (RFC 5352 2.2.6).
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from rserpool._fast.handlespace.custom_policies import FIRST_PRIVATE, choose_indices, failure
from rserpool.messages import Policy, PolicyType
from rserpool.messages.resolved import ResolvedElement
from rserpool.protocol.randomness import Randomness

USES_KEPT = 65_536
"""Pool elements that are remembered as handed out, so that a failure of theirs may be reported. Answers of a registrar
that lists without end push the oldest out."""

SEEDS = 1 << 53
"""The seeds that a random number below 1 has room for."""

Choice = Callable[["Entry", list[ResolvedElement], Randomness], ResolvedElement]


@dataclass(slots=True)
class Entry:
    """One pool. Times are microseconds."""

    elements: tuple[ResolvedElement, ...]
    policy: Policy | None
    """None for round robin."""
    resolved: int
    items: int
    """How many elements were asked for."""
    head: int = 0
    """Where round robin goes on."""
    memory: dict[Any, Any] = field(default_factory=dict)
    """What the rule of a custom policy keeps in mind."""
    chosen: Counter[int] = field(default_factory=Counter)
    """How often each element was chosen by such a rule since the pool was resolved."""

    @property
    def policy_type(self) -> int:
        return PolicyType.ROUND_ROBIN if self.policy is None else self.policy.policy_type


def by_turns(entry: Entry, allowed: list[ResolvedElement], randomness: Randomness) -> ResolvedElement:
    """Round robin over the list as it was received, from its first entry on (RFC 5356 4.1.3); an element that is listed
    more than once has more turns (4.2.3)."""
    fine = set(map(id, allowed))
    while True:
        element = entry.elements[entry.head % len(entry.elements)]
        entry.head = (entry.head + 1) % len(entry.elements)
        if id(element) in fine:
            return element


def at_random(entry: Entry, allowed: list[ResolvedElement], randomness: Randomness) -> ResolvedElement:
    """Any of them, as likely as any other (RFC 5356 4.3.3, 4.4.3, 5.4.3)."""
    return allowed[int(randomness.random() * len(allowed))]


def in_order(entry: Entry, allowed: list[ResolvedElement], randomness: Randomness) -> ResolvedElement:
    """The first of the list as it was received (RFC 5356 5.1.3, 5.2.3, 5.3.3): the others are for when that one
    fails."""
    return allowed[0]


def highest_priority(entry: Entry, allowed: list[ResolvedElement], randomness: Randomness) -> ResolvedElement:
    """That of the highest priority (RFC 5356 4.5.3), the first of them among equals."""
    return max(allowed, key=_priority)


def _priority(element: ResolvedElement) -> int:
    policy = element.policy
    return policy.priority if policy.policy_type == PolicyType.PRIORITY else -1


CHOICES: dict[int, Choice] = {
    PolicyType.ROUND_ROBIN: by_turns,
    PolicyType.WEIGHTED_ROUND_ROBIN: by_turns,
    PolicyType.RANDOM: at_random,
    PolicyType.WEIGHTED_RANDOM: at_random,
    PolicyType.PRIORITY: highest_priority,
    PolicyType.LEAST_USED: in_order,
    PolicyType.LEAST_USED_WITH_DEGRADATION: in_order,
    PolicyType.PRIORITY_LEAST_USED: in_order,
    PolicyType.RANDOMIZED_LEAST_USED: at_random,
    PolicyType.RANDOMIZED_PRIORITY_LEAST_USED: at_random,
    PolicyType.RANDOMIZED_LEAST_USED_WITH_DEGRADATION: at_random,
    PolicyType.PRIORITY_LEAST_USED_WITH_DEGRADATION: in_order,
    PolicyType.RANDOMIZED_PRIORITY_LEAST_USED_WITH_DEGRADATION: at_random,
    PolicyType.WEIGHTED_RANDOM_WITH_DPF: at_random,
    PolicyType.LEAST_USED_WITH_DPF: in_order,
    PolicyType.LEAST_USED_WITH_DEGRADATION_AND_DPF: in_order,
    PolicyType.PRIORITY_LEAST_USED_WITH_DPF: in_order,
    PolicyType.PRIORITY_LEAST_USED_WITH_DEGRADATION_AND_DPF: in_order,
}
"""What each policy means for the pool user; any other is taken as round robin."""


class Cache:
    """The pools that were resolved last, at most ``pools`` of them."""

    def __init__(
        self, pools: int, randomness: Randomness, complain: Callable[[bytes, int, str], None] = lambda *_: None
    ) -> None:
        """``complain`` is told pool handle, policy type and reason where the rule of a custom policy fails."""
        self._pools = pools
        self._randomness = randomness
        self._complain = complain
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._uses: OrderedDict[tuple[bytes, int], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def store(self, handle: bytes, entry: Entry) -> None:
        """What a registrar has just said of a pool. The pool that was used longest ago makes room."""
        old = self._entries.get(handle)
        if old is not None and old.policy_type == entry.policy_type:
            entry.memory = old.memory
        self._entries[handle] = entry
        self._entries.move_to_end(handle)
        if len(self._entries) > self._pools:
            self._entries.popitem(last=False)

    def fresh(self, handle: bytes, items: int, since: int) -> Entry | None:
        """The entry of a pool, if it is from then or later and holds as many elements as are wanted, or all."""
        entry = self._entries.get(handle)
        if entry is None or entry.resolved < since or (len(entry.elements) >= entry.items < items):
            return None
        self._entries.move_to_end(handle)
        return entry

    def find(self, handle: bytes) -> Entry | None:
        """The entry of a pool, however old."""
        return self._entries.get(handle)

    def purge(self, handle: bytes) -> None:
        """Forget a pool."""
        self._entries.pop(handle, None)

    def drop(self, handle: bytes, identifier: int) -> None:
        """Forget one element of a pool, and the pool with the last of them."""
        entry = self._entries.get(handle)
        if entry is None or not any(element.identifier == identifier for element in entry.elements):
            return
        before = sum(element.identifier != identifier for element in entry.elements[: entry.head])
        entry.elements = tuple(element for element in entry.elements if element.identifier != identifier)
        entry.head = before
        if not entry.elements:
            del self._entries[handle]

    def select(self, handle: bytes, exclude: Collection[int]) -> ResolvedElement | None:
        """One element, by the pool's policy; this counts as a use. None if there is none but those excluded."""
        entry = self._entries.get(handle)
        allowed = [one for one in entry.elements if one.identifier not in exclude] if entry is not None else []
        if entry is None or not allowed:
            return None
        chosen = self._by_rule(handle, entry, allowed) if entry.policy_type >= FIRST_PRIVATE else None
        if chosen is None:
            chosen = CHOICES.get(entry.policy_type, by_turns)(entry, allowed, self._randomness)
        self.used(handle, (chosen,))
        return chosen

    def _by_rule(self, handle: bytes, entry: Entry, allowed: list[ResolvedElement]) -> ResolvedElement | None:
        """What the rule of a custom policy chooses; None where there is none, or it fails."""
        turned = [*entry.elements[entry.head :], *entry.elements[: entry.head]]
        fine = {one.identifier for one in allowed if one.policy.policy_type == entry.policy_type}
        order = {one.identifier: one for one in turned if one.identifier in fine}
        candidates = [(who, one.policy.values, entry.chosen[who]) for who, one in order.items()]
        seed = int(self._randomness.random() * SEEDS)
        try:
            indices = choose_indices(entry.policy_type, candidates, 1, entry.memory, seed) if candidates else None
        except (Exception, SystemExit) as error:
            self._complain(handle, entry.policy_type, failure(error))
            return None
        if indices is None:
            return None
        chosen = order[candidates[indices[0]][0]]
        entry.chosen[chosen.identifier] += 1
        entry.head = entry.elements.index(chosen) + 1
        return chosen

    def used(self, handle: bytes, elements: Collection[ResolvedElement]) -> None:
        """These were handed out: each failure of theirs may be reported once."""
        for element in elements:
            self._uses[handle, element.identifier] = None
            self._uses.move_to_end((handle, element.identifier))
        while len(self._uses) > USES_KEPT:
            self._uses.popitem(last=False)

    def use_over(self, handle: bytes, identifier: int) -> bool:
        """The element has failed; whether it was in use, so that this is news (RFC 5352 3.5)."""
        return self._uses.pop((handle, identifier), self) is None

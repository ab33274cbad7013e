"""Selection policies of one's own: Python rules under private policy types (RFC 5356 7).

NEAREST = policies.register(CustomPolicy(
    name="nearest", policy_type=0x80000001, values=("metres",),
    select=lambda candidates, items, state, random: sorted(
        range(len(candidates)), key=lambda i: candidates[i].values[0]),
))
"""

import copy
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, SupportsIndex

from rserpool._fast.base.policy_types import FIRST_PRIVATE, MAX_CUSTOM_POLICIES, MAX_CUSTOM_POLICY_VALUES
from rserpool._fast.handlespace.custom_policies import install, uninstall
from rserpool.errors import LocalProtocolError
from rserpool.messages import POLICY_VALUES, Policy, PolicyType

__all__ = [
    "FIRST_PRIVATE",
    "GROUP",
    "MAX_CUSTOM_POLICIES",
    "MAX_CUSTOM_POLICY_VALUES",
    "Candidate",
    "CustomPolicy",
    "PluginError",
    "Select",
    "load_plugins",
    "name_of",
    "register",
    "registered",
    "unregister",
]

GROUP: Final = "rserpool.policies"
"""The entry point group of which every entry names a CustomPolicy."""


class PluginError(LocalProtocolError):
    """An entry point that gives no policy; its text names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A pool element as a rule sees it."""

    identifier: int
    values: tuple[int, ...]
    """The 32-bit values of its policy, as it registered them."""
    uses: int = 0
    """How many answers it has headed since it registered last, at this registrar or user."""


Select = Callable[[tuple[Candidate, ...], int, dict[Any, Any], random.Random], Iterable[SupportsIndex]]
"""A rule: (candidates, items, state, random) -> indices of candidates, best first, none twice, at least one. What goes
beyond ``items`` of them is ignored. ``candidates`` come in the order of round robin, so that a stable sort lets equals
take turns. ``state`` is the pool's own dict, empty at first, for plain data; where the answer does not count as a use,
it is a copy. ``random`` follows from the registrar's seed. A rule must be quick: nothing else happens meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomPolicy:
    """A selection policy under a private type. Raises LocalProtocolError for what cannot be one."""

    name: str
    """For logs and command lines."""
    policy_type: int
    """0x80000000 or more, except rsplib's 0xb0000000 to 0xb000ffff."""
    values: tuple[str, ...] = ()
    """The names of the 32-bit values that each pool element registers, in the order of the wire; at most 16."""
    select: Select

    def __post_init__(self) -> None:
        if not self.name or len(set(self.values)) < len(self.values):
            raise LocalProtocolError("a policy has a name, and different names for its values")
        if not callable(self.select):
            raise LocalProtocolError(f"the rule of policy {self.name} cannot be called")

    def policy(self, **values: int) -> Policy:
        """The policy parameter with these values, each named. Raises LocalProtocolError for others than its own."""
        if set(values) != set(self.values):
            raise LocalProtocolError(f"policy {self.name} has the values ({', '.join(self.values)})")
        return Policy(policy_type=self.policy_type, values=tuple(values[name] for name in self.values))

    def _choose(
        self, raw: list[tuple[int, tuple[int, ...], int]], items: int, state: dict[Any, Any], seed: int, used: bool
    ) -> Any:
        candidates = tuple(Candidate(identifier=who, values=values, uses=uses) for who, values, uses in raw)
        return self.select(candidates, items, state if used else copy.deepcopy(state), random.Random(seed))


_REGISTERED: dict[int, CustomPolicy] = {}


def register(policy: CustomPolicy) -> CustomPolicy:
    """Make a policy known to this process: to its registrars, pool users and messages. The same policy again changes
    nothing; LocalProtocolError where its name or type is another's, or the type is not private."""
    if _REGISTERED.get(policy.policy_type) is policy:
        return policy
    if any(known.name == policy.name for known in _REGISTERED.values()) or policy.name in BUILT_IN.values():
        raise LocalProtocolError(f"the name {policy.name} is another policy's")
    install(policy.policy_type, len(policy.values), policy._choose)
    POLICY_VALUES[policy.policy_type] = policy.values
    _REGISTERED[policy.policy_type] = policy
    return policy


def unregister(policy: CustomPolicy) -> None:
    """Forget a policy. Pools that exist keep its rule."""
    if _REGISTERED.get(policy.policy_type) is policy:
        del _REGISTERED[policy.policy_type]
        del POLICY_VALUES[policy.policy_type]
        uninstall(policy.policy_type)


def registered() -> tuple[CustomPolicy, ...]:
    """The policies registered, by type."""
    return tuple(_REGISTERED[policy_type] for policy_type in sorted(_REGISTERED))


BUILT_IN: Final = {int(policy): policy.name.lower().replace("_", "-") for policy in PolicyType}


def name_of(policy_type: int) -> str:
    """``least-used``, the name of a registered policy, or the number of an unknown one."""
    custom = _REGISTERED.get(policy_type)
    return custom.name if custom is not None else BUILT_IN.get(policy_type, f"0x{policy_type:08x}")


def load_plugins() -> tuple[list[CustomPolicy], list[PluginError]]:
    """Register the policies that installed packages offer as entry points of GROUP: (those, one error for each entry
    that gives none). The rest work all the same."""
    loaded: list[CustomPolicy] = []
    errors: list[PluginError] = []
    for entry in sorted(entry_points(group=GROUP)):
        try:
            loaded.append(_load(entry))
        except PluginError as error:
            errors.append(error)
    return loaded, errors


def _load(entry: EntryPoint) -> CustomPolicy:
    origin = f" of {entry.dist.name}" if entry.dist is not None else ""
    try:
        policy = entry.load()
        if not isinstance(policy, CustomPolicy):
            raise TypeError(f"{entry.value} is no CustomPolicy")
        return register(policy)
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(f"policy plug-in {entry.name}{origin} is not used: {reason}") from error

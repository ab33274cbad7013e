"""Custom selection policies: Python functions under private policy types (RFC 5356 7).

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
"""The entry point group for plug-ins; each entry names a CustomPolicy."""


class PluginError(LocalProtocolError):
    """An entry point does not load or is not a policy. The text names the entry point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A pool element that a selection function may choose."""

    identifier: int
    values: tuple[int, ...]
    """The 32-bit values of its policy that it registered."""
    uses: int = 0
    """The number of answers of this registrar or pool user in which it was the first since its last registration."""


Select = Callable[[tuple[Candidate, ...], int, dict[Any, Any], random.Random], Iterable[SupportsIndex]]
"""A selection function: (candidates, items, state, random) -> indices of candidates, best first.

It returns at least one index and none twice; indices beyond the first ``items`` are ignored. ``candidates`` are in
round robin order, so that with a stable sort equal candidates take turns. ``state`` is the pool's own dict for plain
data, empty at first; if the answer does not count as a use, it is a copy. ``random`` is seeded from the registrar's
generator. The function must be fast: it blocks the registrar or pool user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomPolicy:
    """A selection policy under a private type. Raises LocalProtocolError for invalid arguments."""

    name: str
    """The name in logs and on command lines."""
    policy_type: int
    """0x80000000 or more, except rsplib's 0xb0000000 to 0xb000ffff."""
    values: tuple[str, ...] = ()
    """The names of the 32-bit values that each pool element registers, in the order of the wire; at most 16."""
    select: Select

    def __post_init__(self) -> None:
        if not self.name or len(set(self.values)) < len(self.values):
            raise LocalProtocolError("a policy needs a name, and different names for its values")
        if not callable(self.select):
            raise LocalProtocolError(f"the selection function of policy {self.name} is not callable")

    def policy(self, **values: int) -> Policy:
        """The policy parameter with these values. Raises LocalProtocolError if a name is missing or unknown."""
        if set(values) != set(self.values):
            raise LocalProtocolError(f"policy {self.name} has the values ({', '.join(self.values)})")
        return Policy(policy_type=self.policy_type, values=tuple(values[name] for name in self.values))

    def _choose(
        self, raw: list[tuple[int, tuple[int, ...], int]], items: int, state: dict[Any, Any], seed: int, used: bool
    ) -> Any:
        candidates = tuple(
            Candidate(identifier=identifier, values=values, uses=uses) for identifier, values, uses in raw
        )
        return self.select(candidates, items, state if used else copy.deepcopy(state), random.Random(seed))


_REGISTERED: dict[int, CustomPolicy] = {}


def register(policy: CustomPolicy) -> CustomPolicy:
    """Register a policy for all registrars, pool users and messages of this process. Registering it again has no
    effect.

    Raises LocalProtocolError if another policy has its name or type, if the type is not private, or if
    MAX_CUSTOM_POLICIES are registered.
    """
    if _REGISTERED.get(policy.policy_type) is policy:
        return policy
    if any(known.name == policy.name for known in _REGISTERED.values()) or policy.name in BUILT_IN.values():
        raise LocalProtocolError(f"another policy has the name {policy.name}")
    install(policy.policy_type, len(policy.values), policy._choose)
    POLICY_VALUES[policy.policy_type] = policy.values
    _REGISTERED[policy.policy_type] = policy
    return policy


def unregister(policy: CustomPolicy) -> None:
    """Remove a policy. Existing pools keep it."""
    if _REGISTERED.get(policy.policy_type) is policy:
        del _REGISTERED[policy.policy_type]
        del POLICY_VALUES[policy.policy_type]
        uninstall(policy.policy_type)


def registered() -> tuple[CustomPolicy, ...]:
    """The registered policies, by type."""
    return tuple(_REGISTERED[policy_type] for policy_type in sorted(_REGISTERED))


BUILT_IN: Final = {int(policy): policy.name.lower().replace("_", "-") for policy in PolicyType}


def name_of(policy_type: int) -> str:
    """The name of a policy, such as ``least-used``; for an unknown one its number in hexadecimal."""
    custom = _REGISTERED.get(policy_type)
    return custom.name if custom is not None else BUILT_IN.get(policy_type, f"0x{policy_type:08x}")


def load_plugins() -> tuple[list[CustomPolicy], list[PluginError]]:
    """Register the policies of the installed packages, which are entry points of GROUP.

    Returns the policies, and one error for each entry point that failed. A failure does not affect the others.
    """
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
            raise TypeError(f"{entry.value} is not a CustomPolicy")
        return register(policy)
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(f"policy plug-in {entry.name}{origin} is not used: {reason}") from error

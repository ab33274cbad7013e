from collections.abc import Callable, Sequence
from typing import Any, Final, SupportsIndex

MAX_RULES: Final[int]
MAX_VALUES: Final[int]
FIRST_PRIVATE: Final[int]

_Choose = Callable[[list[tuple[int, tuple[int, ...], int]], int, dict[Any, Any], int, bool], Sequence[SupportsIndex]]

class Rule: ...

def install(policy_type: SupportsIndex, words: SupportsIndex, rule: _Choose) -> None: ...
def failure(error: BaseException) -> str: ...
def follow(
    policy_type: SupportsIndex,
    candidates: list[tuple[int, tuple[int, ...], int]],
    wanted: SupportsIndex,
    memory: dict[Any, Any],
    seed: SupportsIndex,
) -> list[int] | None: ...
def uninstall(policy_type: SupportsIndex) -> bool: ...

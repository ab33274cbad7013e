from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

_Choose = Callable[[list[tuple[int, tuple[int, ...], int]], int, dict[Any, Any], int, bool], Sequence[SupportsIndex]]

class CustomPolicy: ...

def install(policy_type: SupportsIndex, values: SupportsIndex, choose: _Choose) -> None: ...
def failure(error: BaseException) -> str: ...
def choose_indices(
    policy_type: SupportsIndex,
    candidates: list[tuple[int, tuple[int, ...], int]],
    wanted: SupportsIndex,
    memory: dict[Any, Any],
    seed: SupportsIndex,
) -> list[int] | None: ...
def uninstall(policy_type: SupportsIndex) -> bool: ...

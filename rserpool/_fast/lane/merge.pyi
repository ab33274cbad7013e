from collections.abc import Callable
from typing import Any

from rserpool._fast.handlespace.handlespace import Handlespace

def ordinary_table(data: bytes) -> bool: ...

class Merger:
    def __new__(
        cls,
        handlespace: Handlespace,
        *,
        handle_octets: int,
        pools: int,
        elements_per_home: int,
        watchers: dict[bytes, Any],
        merged: Callable[[bytes, int, bool, int], object],
    ) -> Merger: ...
    def table(
        self, data: bytes, peer: int, everything: bool, now: int, unusual: Callable[[bytes, Any], object]
    ) -> None: ...
    def update(self, data: bytes, peer: int, now: int) -> bool: ...

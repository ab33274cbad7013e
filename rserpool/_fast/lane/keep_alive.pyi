from typing import SupportsIndex

from rserpool._fast.handlespace.handlespace import Handlespace

def probe(
    handlespace: Handlespace, handle: bytes, identifier: SupportsIndex, deadline: int, again: bool = False
) -> tuple[int, bytes] | None: ...

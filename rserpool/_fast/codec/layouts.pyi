from collections.abc import Iterable
from typing import Final

MESSAGE_TAIL: Final[tuple[str, ...]]
ENRP_HEAD: Final[tuple[str, ...]]
NAMES: Final[tuple[tuple[str, tuple[str, ...]], ...]]

def install(classes: Iterable[type]) -> None: ...

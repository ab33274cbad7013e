"""Reliable Server Pooling (RFC 5351-5356): registrar, pool elements and pool users."""

import importlib
from typing import TYPE_CHECKING, Any

from rserpool._version import __version__

if TYPE_CHECKING:
    from rserpool.registrar.embedded import Registrar

__all__ = ["Registrar", "__version__"]

_WHERE = {"Registrar": "rserpool.registrar.embedded"}
"""Names that are imported at their first use, and their modules."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_WHERE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})

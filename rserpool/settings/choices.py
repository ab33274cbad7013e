"""The words that options accept for values that are not numbers, and the value that each word stands for."""

from collections.abc import Mapping
from typing import Final

from rserpool.model.addresses import Scope

TRANSPORTS: Final[Mapping[str, object]] = {name: name for name in ("auto", "kernel", "usrsctp")}
LOG_LEVELS: Final[Mapping[str, object]] = {name: name for name in ("debug", "info", "warning", "error")}
SCOPES: Final[Mapping[str, object]] = {
    "loopback": Scope.LOOPBACK,
    "site-local": Scope.SITE_LOCAL,
    "global": Scope.GLOBAL,
}

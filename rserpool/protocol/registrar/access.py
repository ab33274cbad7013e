"""Decides who may do what. The registrar asks for access rights only through this interface."""

import enum
from typing import Final, Protocol

from rserpool.model.principal import Principal


class Right(enum.Enum):
    """The rights that a principal may have."""

    REGISTER = "register"
    """Register a pool element with the handle."""
    DEREGISTER = "deregister"
    """Deregister a pool element with the handle."""
    RESOLVE = "resolve"
    """Resolve the handle, once or by subscription."""
    PEER = "peer"
    """Be a peer registrar. The handle is empty."""


class Access(Protocol):
    """The rights of principals. An implementation must answer at once: it is asked for every request. ``restricted`` is
    constant."""

    @property
    def restricted(self) -> bool:
        """True if any request may be refused. Associations then do not use the fast lane, which does not ask for
        rights."""

    def may(self, principal: Principal, right: Right, handle: bytes) -> bool:
        """Return True if the principal has the right, for the pool with this handle."""


class Unrestricted:
    """Everybody may do everything."""

    restricted: Final = False

    def may(self, principal: Principal, right: Right, handle: bytes) -> bool:
        """Return True."""
        return True


UNRESTRICTED: Final = Unrestricted()

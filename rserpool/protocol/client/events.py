"""What the protocol objects of pool elements and pool users tell the application."""

import enum
from dataclasses import dataclass

from rserpool.messages import ErrorCause, Policy
from rserpool.messages.resolved import ResolvedElement
from rserpool.model.addresses import Address


class ElementState(enum.Enum):
    """Where a pool element stands with its registrar."""

    IDLE = "idle"
    """Not started, or deregistered."""
    HUNT = "hunt"
    """Without a registrar, or waiting before it tries again."""
    REG = "reg"
    """Has sent a registration and waits for the answer."""
    READY = "ready"
    """Registered."""
    DEREG = "dereg"
    """Is being deregistered."""
    REFUSED = "refused"
    """A registrar has refused it: nothing happens until something about it is changed (RFC 5352 3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The home registrar."""

    identifier: int
    """Its server identifier; 0 while it has not told it."""
    addresses: tuple[Address, ...]
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementStatus:
    """A pool element has another state, another home, or news about a registration that does not come about."""

    element: int
    """The element's number on its node: it stays, whereas a pool element identifier may be drawn anew."""
    pool_handle: bytes
    identifier: int
    state: ElementState
    current: bool = False
    """Whether what is registered is what was asked for last."""
    home: Home | None = None
    reason: str = ""
    """Why, where it is not as wanted."""
    causes: tuple[ErrorCause, ...] = ()
    """What the registrar said, with a refusal or a warning."""
    attempts: int = 0
    """Registrations that have failed in a row."""


class Failure(enum.Enum):
    """Why a handle resolution brought nothing."""

    REFUSED = "refused"
    """The registrar answered with an error; Unknown Pool Handle is one."""
    UNANSWERED = "unanswered"
    """Repeated as often as allowed, and never answered (RFC 5352 3.7.2)."""
    OVERLOAD = "overload"
    """Too many wait already."""
    STOPPED = "stopped"
    """The node was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """A handle resolution has ended: pool elements, best first, or a failure."""

    ticket: int
    pool_handle: bytes
    elements: tuple[ResolvedElement, ...] = ()
    policy: Policy | None = None
    """The pool's policy; None for round robin (RFC 5352 2.2.6)."""
    failure: Failure | None = None
    causes: tuple[ErrorCause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolChanged:
    """A watched pool has other elements than before, or another policy; none if there is no such pool."""

    pool_handle: bytes
    elements: tuple[ResolvedElement, ...]
    policy: Policy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeChanged:
    """The node has another home registrar, or knows more about it, or has none."""

    home: Home | None


ClientEvent = ElementStatus | Resolution | PoolChanged | HomeChanged

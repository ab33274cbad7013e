"""Events that pool elements and the pool user of a node publish to the application."""

import enum
from dataclasses import dataclass

from rserpool.messages import ErrorCause, Policy
from rserpool.messages.resolved import ResolvedElement
from rserpool.model.addresses import Address


class ElementState(enum.Enum):
    """The registration state of a pool element."""

    IDLE = "idle"
    """Not started, or deregistered."""
    HUNT = "hunt"
    """Looking for a registrar, or pausing before the next attempt."""
    REG = "reg"
    """Registration sent, waiting for the answer."""
    READY = "ready"
    """Registered."""
    DEREG = "dereg"
    """Deregistering."""
    REFUSED = "refused"
    """Refused by a registrar: nothing is sent until the element's values change (RFC 5352 3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The home registrar."""

    identifier: int
    """Its server identifier; 0 until a keep-alive has named it."""
    addresses: tuple[Address, ...]
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementStatus:
    """A pool element has changed its state or its home, or an attempt to register it has failed."""

    element: int
    """The element's number on its node. It never changes; the pool element identifier may, if it is random."""
    pool_handle: bytes
    identifier: int
    state: ElementState
    current: bool = False
    """True if the latest values are registered."""
    home: Home | None = None
    reason: str = ""
    """The reason of a failure, or empty."""
    causes: tuple[ErrorCause, ...] = ()
    """Error causes that the registrar sent with a refusal or a warning."""
    attempts: int = 0
    """Registrations that have failed in a row."""


class Failure(enum.Enum):
    """Reasons why a handle resolution has no result."""

    REFUSED = "refused"
    """The registrar answered with an error, such as Unknown Pool Handle."""
    UNANSWERED = "unanswered"
    """No answer to any of the allowed retransmissions (RFC 5352 3.7.2)."""
    OVERLOAD = "overload"
    """Too many resolutions were waiting."""
    STOPPED = "stopped"
    """The node was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """A handle resolution has ended: with pool elements, best first, or with a failure."""

    ticket: int
    pool_handle: bytes
    elements: tuple[ResolvedElement, ...] = ()
    policy: Policy | None = None
    """The pool's policy; None for round robin (RFC 5352 2.2.6)."""
    failure: Failure | None = None
    causes: tuple[ErrorCause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolChanged:
    """The elements or the policy of a watched pool have changed. An unknown pool has no elements."""

    pool_handle: bytes
    elements: tuple[ResolvedElement, ...]
    policy: Policy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeChanged:
    """The node has gained or lost its home registrar, or learnt its server identifier."""

    home: Home | None


ClientEvent = ElementStatus | Resolution | PoolChanged | HomeChanged

"""The other end of an association, as the transport knows it."""

from collections.abc import Callable
from dataclasses import dataclass

from rserpool.model.addresses import Address
from rserpool.model.principal import ANONYMOUS, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other end of an association or connection."""

    addresses: tuple[Address, ...]
    port: int
    sctp: bool
    """True for an SCTP association, the only transport that pool elements may register over (RFC 5352 2.1)."""
    principal: Principal = ANONYMOUS
    """The identity that the peer has proved."""
    round_trip: Callable[[], float | None] = lambda: None
    """Returns the smoothed round-trip time in seconds, or None if the transport does not know it."""

    def __str__(self) -> str:
        host = str(self.addresses[0]) if self.addresses else "?"
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

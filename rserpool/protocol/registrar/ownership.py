"""Records which pool elements this registrar owns only provisionally: after a takeover, and when a peer claims one.

The element decides by what it sends over its association (RFC 5353 3.3, 3.5). Peers are informed of an element that was
taken over when it has answered. A claimed element that has an association here gets a keep-alive. If it answers, it
stays here. If it does not answer, or its association ends, the claimant becomes its home.
"""

from collections.abc import Iterable
from typing import Final

ElementName = tuple[bytes, int]
"""Pool handle and PE identifier."""


class Ownership:
    """The elements whose home is uncertain."""

    def __init__(self) -> None:
        self.unconfirmed: Final[set[ElementName]] = set()
        """Elements that were taken over and have not answered. Fast lanes hold this set."""
        self.claims: Final[dict[ElementName, tuple[int, bytes]]] = {}
        """Claimant and its Pool Element parameter, by element. Fast lanes hold this mapping."""

    def add_unconfirmed(self, names: Iterable[ElementName]) -> None:
        """Record elements that were taken over."""
        self.unconfirmed.update(names)

    def add_claim(self, name: ElementName, claimant: int, parameter: bytes) -> None:
        """Record that a peer claims an element of ours."""
        self.claims[name] = (claimant, parameter)

    def withdraw_claim(self, name: ElementName, claimant: int) -> None:
        """Drop the peer's claim, if there is one: the peer has removed the element."""
        if self.claims.get(name, (0, b""))[0] == claimant:
            del self.claims[name]

    def pop_claim(self, name: ElementName) -> tuple[int, bytes] | None:
        """Pop the claim on an element that is being removed here: (claimant, Pool Element parameter), or None."""
        self.unconfirmed.discard(name)
        return self.claims.pop(name, None)

    def confirm(self, name: ElementName) -> bool:
        """Confirm ownership after the element answered or registered. True if it was unconfirmed or claimed."""
        uncertain = name in self.unconfirmed or name in self.claims
        self.unconfirmed.discard(name)
        self.claims.pop(name, None)
        return uncertain

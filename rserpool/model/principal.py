"""The identity of the peer at the other end of an association."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An identity that access decisions are made for. A secured transport derives it from the peer's credentials."""

    name: str
    """The proven name, or "" if the peer has proved none."""

    @property
    def anonymous(self) -> bool:
        """True if the peer has proved no identity."""
        return not self.name

    def __str__(self) -> str:
        return self.name or "anonymous"


ANONYMOUS: Final = Principal(name="")
"""The principal of every association without security."""

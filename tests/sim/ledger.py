"""A record of what users know of their sessions, to check elements against."""

from dataclasses import dataclass, field

from rserpool.model.association_ends import Down
from tests.sim.network import End, Side

DOWNS = {
    End.SHUT_DOWN: Down.SHUTDOWN,
    End.GIVEN_UP: Down.LOST,
    End.LOST: Down.LOST,
    End.FORGOTTEN: Down.ABORTED,
    End.RESTARTED: Down.ABORTED,
}


class Violation(AssertionError):
    """A state that must never occur."""


@dataclass(slots=True)
class Ledger:
    """The sessions of a world, and their progress."""

    sessions: int = 0
    resumes: dict[Side, tuple[int, int]] = field(default_factory=dict)
    """Of each association, by the user's end: its session, and the number of its first reply."""
    served: int = 0
    """Questions answered."""
    failovers: int = 0
    resumed: int = 0
    """Sessions that went on at another element with a cookie."""
    reports: int = 0

    def session(self) -> int:
        """Draw a number for a new session."""
        self.sessions += 1
        return self.sessions

"""The failures of custom policies' rules (rserpool.policies): counted, and noted for the log."""

from collections import Counter
from collections.abc import Callable

from rserpool._fast.base.wheel import Wheel
from rserpool.protocol.actions import Level, Note

COUNTER = "failures of custom policies"


class Complaints:
    """What a handlespace tells of a rule that failed. A selection has no place for a note: it follows from the wheel,
    at once, one for each policy however often it failed meanwhile."""

    def __init__(self, wheel: Wheel, counters: Counter[str], now: Callable[[], int]) -> None:
        self._wheel = wheel
        self._counters = counters
        self._now = now
        self._waiting: dict[int, Note] = {}

    def failed(self, handle: bytes, policy_type: int, reason: str) -> None:
        """A rule failed for a pool; round robin took its place."""
        self._counters[COUNTER] += 1
        if not self._waiting:
            self._wheel.insert(self._now(), self._due)
        text = f"the rule of policy 0x{policy_type:08x} failed for pool {handle!r}; round robin goes on: {reason}"
        self._waiting[policy_type] = Note(Level.ERROR, f"policy 0x{policy_type:08x}", text)

    def _due(self, now: int) -> list[Note]:
        notes = list(self._waiting.values())
        self._waiting.clear()
        return notes

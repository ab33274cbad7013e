"""Notes failures of custom policies' rules (rserpool.policies) for the log."""

from collections.abc import Callable

from rserpool._fast.base.wheel import Wheel
from rserpool.protocol.actions import Level, Note

COUNTER = "failures of custom policies"


class PolicyFailures:
    """Collects failures of custom policies. Selection cannot emit actions, so the notes are emitted by a timer, one per
    policy."""

    def __init__(self, wheel: Wheel, count: Callable[[], None]) -> None:
        """``count`` is called for each failure."""
        self._wheel = wheel
        self._count = count
        self._waiting: dict[int, Note] = {}

    def failed(self, handle: bytes, policy_type: int, reason: str) -> None:
        """A rule failed for a pool, and round robin selected instead."""
        self._count()
        if not self._waiting:
            self._wheel.insert(self._wheel.now, self._emit)
        self._waiting[policy_type] = failure_note(handle, policy_type, reason)

    def _emit(self, now: int) -> list[Note]:
        notes = list(self._waiting.values())
        self._waiting.clear()
        return notes


def failure_note(handle: bytes, policy_type: int, reason: str) -> Note:
    """The note about one failure."""
    text = f"the rule of policy 0x{policy_type:08x} failed for pool {handle!r}; round robin goes on: {reason}"
    return Note(Level.ERROR, f"policy 0x{policy_type:08x}", text)

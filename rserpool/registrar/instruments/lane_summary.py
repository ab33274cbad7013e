"""The debug log's summary of the messages that fast lanes serve."""

import logging
from collections.abc import Callable

from rserpool._fast.lane.lane import LaneCounters

log = logging.getLogger("rserpool.registrar")


class LaneSummary:
    """Logs how much the counters have grown since the last call. ``counters`` may return another object later."""

    def __init__(self, counters: Callable[[], LaneCounters]) -> None:
        self._counters = counters
        self._current = counters()
        self._logged = figures(self._current)

    def log(self) -> None:
        """Log one line, if lanes have served messages since the last call."""
        current = self._counters()
        if current is not self._current:
            self._current, self._logged = current, dict.fromkeys(self._logged, 0)
        now = figures(current)
        grown = [f"{number - self._logged[name]} {name}" for name, number in now.items() if number > self._logged[name]]
        self._logged = now
        if grown:
            log.debug("fast lane: %s in the last second", ", ".join(grown))


def figures(counters: LaneCounters) -> dict[str, int]:
    """The messages that lanes have served, by kind."""
    return {
        "resolutions": counters.resolutions,
        "re-registrations": counters.reregistrations,
        "registrations": counters.registrations,
        "keep-alive acknowledgements": counters.acknowledgements,
    }

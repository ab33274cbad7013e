"""Detects a silent home registrar by its missing keep-alives, earlier than an idle SCTP association would."""

from collections.abc import Callable

from rserpool._fast.base.wheel import Wheel
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.timers import Timer

LEARNT = 3
"""Keep-alives after which the registrar's keep-alive interval counts as known."""
PATIENCE = 2.5
"""Allowed silence, as a multiple of the longest keep-alive interval seen."""
FADING = 0.9
"""Factor by which the longest interval shrinks with each keep-alive, because a registrar may change its interval."""
LEAST = MICROSECONDS
"""Shortest allowed silence, in microseconds."""


class Silence:
    """Watches the intervals between the keep-alives of the home registrar (RFC 5352 3.5). If the silence lasts too
    long, it calls ``probe``, which makes one element register again. Then the registrar answers, or is abandoned at
    T2."""

    def __init__(self, wheel: Wheel, probe: Callable[[int], None]) -> None:
        self._wheel = wheel
        self._probe = probe
        self._count = 0
        self._last = 0
        self._longest = 0
        self._timer: Timer[None] | None = None

    def keep_alive(self, now: int) -> None:
        """The home registrar has sent a keep-alive."""
        if self._count:
            self._longest = max(now - self._last, round(self._longest * FADING))
        self._count += 1
        self._last = now
        if self._count >= LEARNT:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = Timer(self._wheel, now + max(LEAST, round(PATIENCE * self._longest)), self._expired)

    def reset(self) -> None:
        """The home registrar is lost or replaced: learn the interval of the next one from the beginning."""
        self._count = self._longest = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self, now: int) -> None:
        self._count = 0
        self._probe(now)

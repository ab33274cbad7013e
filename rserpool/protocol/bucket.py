"""A token bucket: so many at once, so many per second after that."""


class Bucket:
    """Holds up to ``burst`` tokens and gains ``rate`` of them per second; starts full."""

    __slots__ = ("_burst", "_filled", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: int) -> None:
        self._rate = rate / 1_000_000
        self._burst = burst
        self._tokens = burst
        self._filled = now

    def take(self, now: int) -> bool:
        """Take one token, if there is one. ``now`` in microseconds."""
        if now > self._filled:
            self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
            self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def full(self, now: int) -> bool:
        """Whether nothing of it is in use, so that it can be forgotten."""
        return self._tokens + max(0, now - self._filled) * self._rate >= self._burst

"""A token bucket limits a rate and allows bursts."""

from libc.stdint cimport int64_t


cdef class Bucket:
    """Holds at most ``burst`` tokens, starts full and gains ``rate`` tokens per second. Times are in microseconds."""

    def __cinit__(self, double rate, double burst, int64_t now) -> None:
        self.rate = rate / 1_000_000
        self.burst = burst
        self.tokens = burst
        self.filled = now
        self.denied = -1

    cdef bint take_one(self, int64_t now) noexcept:
        if now > self.filled:
            self.tokens = min(self.burst, self.tokens + <double>(now - self.filled) * self.rate)
            self.filled = now
        if self.tokens >= self.burst:
            self.denied = -1
        if self.tokens < 1:
            if self.denied < 0:
                self.denied = now
            return False
        self.tokens -= 1
        return True

    cdef void put_back(self) noexcept:
        self.tokens += 1

    def take(self, int64_t now) -> bool:
        """Take one token. False if there is none."""
        return self.take_one(now)

    def full(self, int64_t now) -> bool:
        """True if no token is missing. A full bucket can be dropped: a new one equals it."""
        return self.tokens + <double>max(0, now - self.filled) * self.rate >= self.burst

    @property
    def denied_since(self) -> int | None:
        """The time of the first denial since the bucket was last full; None if there was none."""
        return None if self.denied < 0 else self.denied

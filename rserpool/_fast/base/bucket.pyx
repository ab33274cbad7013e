"""A token bucket: so many at once, so many per second after that."""

from libc.stdint cimport int64_t


cdef class Bucket:
    """Holds up to ``burst`` tokens and gains ``rate`` of them per second; starts full. Times are in microseconds."""

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
        """Take one token, if there is one."""
        return self.take_one(now)

    def full(self, int64_t now) -> bool:
        """Whether nothing of it is in use, so that it can be forgotten."""
        return self.tokens + <double>max(0, now - self.filled) * self.rate >= self.burst

    @property
    def denied_since(self) -> int | None:
        """When it first denied a token since it was full last; None if it did not."""
        return None if self.denied < 0 else self.denied

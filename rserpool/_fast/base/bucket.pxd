"""A token bucket; see bucket.pyx."""

from libc.stdint cimport int64_t


cdef class Bucket:
    cdef double rate                 # per microsecond
    cdef double burst
    cdef double tokens
    cdef int64_t filled
    cdef int64_t denied              # when it began to deny; -1 while it does not

    cdef bint take_one(self, int64_t now) noexcept
    cdef void put_back(self) noexcept

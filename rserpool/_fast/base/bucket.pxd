"""A token bucket limits a rate and allows bursts."""

from libc.stdint cimport int64_t


cdef class Bucket:
    cdef double rate                 # per microsecond
    cdef double burst
    cdef double tokens
    cdef int64_t filled
    cdef int64_t denied              # time of the first denial since the bucket was last full; -1 if there was none

    cdef bint take_one(self, int64_t now) noexcept
    cdef void put_back(self) noexcept

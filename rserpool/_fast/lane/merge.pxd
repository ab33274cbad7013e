"""What peers tell of their elements, taken in as octets; see merge.pyx."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rserpool._fast.handlespace.handlespace cimport Handlespace
from rserpool._fast.codec.canonical cimport Scan


cdef class Merger:
    """One per registrar."""

    cdef Handlespace handlespace
    cdef size_t handle_octets
    cdef size_t pools
    cdef size_t elements_per_home
    cdef dict watchers               # of pools: of these a change is told
    cdef object changed

    cdef bint take(
        self, const uint8_t *name, size_t name_length, const uint8_t *octets, const Scan *scan, uint32_t peer,
        bint everything, uint64_t now,
    ) except -1

"""Merges pool elements that peer registrars send, as octets."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rserpool._fast.codec.canonical cimport Scan
from rserpool._fast.handlespace.handlespace cimport Handlespace


cdef class Merger:
    cdef Handlespace handlespace
    cdef size_t handle_octets
    cdef size_t pools
    cdef size_t elements_per_home
    cdef dict watchers               # watchers by pool handle; changes in place
    cdef object merged

    cdef bint take(
        self, const uint8_t *name, size_t name_length, const uint8_t *octets, const Scan *scan, uint32_t peer,
        bint everything, uint64_t now,
    ) except -1

"""Registrations that are accepted as they stand, without the readable way."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

from rserpool._fast.codec.canonical cimport Scan
from rserpool._fast.codec.walk cimport Parameter
from rserpool._fast.handlespace.records cimport Space


cdef class AdmissionLimits:
    cdef size_t handle_octets
    cdef size_t pools
    cdef size_t elements_per_pool
    cdef size_t elements_per_association
    cdef size_t addresses
    cdef uint64_t shortest_life      # in the unit of the wire


cdef class Registrant:
    cdef bytes hosts
    cdef bytes asap
    cdef public int64_t elements


cdef bint fits_policy(const uint8_t *element, const Scan *scan) noexcept nogil
cdef object admit(
    Space *space, AdmissionLimits limits, Registrant registrant, const Parameter *parameters,
    uint64_t connection, uint64_t now, list updated, bint *added,
)

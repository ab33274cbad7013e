"""Registrations that can be accepted as they stand, without the readable way; see admission.pyx."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

from rserpool._fast.handlespace.records cimport Space
from rserpool._fast.codec.canonical cimport Scan


cdef class Terms:
    """What a registration must keep to. One record for all associations of a registrar."""

    cdef size_t handle_octets
    cdef size_t pools
    cdef size_t elements_per_pool
    cdef size_t elements_per_association
    cdef size_t addresses
    cdef uint64_t shortest           # life, in the unit of the wire


cdef class Guest:
    """One association over which elements may register: where it is, and how many it has."""

    cdef bytes hosts                 # its addresses that may be registered, as parameters one after the other
    cdef bytes asap                  # the ASAP transport parameter of its elements
    cdef public int64_t elements


cdef bint fits_policy(const uint8_t *element, const Scan *scan) noexcept nogil
cdef object admit(
    Space *space, Terms terms, Guest guest, const uint8_t *octets, size_t size, uint64_t connection, uint64_t now,
    list updated, bint *added,
)

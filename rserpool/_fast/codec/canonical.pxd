"""A strict scanner of one encoded Pool Element parameter: what it does not accept, messages.py does not write."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    HOME_OFFSET = 8        # of the fields of a Pool Element parameter (RFC 5354 3.10)
    LIFE_OFFSET = 12
    TRANSPORT_OFFSET = 16


cdef struct Scan:
    uint32_t identifier
    uint32_t policy_type
    uint16_t length
    uint16_t asap_length
    uint16_t policy_at
    uint16_t policy_length
    uint16_t transport_type
    uint16_t transport_use     # 0 except for SCTP


cdef bint canonical(const uint8_t *data, size_t size, Scan *found) noexcept nogil
cdef int scan_element(const uint8_t *data, size_t size, Scan *found) except -1

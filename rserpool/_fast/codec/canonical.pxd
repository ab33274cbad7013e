"""A scanner of one encoded Pool Element parameter in canonical form, the only form that the encoder writes.

In canonical form the user transport, the policy and the optional ASAP transport follow in this order, with zero padding
and without unknown parameters. The handlespace stores elements in this form and copies their octets into answers.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    HOME_OFFSET = 8        # offsets of the fields in a Pool Element parameter (RFC 5354 3.10)
    LIFE_OFFSET = 12
    TRANSPORT_OFFSET = 16


cdef struct Scan:
    uint32_t identifier
    uint32_t policy_type
    uint16_t length            # of the parameter, as its header says
    uint16_t asap_length       # of the parameter without its ASAP transport
    uint16_t policy_at         # offset of the policy
    uint16_t policy_length     # of the policy without padding
    uint16_t transport_type    # of the user transport
    uint16_t transport_use     # 0 except for SCTP


# Scan one Pool Element parameter with its padding. False if it is not in canonical form.
cdef bint canonical(const uint8_t *data, size_t size, Scan *found) noexcept nogil
# The same, but raises LocalProtocolError if the parameter is not in canonical form.
cdef int scan_element(const uint8_t *data, size_t size, Scan *found) except -1

"""What SCTP packets tell that the stack does not: closed windows, and that nobody takes them (RFC 6951 over UDP)."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from rserpool._fast.io.sockets cimport socklen_t

cdef enum:
    COMMON_HEADER = 12
    SACK_CHUNK = 3
    SACK_RWND = 20                   # where its window is, if it is the first chunk of a packet


cdef struct Refusal:
    uint8_t address[28]              # of whom the packet was for
    socklen_t length
    uint16_t port                    # of SCTP, of whom the packet was for
    uint32_t token                   # of the packet; 0 where it is not known


cdef uint32_t window_of(const uint8_t *packet, size_t size) noexcept nogil
cdef uint16_t target_of(const uint8_t *packet, size_t size) noexcept nogil
cdef uint32_t token_of(const uint8_t *packet, size_t size) noexcept nogil
cdef bint is_heartbeat(const uint8_t *packet, size_t size) noexcept nogil
cdef bint next_refusal(int fd, Refusal *refusal) noexcept nogil

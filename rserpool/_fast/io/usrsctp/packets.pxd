"""Reads from SCTP packets what the stack does not report: closed windows, and ports that refuse packets (RFC 6951)."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from rserpool._fast.io.sockets cimport socklen_t

cdef enum:
    COMMON_HEADER = 12
    SACK_CHUNK = 3
    SACK_RWND = 20                   # offset of the window in a packet that begins with a SACK chunk


cdef struct Refusal:                 # a packet of ours that came back by ICMP
    uint8_t address[28]              # its destination
    socklen_t length
    uint16_t port                    # its destination's SCTP port
    uint32_t token                   # see token_of(); 0 if unknown


cdef uint32_t window_of(const uint8_t *packet, size_t size) noexcept nogil
cdef uint16_t target_of(const uint8_t *packet, size_t size) noexcept nogil
cdef uint32_t token_of(const uint8_t *packet, size_t size) noexcept nogil
cdef bint is_heartbeat(const uint8_t *packet, size_t size) noexcept nogil
cdef bint next_refusal(int fd, Refusal *refusal) noexcept nogil

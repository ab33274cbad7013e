"""SCTP packets (RFC 9260 3): the subset that the load generator writes and reads."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum Chunk:
    DATA = 0
    INIT = 1
    INIT_ACK = 2
    SACK = 3
    HEARTBEAT = 4
    HEARTBEAT_ACK = 5
    ABORT = 6
    COOKIE_ECHO = 10
    COOKIE_ACK = 11

cdef enum:
    COMMON_HEADER = 12
    STATE_COOKIE = 7                  # the parameter of an INIT ACK
    WHOLE = 3                         # flags of a DATA chunk that is a whole message
    WINDOW = 1 << 18

cdef struct Packet:
    uint8_t *octets
    size_t size

cdef void begin(Packet *packet, uint8_t *room, uint16_t source, uint16_t target, uint32_t tag) noexcept nogil
cdef uint8_t *chunk(Packet *packet, uint8_t kind, uint8_t flags, size_t length) noexcept nogil
cdef void seal(Packet *packet) noexcept nogil


cdef inline uint16_t get16(const uint8_t *at) noexcept nogil:
    return <uint16_t>(<uint16_t>at[0] << 8 | at[1])


cdef inline uint32_t get32(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]


cdef inline void put16(uint8_t *at, uint16_t value) noexcept nogil:
    at[0] = <uint8_t>(value >> 8)
    at[1] = <uint8_t>value


cdef inline void put32(uint8_t *at, uint32_t value) noexcept nogil:
    put16(at, <uint16_t>(value >> 16))
    put16(at + 2, <uint16_t>value)

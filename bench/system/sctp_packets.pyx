# cython: language_level=3
"""SCTP packets; see sctp_packets.pxd."""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

cdef uint32_t remainders[8][256]


cdef void prepare() noexcept:
    """CRC32c, eight octets at a time."""
    cdef uint32_t value
    cdef int number, _bit, row
    for number in range(256):
        value = <uint32_t>number
        for _bit in range(8):
            value = value >> 1 ^ (0x82F63B78u if value & 1 else 0u)
        remainders[0][number] = value
    for row in range(1, 8):
        for number in range(256):
            value = remainders[row - 1][number]
            remainders[row][number] = value >> 8 ^ remainders[0][value & 255]


prepare()


cdef uint32_t checksum(const uint8_t *at, size_t size) noexcept nogil:
    cdef uint32_t value = 0xFFFFFFFFu
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, at, 8)                 # little-endian machines
        word ^= value
        value = (
            remainders[7][word & 255] ^ remainders[6][word >> 8 & 255]
            ^ remainders[5][word >> 16 & 255] ^ remainders[4][word >> 24 & 255]
            ^ remainders[3][word >> 32 & 255] ^ remainders[2][word >> 40 & 255]
            ^ remainders[1][word >> 48 & 255] ^ remainders[0][word >> 56]
        )
        at += 8
        size -= 8
    while size:
        value = value >> 8 ^ remainders[0][(value ^ at[0]) & 255]
        at += 1
        size -= 1
    return ~value


cdef void begin(Packet *packet, uint8_t *room, uint16_t source, uint16_t target, uint32_t tag) noexcept nogil:
    packet.octets = room
    packet.size = COMMON_HEADER
    put16(room, source)
    put16(room + 2, target)
    put32(room + 4, tag)


cdef uint8_t *chunk(Packet *packet, uint8_t kind, uint8_t flags, size_t length) noexcept nogil:
    """Append a padded chunk of ``length`` octets, header included; return the address of its value."""
    cdef uint8_t *at = packet.octets + packet.size
    at[0] = kind
    at[1] = flags
    put16(at + 2, <uint16_t>length)
    memset(at + length, 0, 3)
    packet.size += length + 3 & ~<size_t>3
    return at + 4


cdef void seal(Packet *packet) noexcept nogil:
    """Write the checksum of a complete packet, in little-endian order (RFC 9260 A)."""
    cdef uint32_t value
    memset(packet.octets + 8, 0, 4)
    value = checksum(packet.octets, packet.size)
    memcpy(packet.octets + 8, &value, 4)

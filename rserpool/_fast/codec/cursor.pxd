"""A checked reader and writer of big-endian integers and octets: the only code that indexes a buffer.

A Cursor reads from ``at`` to ``end``. Each take_* advances it, or raises RemoteProtocolError (Invalid Values) if too
few octets are left. A Pen writes from ``at`` to ``end``. Each put_* advances it, or raises LocalProtocolError if too
little room is left. Neither owns memory. load_* and store_* are for callers that have checked the bounds.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset


cdef struct Cursor:
    const uint8_t *at
    const uint8_t *end


cdef struct Pen:
    uint8_t *at
    uint8_t *end


cdef int ran_out() except -1       # raises RemoteProtocolError
cdef int no_room() except -1       # raises LocalProtocolError


cdef inline Cursor reading(const uint8_t *data, size_t length) noexcept nogil:
    cdef Cursor c
    c.at = data
    c.end = data + length
    return c


cdef inline Pen writing(uint8_t *room, size_t length) noexcept nogil:
    cdef Pen p
    p.at = room
    p.end = room + length
    return p


cdef inline size_t left(const Cursor *c) noexcept nogil:
    return <size_t>(c.end - c.at)


cdef inline size_t room(const Pen *p) noexcept nogil:
    return <size_t>(p.end - p.at)


cdef inline size_t padded(size_t length) noexcept nogil:
    """The length with padding: rounded up to a multiple of 4 (RFC 5354 2)."""
    return (length + 3) & ~<size_t>3


cdef inline uint16_t load_u16(const uint8_t *at) noexcept nogil:
    return <uint16_t>((<uint32_t>at[0] << 8) | at[1])


cdef inline uint32_t load_u32(const uint8_t *at) noexcept nogil:
    return (<uint32_t>at[0] << 24) | (<uint32_t>at[1] << 16) | (<uint32_t>at[2] << 8) | at[3]


cdef inline void store_u16(uint8_t *at, uint16_t value) noexcept nogil:
    at[0] = <uint8_t>(value >> 8)
    at[1] = <uint8_t>(value & 0xFF)


cdef inline void store_u32(uint8_t *at, uint32_t value) noexcept nogil:
    at[0] = <uint8_t>(value >> 24)
    at[1] = <uint8_t>((value >> 16) & 0xFF)
    at[2] = <uint8_t>((value >> 8) & 0xFF)
    at[3] = <uint8_t>(value & 0xFF)


cdef inline uint16_t take_u16(Cursor *c) except? 0xFFFF:
    if left(c) < 2:
        ran_out()
    c.at += 2
    return load_u16(c.at - 2)


cdef inline uint32_t take_u32(Cursor *c) except? 0xFFFFFFFF:
    if left(c) < 4:
        ran_out()
    c.at += 4
    return load_u32(c.at - 4)


cdef inline const uint8_t *take_octets(Cursor *c, size_t length) except NULL:
    """Advance by ``length`` octets and return a pointer to them; nothing is copied."""
    if left(c) < length:
        ran_out()
    c.at += length
    return c.at - length


cdef inline int put_u8(Pen *p, uint8_t value) except -1:
    if room(p) < 1:
        no_room()
    p.at[0] = value
    p.at += 1
    return 0


cdef inline int put_u16(Pen *p, uint16_t value) except -1:
    if room(p) < 2:
        no_room()
    store_u16(p.at, value)
    p.at += 2
    return 0


cdef inline int put_u32(Pen *p, uint32_t value) except -1:
    if room(p) < 4:
        no_room()
    store_u32(p.at, value)
    p.at += 4
    return 0


cdef inline int put_octets(Pen *p, const uint8_t *data, size_t length) except -1:
    if room(p) < length:
        no_room()
    if length:
        memcpy(p.at, data, length)
        p.at += length
    return 0


cdef inline int put_padding(Pen *p, size_t length) except -1:
    """Write the padding of a value of ``length`` octets: zeros up to the next multiple of 4."""
    cdef size_t pad = padded(length) - length
    if room(p) < pad:
        no_room()
    memset(p.at, 0, pad)
    p.at += pad
    return 0

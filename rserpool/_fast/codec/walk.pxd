"""A walk over the parameters in a message or in a parameter, with a checked cursor and without exceptions."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t

from rserpool._fast.codec.cursor cimport Cursor, left, load_u16, padded


cdef struct Parameter:
    uint16_t type
    size_t length              # of the whole parameter without padding
    const uint8_t *octets      # the whole parameter


cdef inline bint next_parameter(Cursor *c, Parameter *found) noexcept nogil:
    """Take one parameter with its padding. If the cursor holds no complete one, return False and take nothing."""
    if left(c) < 4:
        return False
    found.type = load_u16(c.at)
    found.length = load_u16(c.at + 2)
    found.octets = c.at
    if found.length < 4 or padded(found.length) > left(c):
        return False
    c.at += padded(found.length)
    return True

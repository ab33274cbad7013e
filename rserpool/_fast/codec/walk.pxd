"""Walks over the parameters of a message or of a parameter, by a checked cursor that never raises."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t

from rserpool._fast.codec.cursor cimport Cursor, left, load_u16, padded


cdef struct Parameter:
    uint16_t type
    size_t length              # of the whole parameter without padding
    const uint8_t *octets      # the whole parameter


cdef inline bint next_parameter(Cursor *c, Parameter *found) noexcept nogil:
    """Take one parameter with its padding. False, with nothing taken, if the cursor does not hold a whole one."""
    if left(c) < 4:
        return False
    found.type = load_u16(c.at)
    found.length = load_u16(c.at + 2)
    found.octets = c.at
    if found.length < 4 or padded(found.length) > left(c):
        return False
    c.at += padded(found.length)
    return True

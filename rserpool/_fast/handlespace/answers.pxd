"""Handle resolution responses and parts of the handle table, copied from encoded runs."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from rserpool._fast.codec.cursor cimport Pen
from rserpool._fast.handlespace.records cimport Element, Pool, Space

cdef enum:
    LARGEST_MESSAGE = 65532    # a 16-bit length, padded


cdef bytes resolution_of(Space *space, Pool *pool, size_t items, bint accept, bint advance)
cdef int put_parameter(Pen *pen, uint16_t type, const uint8_t *value, size_t length) except -1
cdef bytes table_part(
    Space *space, Element *start, bint own_only, size_t most, size_t left, Element **last, bint *more
)

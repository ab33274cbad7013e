"""Keep-alives of pool elements (RFC 5352 2.2.7)."""

from libc.stdint cimport uint8_t

from rserpool._fast.handlespace.records cimport Element, Space

cdef enum:
    HOME = 0x01                # flag H: the sender is the home registrar now


cdef bytes keep_alive(const Space *space, const Element *element, uint8_t flags)

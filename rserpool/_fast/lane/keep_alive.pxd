"""Keep-alives of pool elements; see probing.pyx."""

from libc.stdint cimport uint8_t

from rserpool._fast.handlespace.records cimport Element, Space

cdef enum:
    HOME = 0x01                # the flag H


cdef bytes keep_alive(const Space *space, const Element *element, uint8_t flags)

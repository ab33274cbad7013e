"""The 16-bit checksum over the elements of one home registrar (RFC 5353 2.1, 3.6).

Each home keeps the sum of its elements' words, so that an element that comes or goes costs one addition.
"""

from libc.stdint cimport uint16_t, uint32_t

from rserpool._fast.handlespace.records cimport Element, identifier_of


cdef inline uint32_t word_sum(const Element *element) noexcept nogil:
    """The sum of the 16-bit words of the zero-padded pool handle and of the PE identifier."""
    cdef uint32_t identifier = identifier_of(element)
    return element.pool.name_sum + (identifier >> 16) + (identifier & 0xFFFF)


cdef inline uint16_t folded(uint32_t accumulator) noexcept nogil:
    """The one's complement of a sum of words, folded to 16 bits."""
    while accumulator >> 16:
        accumulator = (accumulator >> 16) + (accumulator & 0xFFFF)
    return <uint16_t>(~accumulator & 0xFFFF)

"""Answers the three messages that a registrar sees most, from their octets to the octets of the answer."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t

from rserpool._fast.codec.walk cimport Parameter
from rserpool._fast.handlespace.records cimport Element, Space

cdef enum:
    MAX_PARAMETERS = 2


cdef object answer_fast(
    Space *space, const uint8_t *octets, const Parameter *parameters, int count, uint64_t connection, uint64_t now,
    list updated,
)
cdef int split(const uint8_t *data, size_t size, Parameter *parameters) noexcept nogil
cdef bytes registration_response(const Element *element)

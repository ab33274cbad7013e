"""The fast lane: received octets to answered octets for the three messages that a registrar sees most."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint64_t

from rserpool._fast.handlespace.records cimport Element, Space

cdef enum:
    MOST_PARAMETERS = 2


cdef struct Parameter:
    uint16_t type
    size_t length              # of the parameter, padding not counted
    const uint8_t *octets


cdef object answer_fast(
    Space *space, const uint8_t *octets, size_t size, uint64_t connection, uint64_t now, list updated,
)
cdef int split(const uint8_t *data, size_t size, Parameter *parameters) noexcept nogil
cdef uint64_t jittered(Space *space, uint64_t now) noexcept nogil
cdef int rearm_life(Space *space, Element *element, uint64_t now) except -1
cdef bytes registration_response(const Element *element)

"""The fast lane: received octets to answered octets for the three messages that a registrar sees most."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t

from rserpool._fast.records cimport Element, Space


cdef object answer_fast(
    Space *space, const uint8_t *octets, size_t size, uint64_t connection, uint64_t now, list updated,
)
cdef uint64_t jittered(Space *space, uint64_t now) noexcept nogil

"""Action log lines of the messages that fast lanes serve."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from rserpool._fast.codec.walk cimport Parameter


cdef class Journal:
    cdef public uint64_t lines       # number of the last line
    cdef public int64_t wall_offset
    cdef int64_t origin
    cdef dict outstanding
    cdef object on_full
    cdef char *room
    cdef size_t size
    cdef size_t used
    cdef uint64_t left_out

    cdef char *begin(self, size_t handle_length) except? NULL
    cdef char *head(self, char *at, uint64_t now) noexcept
    cdef int request(self, const uint8_t *octets, size_t size, uint32_t identifier, uint64_t now) except -1
    cdef int64_t time_waited(self, const Parameter *handle, uint32_t element, uint64_t now) except? -1
    cdef int answer(self, const uint8_t *octets, size_t size, uint32_t identifier, uint64_t now) except -1

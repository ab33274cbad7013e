"""Memory fetched ahead: what the messages of one wake-up will touch, for all of them at once; see ahead.pyx."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from rserpool._fast.handlespace.records cimport Space

cdef enum:
    MOST_AHEAD = 32        # messages: what is fetched for them fits into the second-level cache


cdef struct Message:
    const uint8_t *octets
    size_t size


cdef void look_ahead(Space *space, const Message *messages, int count) noexcept nogil


cdef inline bint is_large(const Space *space) noexcept nogil:
    """Whether looking ahead gains anything."""
    return space.size >= space.large

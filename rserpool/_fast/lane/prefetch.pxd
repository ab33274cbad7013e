"""Prefetches the memory that the messages of one wake-up will touch, for all of them at once."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from rserpool._fast.handlespace.records cimport Space

cdef enum:
    MAX_PREFETCHED = 32    # messages: the memory of so many fits into the second-level cache


cdef struct Message:
    const uint8_t *octets
    size_t size


cdef void prefetch_messages(Space *space, const Message *messages, int count) noexcept nogil


cdef inline bint is_large(const Space *space) noexcept nogil:
    """True if prefetching gains anything."""
    return space.size >= space.large

"""Memory by the page: large pieces in huge pages, without which each step into a million records misses the TLB too."""

from libc.stddef cimport size_t


cdef enum:
    HUGE_PAGE = 1 << 21


cdef void *take_pages(size_t size) noexcept nogil    # to be freed with free(); NULL without memory

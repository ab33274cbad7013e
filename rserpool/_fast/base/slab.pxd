"""A slab allocates blocks of one size from chunks that grow in size.

Freed blocks go to a free list; chunks are freed with the slab.
"""

from libc.stddef cimport size_t


cdef struct Slab:
    size_t size        # octets of a block, a multiple of 8
    size_t next_chunk  # blocks of the next chunk
    void *free_list
    char *fresh        # the unused rest of the last chunk
    char *fresh_end
    void *chunks
    size_t in_use


cdef void open_slab(Slab *slab, size_t size) noexcept nogil
cdef void close_slab(Slab *slab) noexcept nogil      # frees all blocks; a zeroed slab may be closed too
cdef void *grow_slab(Slab *slab) except NULL


cdef inline void *take_block(Slab *slab) except NULL:
    cdef void *block = slab.free_list
    if block is NULL:
        return grow_slab(slab)
    slab.free_list = (<void **>block)[0]
    slab.in_use += 1
    return block


cdef inline void give_block(Slab *slab, void *block) noexcept nogil:
    (<void **>block)[0] = slab.free_list
    slab.free_list = block
    slab.in_use -= 1

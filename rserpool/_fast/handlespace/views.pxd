"""Short-lived Python views of pools and pool elements, which exist as C records only."""

from libc.stdint cimport uint64_t

from rserpool._fast.handlespace.records cimport Element, Pool, Space


cdef class PoolView:
    cdef object owner          # keeps the records' memory
    cdef Space *space
    cdef uint64_t serial
    cdef readonly bytes handle

    cdef Pool *pool(self) except NULL


cdef class PoolElementView:
    cdef object owner
    cdef Space *space
    cdef Element *record
    cdef uint64_t registration

    cdef Element *element(self) except NULL


cdef PoolElementView view_of(object owner, Space *space, Element *element)
cdef PoolView pool_view_of(object owner, Space *space, const Pool *pool)

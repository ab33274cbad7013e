"""Pool elements by (pool, PE identifier)."""

from libc.stdlib cimport free
from libc.string cimport memset

from rserpool._fast.base.pages cimport take_pages

cdef enum:
    FIRST_SLOTS = 64
    FULL_TENTHS = 7            # tenths of the slots that may be in use


cdef Slot *empty_slots(size_t count) except NULL:
    cdef Slot *slots = <Slot *>take_pages(count * sizeof(Slot))
    if slots is NULL:
        raise MemoryError
    memset(slots, 0, count * sizeof(Slot))
    return slots


cdef int open_index(Index *index) except -1:
    index.slots = empty_slots(FIRST_SLOTS)
    index.mask = FIRST_SLOTS - 1
    index.used = 0
    return 0


cdef void close_index(Index *index) noexcept nogil:
    free(index.slots)
    index.slots = NULL


cdef int reserve_slot(Index *index) except -1:
    cdef Slot *old = index.slots
    cdef size_t count = index.mask + 1
    cdef size_t i
    if (index.used + 1) * 10 <= count * FULL_TENTHS:
        return 0
    index.slots = empty_slots(2 * count)
    index.mask = 2 * count - 1
    index.used = 0
    for i in range(count):
        if old[i].element is not NULL:
            enter_slot(index, old[i].key, old[i].element)
    free(old)
    return 0


cdef void enter_slot(Index *index, uint64_t key, void *element) noexcept nogil:
    cdef size_t at = place_of(index, key)
    while index.slots[at].element is not NULL:
        at = at + 1 & index.mask
    index.slots[at].key = key
    index.slots[at].element = element
    index.used += 1


cdef void leave_slot(Index *index, uint64_t key, const void *element) noexcept nogil:
    """Free a slot, and move later entries up so that probing still finds them."""
    cdef size_t hole = place_of(index, key)
    cdef size_t at
    while index.slots[hole].element != element:
        hole = hole + 1 & index.mask
    at = hole
    while True:
        at = at + 1 & index.mask
        if index.slots[at].element is NULL:
            break
        if (at - place_of(index, index.slots[at].key) & index.mask) >= (at - hole & index.mask):
            index.slots[hole] = index.slots[at]
            hole = at
    index.slots[hole].element = NULL
    index.used -= 1

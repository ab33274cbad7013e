"""Storage of one handlespace: pools, PEs, homes and associations, and the checksum of each home's PEs.

Every function here keeps all of them consistent. A Space is made by open_space and must be closed by close_space.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from rserpool._fast.handlespace.records cimport Element, Home, Pool, Run, Space
from rserpool._fast.codec.canonical cimport Scan
from rserpool._fast.base.wheel cimport WheelCore

cdef enum:
    ADDED = 0
    UPDATED = 1
    INCONSISTENT_POLICY = 2
    INCONSISTENT_TRANSPORT = 3
    INCONSISTENT_USE = 4


cdef int open_space(Space *space, uint32_t identifier, uint64_t seed, WheelCore *wheel) except -1
cdef void close_space(Space *space) noexcept
cdef Pool *find_pool(Space *space, const uint8_t *name, size_t length) noexcept nogil
cdef Pool *pool_after(Space *space, const uint8_t *name, size_t length) noexcept nogil
cdef Element *find_element(Space *space, const uint8_t *name, size_t length, uint32_t identifier) noexcept nogil
cdef Element *find_in(Space *space, Pool *pool, uint32_t identifier) noexcept nogil
cdef Home *find_home(Space *space, uint32_t identifier) noexcept nogil
cdef Home *obtain_home(Space *space, uint32_t identifier) except NULL
cdef void drop_empty_home(Space *space, Home *home) noexcept nogil
cdef int register_element(
    Space *space, bytes handle, const uint8_t *octets, size_t size, uint32_t home, uint64_t connection,
) except -1
cdef Element *place_element(
    Space *space, Pool *pool, Element *element, bytes handle, const uint8_t *octets, const Scan *scan, uint32_t home,
    uint64_t connection,
) except NULL
cdef int verdict_on(const Pool *pool, const Scan *scan) noexcept nogil
cdef void refresh_element(Element *element) noexcept nogil
cdef void remove_element(Space *space, Element *element) noexcept
cdef void move_home(Space *space, Element *element, Home *home) noexcept nogil
cdef void set_connection(Space *space, Element *element, uint64_t connection) noexcept nogil
cdef size_t connected_to(Space *space, uint64_t connection, Element **found) noexcept nogil


cdef inline uint64_t index_key(const Pool *pool, uint32_t identifier) noexcept nogil:
    return pool.serial << 32 | identifier

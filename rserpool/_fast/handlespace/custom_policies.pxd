"""Custom selection policies: Python functions under private policy types (RFC 5356 7).

A pool of a custom policy is kept like a round robin pool. For each answer the policy's function chooses among the
candidates; if it fails, the failure is reported and round robin takes its place.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from rserpool._fast.handlespace.records cimport Policy, Pool, Space


cdef const Policy *custom_policy(uint32_t type) noexcept nogil
cdef int attach_memory(Pool *pool) except -1
cdef void release_memory(const Policy *policy, void *memory) noexcept
cdef size_t choose_custom(Space *space, Pool *pool, size_t wanted, bint advance) except? 0


cdef inline unsigned int words_of(const Policy *policy) noexcept nogil:
    """The number of 32-bit values of a policy."""
    return (<unsigned int>policy.length - 8) >> 2

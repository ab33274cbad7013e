"""Selection policies that a program or an operator plugs in: Python rules under private policy types (RFC 5356 7).

A pool of such a policy is kept as one of round robin is. When it is asked for elements, its rule chooses among them; a
rule that fails is reported and round robin goes on.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from rserpool._fast.handlespace.records cimport Policy, Pool, Space


cdef const Policy *rule_of(uint32_t type) noexcept nogil
cdef int open_rule(Pool *pool) except -1
cdef void close_rule(const Policy *policy, void *memory) noexcept
cdef size_t ask_rule(Space *space, Pool *pool, size_t wanted, bint advance) except? 0


cdef inline unsigned int words_of(const Policy *policy) noexcept nogil:
    """How many 32-bit values a policy has."""
    return (<unsigned int>policy.length - 8) >> 2


cdef inline int rule_words(uint32_t type) noexcept:
    """How many 32-bit words follow the type of a plugged-in policy; -1: there is none of that type."""
    cdef const Policy *policy = rule_of(type)
    return <int>words_of(policy) if policy is not NULL else -1

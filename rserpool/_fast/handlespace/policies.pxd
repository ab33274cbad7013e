"""Pool member selection policies (RFC 5356, and nine private ones of rsplib): one merit per policy, one table.

There are three families. SORTED pools answer in ascending order of merit, and the head moves behind its equals. TURNS
is weighted round robin. DRAWN pools draw without replacement, with merits as weights. Only the head of an answer counts
as used. A PE of weight 0 is left out while another has a weight above 0; if all are 0, all are treated alike.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from rserpool._fast.handlespace.records cimport Element, Policy, Pool, Space


cdef const Policy *policy_of(uint32_t type) noexcept nogil
cdef void aim_choice(Pool *pool, Element *element) noexcept nogil
cdef void leave_choice(Pool *pool, Element *element) noexcept nogil
cdef void revise_choice(Pool *pool, Element *element) noexcept nogil
cdef size_t choose(Space *space, Pool *pool, size_t items, bint advance) except? 0
cdef int check_choice(Pool *pool, Element *element) except -1

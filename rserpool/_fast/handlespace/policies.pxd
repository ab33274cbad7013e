"""Pool member selection policies (RFC 5356, and nine private ones of rsplib): one merit per policy, one table.

There are three families. SORTED pools answer in ascending order of merit; after an answer its head moves after the PEs
of equal merit. TURNS is weighted round robin. DRAWN pools draw without replacement, with merits as weights. Only the
head of an answer, its first PE, counts as used. A PE of weight 0 is left out while another PE has a weight above 0. If
all weights are 0, all PEs are treated alike.
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

"""A full walk over a handlespace that checks every invariant, for tests and debug builds."""

from rserpool._fast.handlespace.records cimport Space


cdef int check_invariants(Space *space) except -1

"""A full walk over a handlespace that checks every invariant, for tests and debug builds."""

from rserpool._fast.handlespace.records cimport Space


cdef int inspect_space(Space *space) except -1

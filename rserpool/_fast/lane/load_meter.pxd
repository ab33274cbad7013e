"""How many messages come, and from whom; see pulse.pyx."""

from libc.stdint cimport uint32_t, uint64_t


cdef class Pulse:
    cdef uint64_t near               # microseconds
    cdef uint64_t began              # the round
    cdef uint32_t count              # of its messages
    cdef uint32_t hasty              # of these
    cdef readonly bint dense
    cdef public bint told            # on_dense was called, and whom it calls has not said that it may be again
    cdef object on_dense

    cdef int beat(self, uint64_t now, bint hasty) except -1

"""The load that all lanes of a server see together."""

from libc.stdint cimport uint32_t, uint64_t


cdef class LoadMeter:
    cdef uint64_t short_gap          # microseconds
    cdef uint64_t round_began        # microseconds
    cdef uint32_t count              # messages in this round
    cdef uint32_t closed_loop        # closed-loop messages in this round
    cdef readonly bint dense
    cdef public bint notified
    cdef object on_dense

    cdef int record(self, uint64_t now, bint closed_loop) except -1

"""One association's fast lane; see lanes.pyx."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rserpool._fast.lane.registration cimport Guest, Terms
from rserpool._fast.base.bucket cimport Bucket
from rserpool._fast.handlespace.handlespace cimport Handlespace
from rserpool._fast.lane.load_meter cimport Pulse


cdef class Tally:
    cdef uint64_t resolutions
    cdef uint64_t acknowledgements
    cdef uint64_t renewals
    cdef uint64_t registrations


cdef class Lane:
    cdef Handlespace handlespace
    cdef Tally tally
    cdef uint64_t number
    cdef Terms terms
    cdef Guest guest
    cdef Bucket registrations
    cdef Bucket resolutions
    cdef set subscriptions           # the association's: a resolution may end one
    cdef set unconfirmed             # names of PEs that were taken over and have not spoken yet
    cdef dict claims
    # Called with nothing after a renewal, before its answer goes out, and where a timer was armed that is due earlier
    # than the wheel has told its owner. Acknowledgements of PEs that were taken over wait for who has taken them over.
    cdef public object renewed
    cdef public bint used            # since somebody set it to False
    cdef public Pulse pulse          # is told of each message that was served, or None
    cdef uint64_t last               # when it was told last
    cdef uint32_t streak             # messages in a row that came soon after the one before

    cdef int confirm(self, const uint8_t *octets, size_t size, uint64_t now) except -1
    cdef int look(self, const uint8_t *octets, size_t size) noexcept
    cdef int beat(self, uint64_t now) except -1
    cdef object serve_one(self, const uint8_t *octets, size_t size, uint64_t now)
    cdef object answer_to(self, const uint8_t *octets, size_t size, uint64_t now)
    cdef bytes serve_octets(self, const uint8_t *octets, size_t size, uint64_t now, size_t *served)

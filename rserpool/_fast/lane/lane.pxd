"""The fast lane of one association: it turns received octets into answers, within the association's rates."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rserpool._fast.base.bucket cimport Bucket
from rserpool._fast.codec.walk cimport Parameter
from rserpool._fast.handlespace.handlespace cimport Handlespace
from rserpool._fast.handlespace.records cimport Space
from rserpool._fast.lane.journal cimport Journal
from rserpool._fast.lane.load_meter cimport LoadMeter
from rserpool._fast.lane.registration cimport AdmissionLimits, Registrant


cdef class LaneCounters:
    cdef readonly uint64_t resolutions
    cdef readonly uint64_t acknowledgements
    cdef readonly uint64_t reregistrations
    cdef readonly uint64_t registrations
    cdef readonly uint64_t declined


cdef class LaneContext:
    cdef readonly Handlespace handlespace
    cdef readonly LaneCounters counters
    cdef AdmissionLimits limits
    cdef set unconfirmed             # (pool handle, identifier) of PEs that were taken over and have not answered yet
    cdef dict claims                 # claims of peer registrars on PEs that have an association here
    cdef public Journal journal


cdef class Lane:
    cdef readonly LaneContext context
    cdef Space *space                # the context's handlespace
    cdef uint64_t number
    cdef Registrant registrant
    cdef Bucket registrations
    cdef Bucket resolutions
    cdef set subscriptions           # pool handles that the association has subscribed; a resolution may end one
    cdef public object renewed
    cdef public bint used
    cdef public bint declined
    cdef public LoadMeter load_meter
    cdef uint64_t last_recorded      # when the load meter recorded a message of this lane
    cdef uint32_t short_gaps         # messages in a row that came soon after the one before

    cdef int record_addition(self, list updated) except -1
    cdef int confirm(self, const Parameter *parameters, uint8_t kind, uint64_t now) except -1
    cdef int prefetch(self, const uint8_t *octets, size_t size) noexcept
    cdef int record(self, uint64_t now) except -1
    cdef int complete(self, const uint8_t *octets) except -1
    cdef int complete_logged(self, const uint8_t *octets, size_t size, bytes answer, uint64_t now) except -1
    cdef object serve_one(self, const uint8_t *octets, size_t size, uint64_t now)
    cdef object answer_to(self, const uint8_t *octets, size_t size, uint64_t now)
    cdef bytes serve_octets(self, const uint8_t *octets, size_t size, uint64_t now, size_t *served)

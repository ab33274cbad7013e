"""What the two SCTP back ends share: which associations there are, and what their handler is told of them."""

from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uintptr_t


cdef enum State:
    UP, RESTARTED, SHUT_BY_PEER, SHUT, LOST, ABORTED, NOT_STARTED


cdef class Association:
    cdef uintptr_t place             # the back end's own
    cdef uint16_t port               # the peer's
    cdef bint up
    cdef bint over                   # the handler knows that it ended, or need not know
    cdef bint aborted                # by us; the handler does not know yet
    cdef bint blocked                # on_writable is due
    cdef bytearray partial


cdef class Associations:
    cdef public object handler
    cdef dict table

    cdef Association admit(self, uint32_t assoc, uint16_t port)
    cdef Association living(self, object assoc)
    cdef int give_up(self, uint32_t assoc) except -1
    cdef int goodbye(self, uint32_t assoc, bint at_once) except -1
    cdef Association blockable(self, uint32_t assoc)
    cdef int arrived(self, uint32_t assoc, const char *data, size_t length, uint32_t ppid, bint whole) except -1
    cdef int changed(self, uint32_t assoc, State state) except -1
    cdef int writable(self, uint32_t assoc) except -1
    cdef int released(self, Association association) except -1
    cdef int end(self, uint32_t assoc, Association association, State state) except -1
    cdef object existing(self, object assoc)
    cdef bytes checked(self, bytes data)

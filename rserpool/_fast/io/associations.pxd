"""What the two SCTP back ends share: which associations there are, and what their handler is told of them."""

from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uintptr_t

from rserpool._fast.handlespace.handlespace cimport Handlespace
from rserpool._fast.lane.lane cimport Lane


cdef enum State:
    UP, RESTARTED, SHUT_BY_PEER, SHUT, LOST, ABORTED, NOT_STARTED


cdef class Association:
    cdef uintptr_t place             # the back end's own
    cdef uintptr_t own               # its own socket, since it was paused; 0: that of the endpoint
    cdef uint16_t port               # the peer's
    cdef bint up
    cdef bint over                   # the handler knows that it ended, or need not know
    cdef bint aborted                # by us; the handler does not know yet
    cdef bint blocked                # on_writable is due
    cdef bint paused                 # no on_message
    cdef bint leaving                # by us, once the peer has all that it was sent
    cdef bint ending                 # the handler is to hear of the end behind what is held
    cdef bytearray partial
    cdef Lane lane                   # answers what it can before the handler is told, or None
    cdef object held                 # deque of what waits for resume(), or None: (message, PPID), or None for a restart
    cdef size_t weight               # octets of it


cdef class Associations:
    cdef public object handler
    cdef public size_t max_message   # octets
    cdef public object clock         # seconds, as lanes count them
    cdef Handlespace handlespace     # of the lanes, or None
    cdef dict table
    cdef dict parted                 # association by its own socket
    cdef dict late                   # the stack is done with them, the handler not yet

    cdef Association admit(self, uint32_t assoc, uint16_t port)
    cdef Association living(self, object assoc)
    cdef int give_up(self, uint32_t assoc) except -1
    cdef bint unsent(self, uint32_t assoc, Association association) except -1
    cdef int goodbye(self, uint32_t assoc, bint at_once) except -1
    cdef Association blockable(self, uint32_t assoc)
    cdef Association one(self, object assoc)
    cdef bint answered(self, uint32_t assoc, Association association, const char *data, size_t length) except -1
    cdef bint reply(self, uint32_t assoc, bytes answer) except -1
    cdef int hand_over(self, uint32_t assoc, bytes message, object ppid) except -1
    cdef int tell_restart(self, uint32_t assoc) except -1
    cdef int hold(self, uint32_t assoc, Association association, bytes message, object ppid) except -1
    cdef int tell_up(self, uint32_t assoc, Association association) except -1
    cdef int tell_end(self, uint32_t assoc, Association association, State state) except -1
    cdef int read_own(self, uint32_t assoc, size_t sip) except -1
    cdef int crowded(self, uint32_t assoc, Association association) except -1
    cdef int emptied(self, uint32_t assoc, Association association) except -1
    cdef int arrived(self, uint32_t assoc, const char *data, size_t length, uint32_t ppid, bint whole) except -1
    cdef int changed(self, uint32_t assoc, State state) except -1
    cdef int writable(self, uint32_t assoc) except -1
    cdef int released(self, Association association) except -1
    cdef int end(self, uint32_t assoc, Association association, State state) except -1
    cdef object existing(self, object assoc)
    cdef bytes checked(self, bytes data)

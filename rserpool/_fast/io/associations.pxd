"""The association table of one endpoint, common to both SCTP back ends, and the calls of the endpoint's handler."""

from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uintptr_t

from rserpool._fast.handlespace.handlespace cimport Handlespace
from rserpool._fast.lane.lane cimport Lane


cdef enum State:
    UP, RESTARTED, SHUT_BY_PEER, SHUT, LOST, ABORTED, NOT_STARTED


cdef class Association:
    cdef uintptr_t peer_handle       # set and used by the back end only
    cdef uintptr_t own_socket        # the socket that it was peeled off to; 0: it uses the endpoint's
    cdef uint16_t port               # the peer's
    cdef bint up
    cdef bint end_reported           # on_down was called, or must not be called
    cdef bint aborted                # by us; on_down is still to be called
    cdef bint blocked                # on_writable is to be called
    cdef bint paused                 # on_message must not be called
    cdef bint shutdown_pending       # shutdown() waits until the peer has everything that was sent
    cdef bint end_pending            # on_down is to be called after the held messages
    cdef bytearray partial           # the pieces of an incomplete message, or None
    cdef Lane lane                   # answers requests before the handler gets them, or None
    cdef object held                 # deque of (message, PPID) that wait for resume(), or None; message None: restart
    cdef size_t held_octets


cdef class Associations:
    cdef public object handler
    cdef public size_t max_message   # octets
    cdef public object clock         # seconds, as lanes count them
    cdef Handlespace handlespace     # of the lanes, or None
    cdef dict table                  # by identifier, while the stack knows them
    cdef dict peeled_off             # identifier by own socket
    cdef dict ended_undelivered      # forgotten by the stack, but some of their messages are not delivered yet

    cdef Association add_association(self, uint32_t assoc, uint16_t port)
    cdef Association require_open(self, object assoc)
    cdef int report_not_started(self, uint32_t assoc) except -1
    cdef bint defer_shutdown(self, uint32_t assoc, Association association) except -1
    cdef int request_end(self, uint32_t assoc, bint at_once) except -1
    cdef Association mark_blocked(self, uint32_t assoc)
    cdef Association reportable(self, object assoc)
    cdef bint answer_from_lane(
        self, uint32_t assoc, Association association, const char *data, size_t length
    ) except -1
    cdef bint send_answer(self, uint32_t assoc, bytes answer) except -1
    cdef int deliver(self, uint32_t assoc, bytes message, object ppid) except -1
    cdef int hold(self, uint32_t assoc, Association association, bytes message, object ppid) except -1
    cdef int report_restart(self, uint32_t assoc) except -1
    cdef int report_up(self, uint32_t assoc, Association association) except -1
    cdef int report_down(self, uint32_t assoc, Association association, State state) except -1
    cdef int report_writable(self, uint32_t assoc) except -1
    cdef int read_own_socket(self, uint32_t assoc, size_t limit) except -1
    cdef int peel_off(self, uint32_t assoc, Association association) except -1
    cdef int reopen_window(self, uint32_t assoc, Association association) except -1
    cdef int message_received(
        self, uint32_t assoc, const char *data, size_t length, uint32_t ppid, bint whole
    ) except -1
    cdef int state_changed(self, uint32_t assoc, State state) except -1
    cdef int release_association(self, Association association) except -1
    cdef int remove(self, uint32_t assoc, Association association, State state) except -1
    cdef object existing(self, object assoc)
    cdef bytes check_size(self, bytes data)

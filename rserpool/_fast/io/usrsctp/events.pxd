"""Events of libusrsctp: its callbacks copy them into C memory, from where a socket drains them."""

from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uintptr_t

from rserpool._fast.io.usrsctp.libusrsctp cimport sctp_rcvinfo, sctp_sockstore, usocket

cdef enum:
    READABLE = -1                    # Event.flags: a peeled-off socket is readable or has ended


cdef struct Event:
    void *data
    size_t length
    uintptr_t alias                  # of the peer; if READABLE, the peeled-off socket
    uint32_t assoc
    uint32_t ppid
    uint16_t port
    bint stray                       # a packet from another peer caused it
    int flags


cdef struct Queue:
    Event *events
    size_t head
    size_t tail
    size_t room
    bint overrun                     # an event was lost for lack of memory


cdef uint32_t events_open() except 0xFFFFFFFF
cdef void events_close(uint32_t slot) noexcept
cdef void events_disown() noexcept
cdef Queue *events_of(uint32_t slot) noexcept
cdef bint events_take(Queue *queue, Event *event) noexcept
cdef void *events_key(uint32_t slot) noexcept
cdef void events_set_source(uintptr_t alias, uint16_t port) noexcept
cdef int events_receive(
    usocket *so, sctp_sockstore address, void *data, size_t length, sctp_rcvinfo info, int flags, void *key
) noexcept nogil
cdef void events_upcall(usocket *so, void *key, int flags) noexcept nogil

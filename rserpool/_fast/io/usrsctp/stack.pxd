"""The one libusrsctp of this process: its start and end, its peers, its clock, its packets."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t, uintptr_t

from rserpool._fast.io.usrsctp.peers cimport Peers
from rserpool._fast.io.sockets cimport sockaddr, socklen_t


cdef enum:
    SPACE = 1 << 18                  # send and receive buffer of an association, octets


cdef struct Stack:
    Peers peers                      # the aliases of which it has as addresses
    bint running
    uint32_t forks                   # that have left a running stack behind; the parents' sockets are dead here
    uint64_t traffic                 # packets each way, heartbeats not counted

cdef Stack stack


cdef class Pace:
    """Who lets the timers run for a loop's endpoints, and whether that is seldom now: then whoever is about to use the
    stack calls tick() first, as its timers count from the last, and hurry() where there is traffic again."""

    cdef public bint calm


cdef int start() except -1
cdef uintptr_t find_peer(int fd, const sockaddr *address, socklen_t length, uint16_t port) noexcept
cdef uintptr_t alias_of(uintptr_t peer) noexcept
cdef void note_packet(const void *packet, size_t length) noexcept nogil
cpdef void tick() noexcept

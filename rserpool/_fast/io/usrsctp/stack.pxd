"""The one libusrsctp of this process: starts and ends it, runs its timers, sends its packets, knows its peers."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t, uintptr_t

from rserpool._fast.io.usrsctp.peers cimport Peers
from rserpool._fast.io.sockets cimport sockaddr, socklen_t


cdef enum:
    SPACE = 1 << 18                  # octets of an association's send buffer, and of its receive buffer


cdef struct Stack:
    Peers peers                      # the stack knows their aliases as addresses
    bint running
    uint32_t forks                   # forks of this process since its stack was started; a socket opened before is dead
    uint64_t traffic                 # packets sent and received, without heartbeats

cdef Stack stack


cdef class Pace:
    """Drives the stack's timers for the endpoints of one loop. While ``calm`` is set, ticks are far apart: call tick()
    before using the stack, because its timers count from the last tick, and hurry() when traffic resumes."""

    cdef public bint calm


cdef int start() except -1
cdef uintptr_t find_peer(int fd, const sockaddr *address, socklen_t length, uint16_t port) noexcept
cdef uintptr_t alias_of(uintptr_t peer) noexcept
cdef void note_packet(const void *packet, size_t length) noexcept nogil
cpdef void tick() noexcept

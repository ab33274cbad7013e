"""How libusrsctp's sockets are set up and ended."""

from libc.stdint cimport uint16_t, uint32_t, uintptr_t

from rserpool._fast.io.usrsctp.libusrsctp cimport sockaddr_conn, usocket


cdef int check(int result) except -1
cdef int tune(usocket *so, object tuning) except -1
cdef int hold_back(usocket *so, bint on) except -1
cdef int make_room(usocket *so, uint32_t octets) except -1
cdef int allow_large_packets(usocket *so, uint32_t assoc, uintptr_t peer, uint16_t port) noexcept
cdef void name_of(sockaddr_conn *name, uintptr_t peer, uint16_t port) noexcept
cdef void close_at_once(usocket *so) noexcept

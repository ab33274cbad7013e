"""How libusrsctp's sockets are set up."""

from libc.stdint cimport uint32_t

from rserpool._fast.libusrsctp cimport usocket


cdef int check(int result) except -1
cdef int tune(usocket *so, object tuning) except -1
cdef int make_room(usocket *so, uint32_t octets) except -1
cdef void close_at_once(usocket *so) noexcept

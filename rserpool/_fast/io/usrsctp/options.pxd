"""Sets options of libusrsctp's sockets, and closes them."""

from libc.stdint cimport uint16_t, uint32_t, uintptr_t

from rserpool._fast.io.usrsctp.libusrsctp cimport sctp_status, sockaddr_conn, usocket


cdef int check(int result) except -1
cdef int apply_tuning(usocket *so, object tuning) except -1
cdef int delay_small_messages(usocket *so, bint on) except -1
cdef int set_buffers(usocket *so, uint32_t octets) except -1
cdef int allow_large_packets(usocket *so, uint32_t assoc, uintptr_t peer, uint16_t port) noexcept
cdef int send_heartbeat(usocket *so, uint32_t assoc, uintptr_t peer, uint16_t port) noexcept
cdef bint get_status(usocket *so, uint32_t assoc, sctp_status *status) noexcept
cdef uint32_t unsent_octets(usocket *so, uint32_t assoc) noexcept
cdef void fill_address(sockaddr_conn *name, uintptr_t peer, uint16_t port) noexcept
cdef void abort_and_close(usocket *so) noexcept

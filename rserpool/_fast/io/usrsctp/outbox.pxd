"""Sends UDP datagrams, many per system call."""

from libc.stddef cimport size_t

from rserpool._fast.io.sockets cimport sockaddr, socklen_t


cdef void outbox_open() noexcept nogil
cdef void outbox_close() noexcept nogil
cdef void outbox_flush() noexcept nogil
cdef void outbox_disown() noexcept nogil
cdef void outbox_put(
    int fd, const sockaddr *to, socklen_t tolen, const void *packet, size_t length
) noexcept nogil

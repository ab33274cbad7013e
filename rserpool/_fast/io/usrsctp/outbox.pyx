# cython: freethreading_compatible=False
"""Sends UDP datagrams, many per system call. A datagram that cannot be sent is dropped, as if the network had lost it.

While the outbox is open, for one wake-up of a loop, it gathers datagrams and keeps their order. While it is closed, it
sends each one at once.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from rserpool._fast.io.usrsctp.peers cimport ADDRESS_ROOM
from rserpool._fast.io.sockets cimport MSG_DONTWAIT, iovec, mmsghdr, msghdr, sendmmsg, sendto, sockaddr, socklen_t

cdef enum:
    BATCH = 64                       # datagrams per sendmmsg
    ROOM = 1 << 18                   # octets of gathered datagrams
    TRIES = 2                        # per datagram: the first may return the error of an earlier datagram

cdef mmsghdr _headers[BATCH]
cdef iovec _parts[BATCH]
cdef uint8_t _names[BATCH][ADDRESS_ROOM]
cdef uint8_t _room[ROOM]
cdef unsigned int _count = 0
cdef size_t _used = 0
cdef int _fd = -1                    # the socket of all gathered datagrams
cdef int _openings = 0


cdef void outbox_open() noexcept nogil:
    """Gather datagrams until outbox_close() has been called as often as outbox_open()."""
    global _openings
    _openings += 1


cdef void outbox_close() noexcept nogil:
    """Send the gathered datagrams, and stop gathering after the last close."""
    global _openings
    _openings -= 1
    outbox_flush()


cdef void outbox_flush() noexcept nogil:
    """Send the gathered datagrams."""
    global _count, _used
    cdef unsigned int sent = 0
    cdef int tries = TRIES, n
    while sent < _count:
        n = sendmmsg(_fd, &_headers[sent], _count - sent, MSG_DONTWAIT)
        if n > 0:
            sent += <unsigned int>n
            tries = TRIES
        elif errno != EINTR:
            tries -= 1
            if errno == EAGAIN or not tries:
                sent += 1
                tries = TRIES
    _count = 0
    _used = 0


cdef void outbox_disown() noexcept nogil:
    """Drop the gathered datagrams in a forked child: the parent sends them."""
    global _count, _used
    _count = 0
    _used = 0


cdef void send_now(int fd, const sockaddr *to, socklen_t tolen, const void *packet, size_t length) noexcept nogil:
    """Send a datagram at once."""
    cdef int tries = TRIES
    while sendto(fd, packet, length, MSG_DONTWAIT, to, tolen) < 0:
        tries -= errno != EINTR
        if errno == EAGAIN or not tries:
            break


cdef void outbox_put(
    int fd, const sockaddr *to, socklen_t tolen, const void *packet, size_t length
) noexcept nogil:
    """Send or gather (copy) a datagram; ``tolen`` is at most ADDRESS_ROOM."""
    global _count, _used, _fd
    cdef msghdr *header
    if _count == BATCH or _used + length > ROOM or fd != _fd:
        outbox_flush()
    if not _openings or length > ROOM:
        send_now(fd, to, tolen, packet, length)
        return
    header = &_headers[_count].msg_hdr
    memcpy(&_room[_used], packet, length)
    memcpy(_names[_count], to, tolen)
    _parts[_count].iov_base = &_room[_used]
    _parts[_count].iov_len = length
    header.msg_name = _names[_count]
    header.msg_namelen = tolen
    header.msg_iov = &_parts[_count]
    header.msg_iovlen = 1
    _used += length
    _count += 1
    _fd = fd

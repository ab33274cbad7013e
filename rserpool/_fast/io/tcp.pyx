"""TCP connections whose requests their lanes answer, read behind one descriptor: a loop that is told that some of them
have something calls serve() once, instead of a protocol for each."""

import errno as codes
import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from posix.unistd cimport close

from rserpool._fast.io.epoll cimport (
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLIN, EPOLLRDHUP, epoll_create1, epoll_ctl,
    epoll_event, epoll_wait,
)
from rserpool._fast.lane.lane cimport Lane
from rserpool._fast.io.sockets cimport MSG_DONTWAIT, MSG_NOSIGNAL, recv, send

cdef enum:
    READY = 1024                     # connections per call; the rest when the loop has turned
    ROOM = 1 << 16                   # octets read of a connection at a time


cdef class _Member:
    cdef Lane lane
    cdef object leave


cdef class Streams:
    """Connections come by add() and go by remove(), or by themselves with a call of the ``leave`` that came with them,
    where there is anything but requests that the lane serves and answers for which there is room: the next octets are
    for others to read. ``leave`` is given the octets that were read and not served, the answers that were not sent, and
    the error number of an end, or 0."""

    cdef readonly int descriptor
    cdef dict members
    cdef uint8_t room[ROOM]

    def __cinit__(self) -> None:
        self.members = {}
        self.descriptor = epoll_create1(EPOLL_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self) -> None:
        if self.descriptor >= 0:
            close(self.descriptor)

    def add(self, int fd, Lane lane not None, leave not None) -> None:
        """A connection's descriptor, to which nobody else writes, and from which nobody else reads. OSError."""
        cdef _Member member = _Member()
        member.lane = lane
        member.leave = leave
        self.watch(fd, EPOLL_CTL_ADD)
        self.members[fd] = member

    cdef int watch(self, int fd, int operation) except -1:
        """Once for each time that something comes: to be told as long as there is something costs two looks more at the
        connection, and 50 clients 3 % of their answers. What is there already counts as having come now."""
        cdef epoll_event event
        event.events = <uint32_t>(EPOLLIN | EPOLLRDHUP | EPOLLET)
        event.data.fd = fd
        if epoll_ctl(self.descriptor, operation, fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    def remove(self, int fd) -> None:
        """That descriptor is somebody else's again; it is not closed yet."""
        cdef epoll_event event
        if self.members.pop(fd, None) is not None:
            epoll_ctl(self.descriptor, EPOLL_CTL_DEL, fd, &event)

    def serve(self, double seconds) -> None:
        """Whatever has come over up to READY of them."""
        cdef epoll_event events[READY]
        cdef _Member member
        cdef int i
        cdef object failure = None
        cdef int ready = epoll_wait(self.descriptor, events, READY, 0)
        cdef uint64_t now = <uint64_t>(seconds * 1e6)
        for i in range(ready):
            member = self.members.get(events[i].data.fd)
            if member is None:
                continue
            try:
                self.read(events[i].data.fd, member, now, events[i].events != <uint32_t>EPOLLIN)
            except Exception as error:                  # the others are not told of again
                failure = error
                self.part(events[i].data.fd, member, b"", b"", codes.EPROTO)
        if failure is not None:
            raise failure

    cdef int read(self, int fd, _Member member, uint64_t now, bint ending) except -1:
        cdef ssize_t size = recv(fd, self.room, ROOM, MSG_DONTWAIT)
        if size > 0:
            self.answer(fd, member, self.room, <size_t>size, now)
            if (size == ROOM or ending) and self.members.get(fd) is member:
                self.watch(fd, EPOLL_CTL_MOD)           # there may be more, or the end
        elif size == 0:
            self.part(fd, member, b"", b"", 0)
        elif errno == EINTR:
            self.watch(fd, EPOLL_CTL_MOD)
        elif errno != EAGAIN:
            self.part(fd, member, b"", b"", errno)
        return 0

    cdef int answer(self, int fd, _Member member, const uint8_t *octets, size_t size, uint64_t now) except -1:
        cdef size_t served = 0
        cdef Py_ssize_t sent = 0
        cdef bytes rest
        cdef bytes answers = member.lane.serve_octets(octets, size, now, &served)
        cdef bint member_still = self.members.get(fd) is member
        if answers and member_still:
            sent = max(0, send(
                fd, PyBytes_AS_STRING(answers), <size_t>PyBytes_GET_SIZE(answers), MSG_DONTWAIT | MSG_NOSIGNAL
            ))
        if not member_still or served < size or sent < PyBytes_GET_SIZE(answers):
            rest = PyBytes_FromStringAndSize(<const char *>octets + served, <Py_ssize_t>(size - served))
            self.part(fd, member, rest, answers[sent:], 0)
        return 0

    def take(self, int fd, bytes data not None, double seconds) -> None:
        """As if that had come over it."""
        self.answer(
            fd, self.members[fd], <const uint8_t *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data),
            <uint64_t>(seconds * 1e6),
        )

    cdef int part(self, int fd, _Member member, bytes octets, bytes answers, int error) except -1:
        self.remove(fd)
        member.leave(octets, answers, error)
        return 0

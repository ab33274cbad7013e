"""Joined reading: TCP connections whose requests lanes answer, watched through one epoll descriptor.

The loop calls serve() once for all connections that have data, instead of a protocol object for each.
"""

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
    READY = 1024                     # connections per call of serve(); the rest in the loop's next turn
    ROOM = 1 << 16                   # octets read from a connection at a time


cdef class _Connection:
    cdef Lane lane
    cdef object leave


cdef class JoinedReader:
    """Serves each connection from add() to remove(), or until it needs more than the answers of its lane.

    A connection leaves by itself when it receives something that the lane does not serve, when an answer finds no room,
    or when it ends. Then its ``leave`` is called with the octets that were read but not served, the answers that were
    not sent, and the error number of its end, or 0. The caller reads and writes the connection again.
    """

    cdef readonly int descriptor
    cdef dict connections
    cdef uint8_t room[ROOM]

    def __cinit__(self) -> None:
        self.connections = {}
        self.descriptor = epoll_create1(EPOLL_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self) -> None:
        if self.descriptor >= 0:
            close(self.descriptor)

    def add(self, int fd, Lane lane not None, leave not None) -> None:
        """Add a connection's descriptor. Until it leaves, nothing else may read or write it. OSError."""
        cdef _Connection connection = _Connection()
        connection.lane = lane
        connection.leave = leave
        self.watch(fd, EPOLL_CTL_ADD)
        self.connections[fd] = connection

    cdef int watch(self, int fd, int operation) except -1:
        """Watch for new data, edge-triggered; data that is there already counts as new.

        Level-triggered epoll would poll each connection twice more, which costs 50 clients 3 % of their answers.
        """
        cdef epoll_event event
        event.events = <uint32_t>(EPOLLIN | EPOLLRDHUP | EPOLLET)
        event.data.fd = fd
        if epoll_ctl(self.descriptor, operation, fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    def remove(self, int fd) -> None:
        """Remove a connection's descriptor. Call before it is closed."""
        cdef epoll_event event
        if self.connections.pop(fd, None) is not None:
            epoll_ctl(self.descriptor, EPOLL_CTL_DEL, fd, &event)

    def serve(self, double seconds) -> None:
        """Serve up to READY connections that have data."""
        cdef epoll_event events[READY]
        cdef _Connection connection
        cdef int i
        cdef object failure = None
        cdef int ready = epoll_wait(self.descriptor, events, READY, 0)
        cdef uint64_t now = <uint64_t>(seconds * 1e6)
        for i in range(ready):
            connection = self.connections.get(events[i].data.fd)
            if connection is None:
                continue
            try:
                self.read(events[i].data.fd, connection, now, events[i].events != <uint32_t>EPOLLIN)
            except Exception as error:                  # the events of the others would be lost
                failure = error
                self.let_go(events[i].data.fd, connection, b"", b"", codes.EPROTO)
        if failure is not None:
            raise failure

    cdef int read(self, int fd, _Connection connection, uint64_t now, bint ending) except -1:
        cdef ssize_t size = recv(fd, self.room, ROOM, MSG_DONTWAIT)
        if size > 0:
            self.answer(fd, connection, self.room, <size_t>size, now)
            if (size == ROOM or ending) and self.connections.get(fd) is connection:
                self.watch(fd, EPOLL_CTL_MOD)           # there may be more, or the end
        elif size == 0:
            self.let_go(fd, connection, b"", b"", 0)
        elif errno == EINTR:
            self.watch(fd, EPOLL_CTL_MOD)
        elif errno != EAGAIN:
            self.let_go(fd, connection, b"", b"", errno)
        return 0

    cdef int answer(self, int fd, _Connection connection, const uint8_t *octets, size_t size, uint64_t now) except -1:
        cdef size_t served = 0
        cdef Py_ssize_t sent = 0
        cdef bytes rest
        cdef bytes answers = connection.lane.serve_octets(octets, size, now, &served)
        cdef bint present = self.connections.get(fd) is connection
        if answers and present:
            sent = max(0, send(
                fd, PyBytes_AS_STRING(answers), <size_t>PyBytes_GET_SIZE(answers), MSG_DONTWAIT | MSG_NOSIGNAL
            ))
        if not present or served < size or sent < PyBytes_GET_SIZE(answers):
            rest = PyBytes_FromStringAndSize(<const char *>octets + served, <Py_ssize_t>(size - served))
            self.let_go(fd, connection, rest, answers[sent:], 0)
        return 0

    def process(self, int fd, bytes data not None, double seconds) -> None:
        """Process octets that were already read from a connection."""
        self.answer(
            fd, self.connections[fd], <const uint8_t *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data),
            <uint64_t>(seconds * 1e6),
        )

    cdef int let_go(self, int fd, _Connection connection, bytes octets, bytes answers, int error) except -1:
        self.remove(fd)
        connection.leave(octets, answers, error)
        return 0

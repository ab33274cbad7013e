"""Data and events of a one-to-many SCTP socket of the Linux kernel (RFC 6458), many per call, by association.

The kernel's structures are declared here: its header for programs is not everywhere.
"""

import errno as codes
import os

from libc.errno cimport EAGAIN, EINPROGRESS, EINTR, errno
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, malloc
from libc.string cimport memcpy, memset

from rserpool._fast.associations cimport (
    ABORTED, LOST, NOT_STARTED, RESTARTED, SHUT, SHUT_BY_PEER, UP, Associations, State,
)
from rserpool._fast.peers cimport sockaddr, socklen_t

from rserpool.association import AssociationGone

cdef extern from "<sys/socket.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        void *msg_name
        socklen_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    struct timespec:
        pass
    cmsghdr *CMSG_FIRSTHDR(msghdr *message)
    cmsghdr *CMSG_NXTHDR(msghdr *message, cmsghdr *last)
    uint8_t *CMSG_DATA(cmsghdr *header)
    size_t CMSG_LEN(size_t length)
    size_t CMSG_SPACE(size_t length)
    int recvmmsg(int fd, mmsghdr *messages, unsigned int count, int flags, timespec *timeout)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
    int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
    int MSG_DONTWAIT, MSG_NOSIGNAL, MSG_EOR

cdef extern from "<arpa/inet.h>" nogil:
    uint16_t ntohs(uint16_t)
    uint32_t htonl(uint32_t)
    uint32_t ntohl(uint32_t)

cdef enum:
    SOL_SCTP = 132
    MSG_NOTIFICATION = 0x8000
    CMSG_SNDINFO = 2
    CMSG_RCVINFO = 3
    OPT_EVENTS = 11
    OPT_PEER_ADDR_INFO = 15
    OPT_DELAYED_SACK = 16
    OPT_RECVRCVINFO = 32
    OPT_CONNECTX3 = 111
    SEND_ABORT = 0x0004
    SEND_EOF = 0x0200
    NOTE_ASSOC_CHANGE = 0x8001
    NOTE_SHUTDOWN = 0x8005
    COMM_UP = 0
    COMM_LOST = 1
    RESTART = 2
    SHUTDOWN_COMP = 3
    BATCH = 32                       # messages per recvmmsg
    BATCHES = 8                      # per wake-up, so that one busy socket does not starve the loop
    ROOM = 1 << 16                   # a longer message comes in pieces
    CONTROL = 64

cdef struct rcvinfo:
    uint16_t sid
    uint16_t ssn
    uint16_t flags
    uint32_t ppid
    uint32_t tsn
    uint32_t cumtsn
    uint32_t context
    int32_t assoc

cdef struct sndinfo:
    uint16_t sid
    uint16_t flags
    uint32_t ppid
    uint32_t context
    int32_t assoc

cdef struct note_header:
    uint16_t type
    uint16_t flags
    uint32_t length

cdef struct assoc_change:
    note_header header
    uint16_t state
    uint16_t error
    uint16_t outbound
    uint16_t inbound
    int32_t assoc

cdef struct shutdown_event:
    note_header header
    int32_t assoc

cdef struct connectx3:
    int32_t assoc
    int32_t length
    sockaddr *addresses

cdef struct sack_info:
    int32_t assoc
    uint32_t delay
    uint32_t frequency

cdef struct paddrinfo:
    int32_t assoc
    uint8_t address[128]
    uint32_t rest[5]

cdef mmsghdr *_headers = NULL

cdef frozenset GONE = frozenset(
    (codes.ENOENT, codes.ECONNRESET, codes.ECONNABORTED, codes.EPIPE, codes.ESHUTDOWN, codes.ENOTCONN, codes.EINVAL)
)


cdef int allocate_batch() except -1:
    global _headers
    cdef iovec *parts
    cdef uint8_t *room
    cdef uint8_t *extra
    cdef int i
    if _headers != NULL:
        return 0
    _headers = <mmsghdr *>calloc(BATCH, sizeof(mmsghdr) + sizeof(iovec) + CONTROL + 28)
    room = <uint8_t *>malloc(BATCH * ROOM)
    if _headers == NULL or room == NULL:
        raise MemoryError
    parts = <iovec *>&_headers[BATCH]
    extra = <uint8_t *>&parts[BATCH]
    for i in range(BATCH):
        parts[i].iov_base = &room[i * ROOM]
        parts[i].iov_len = ROOM
        _headers[i].msg_hdr.msg_iov = &parts[i]
        _headers[i].msg_hdr.msg_iovlen = 1
        _headers[i].msg_hdr.msg_control = &extra[i * CONTROL]
        _headers[i].msg_hdr.msg_name = &extra[BATCH * CONTROL + i * 28]
    return 0


cdef class Socket(Associations):
    """The data side of a one-to-many socket that somebody else made, bound and will close.

    A subclass owes, beside what Associations asks for: a reader that calls receive(), and the hook blocked(): once the
    descriptor is writable, retry() is due.
    """

    cdef int fd
    cdef list waiting

    def take_socket(self, int fd, double sack_delay) -> None:
        """Work on that non-blocking descriptor. OSError."""
        cdef uint8_t events[10]
        cdef int on = 1
        cdef sack_info sack
        allocate_batch()
        self.fd = fd
        self.waiting = []
        memset(events, 0, sizeof(events))
        events[1] = 1                # association changes
        events[5] = 1                # the peer shuts down
        memset(&sack, 0, sizeof(sack))
        sack.delay = <uint32_t>(sack_delay * 1000)
        sack.frequency = 2 if sack.delay else 1
        if (
            setsockopt(fd, SOL_SCTP, OPT_EVENTS, events, sizeof(events)) < 0
            or setsockopt(fd, SOL_SCTP, OPT_RECVRCVINFO, &on, sizeof(on)) < 0
            or setsockopt(fd, SOL_SCTP, OPT_DELAYED_SACK, &sack, sizeof(sack)) < 0
        ):
            raise OSError(errno, os.strerror(errno))

    def drop_socket(self) -> None:
        """The descriptor is about to be closed."""
        self.fd = -1
        self.table.clear()
        self.late.clear()
        self.waiting.clear()

    def blocked(self) -> None:
        """send() found no room."""

    def receive(self) -> None:
        """Take what waits and hand it to the handler."""
        cdef int _batch, i, n
        cdef msghdr *header
        for _batch in range(BATCHES):
            if self.fd < 0:
                return
            for i in range(BATCH):
                header = &_headers[i].msg_hdr
                header.msg_namelen = 28
                header.msg_controllen = CONTROL
            n = recvmmsg(self.fd, _headers, BATCH, MSG_DONTWAIT, NULL)
            if n < 0 and errno != EAGAIN and errno != EINTR:
                raise OSError(errno, os.strerror(errno))
            for i in range(n):
                if self.fd < 0:
                    return
                header = &_headers[i].msg_hdr
                if header.msg_flags & MSG_NOTIFICATION:
                    self.notified(header, _headers[i].msg_len)
                else:
                    self.data(header, _headers[i].msg_len)
            if n < BATCH:
                return

    cdef int data(self, msghdr *header, size_t length) except -1:
        cdef rcvinfo *info = NULL
        cdef cmsghdr *control = CMSG_FIRSTHDR(header)
        while control != NULL:
            if control.cmsg_level == SOL_SCTP and control.cmsg_type == CMSG_RCVINFO:
                info = <rcvinfo *>CMSG_DATA(control)
            control = CMSG_NXTHDR(header, control)
        if info == NULL:
            return 0
        return self.arrived(
            <uint32_t>info.assoc, <const char *>header.msg_iov.iov_base, length, ntohl(info.ppid),
            header.msg_flags & MSG_EOR != 0,
        )

    cdef int notified(self, msghdr *header, size_t length) except -1:
        cdef assoc_change *change = <assoc_change *>header.msg_iov.iov_base
        cdef uint32_t assoc
        if length >= sizeof(shutdown_event) and change.header.type == NOTE_SHUTDOWN:
            return self.changed(<uint32_t>(<shutdown_event *>change).assoc, SHUT_BY_PEER)
        if length < sizeof(assoc_change) or change.header.type != NOTE_ASSOC_CHANGE:
            return 0
        assoc = <uint32_t>change.assoc
        if change.state == COMM_UP and assoc not in self.table:
            # Both families keep the port in the same place.
            self.admit(assoc, ntohs((<uint16_t *>header.msg_name)[1]))
        return self.changed(assoc, state_of(change))

    cdef ssize_t sendmsg(self, object assoc, bytes data, uint32_t ppid, int flags) except -2:
        cdef uint8_t control[64]
        cdef msghdr message
        cdef iovec part
        cdef cmsghdr *header
        cdef sndinfo *info
        cdef ssize_t sent = -1
        part.iov_base = <void *><const char *>data
        part.iov_len = <size_t>len(data)
        memset(&message, 0, sizeof(message))
        memset(control, 0, sizeof(control))
        message.msg_iov = &part
        message.msg_iovlen = 1 if part.iov_len else 0
        message.msg_control = control
        message.msg_controllen = CMSG_SPACE(sizeof(sndinfo))
        header = CMSG_FIRSTHDR(&message)
        header.cmsg_level = SOL_SCTP
        header.cmsg_type = CMSG_SNDINFO
        header.cmsg_len = CMSG_LEN(sizeof(sndinfo))
        info = <sndinfo *>CMSG_DATA(header)
        info.flags = <uint16_t>flags
        info.ppid = htonl(ppid)
        info.assoc = assoc
        while True:
            sent = sendmsg(self.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent >= 0 or errno != EINTR:
                return -1 if sent < 0 else sent

    def send(self, assoc: int, bytes data not None, uint32_t ppid) -> bool:
        """See interface.Endpoint.send."""
        cdef int error
        self.living(assoc)
        if self.sendmsg(assoc, self.checked(data), ppid, 0) >= 0:
            return True
        error = errno
        if error == EAGAIN:
            if self.blockable(assoc) is not None:
                self.waiting.append(assoc)
                self.blocked()
            return False
        if error in GONE:
            raise AssociationGone(f"association {assoc} is gone")
        raise OSError(error, os.strerror(error))

    def retry(self) -> bool:
        """Tell the handler of the associations that were blocked. Whether any is blocked again."""
        cdef list waiting = self.waiting
        self.waiting = []
        for assoc in waiting:
            self.writable(assoc)
        return bool(self.waiting)

    def reach(self, bytes addresses not None, int port) -> int:
        """Begin an association with packed sockaddrs, all of that port, and return its identifier. OSError."""
        cdef connectx3 request
        cdef socklen_t length = sizeof(request)
        request.assoc = 0
        request.length = <int32_t>len(addresses)
        request.addresses = <sockaddr *><char *>addresses
        if getsockopt(self.fd, SOL_SCTP, OPT_CONNECTX3, &request, &length) < 0 and errno != EINPROGRESS:
            raise OSError(errno, os.strerror(errno))
        if request.assoc not in self.table:
            self.admit(<uint32_t>request.assoc, <uint16_t>port)
        return request.assoc

    def find(self, const uint8_t[::1] address not None) -> int | None:
        """The association with the peer of that packed sockaddr. OSError while it is ending."""
        cdef paddrinfo info
        cdef socklen_t length = sizeof(info)
        memset(&info, 0, sizeof(info))
        memcpy(info.address, &address[0], <size_t>min(address.shape[0], 28))
        if getsockopt(self.fd, SOL_SCTP, OPT_PEER_ADDR_INFO, &info, &length) < 0:
            return None
        return self.existing(info.assoc) if info.assoc in self.table else info.assoc

    cdef int goodbye(self, uint32_t assoc, bint at_once) except -1:
        self.sendmsg(assoc, b"", 0, SEND_ABORT if at_once else SEND_EOF)
        return 0


cdef State state_of(const assoc_change *change) noexcept nogil:
    if change.state == COMM_UP:
        return UP
    if change.state == RESTART:
        return RESTARTED
    if change.state == SHUTDOWN_COMP:
        return SHUT
    if change.state == COMM_LOST:
        # A peer's ABORT is appended to the notification.
        return ABORTED if change.header.length > sizeof(assoc_change) else LOST
    return NOT_STARTED

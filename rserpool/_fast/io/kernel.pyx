"""Messages and notifications of a one-to-many SCTP socket of the Linux kernel (RFC 6458), many per system call.

The kernel's structures are declared here because not every system has the header that declares them.
"""

import errno as codes
import os

from libc.errno cimport EAGAIN, EINPROGRESS, EINTR, errno
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, malloc
from libc.string cimport memcpy, memset

from rserpool._fast.lane.prefetch cimport MAX_PREFETCHED, Message, is_large, prefetch_messages
from rserpool._fast.io.associations cimport (
    ABORTED, LOST, NOT_STARTED, RESTARTED, SHUT, SHUT_BY_PEER, UP, Association, Associations, State,
)
from rserpool._fast.io.epoll cimport EPOLLIN, EPOLLOUT
from rserpool._fast.io.sockets cimport *

from rserpool.model.association_ends import AssociationGone

cdef extern from "<unistd.h>" nogil:
    int close(int fd)

cdef extern from "<arpa/inet.h>" nogil:
    uint16_t ntohs(uint16_t)
    uint32_t htonl(uint32_t)
    uint32_t ntohl(uint32_t)

cdef enum:
    SOL_SCTP = 132
    ASAP_PPID = 11
    MSG_NOTIFICATION = 0x8000
    CMSG_SNDINFO = 2
    CMSG_RCVINFO = 3
    OPT_EVENTS = 11
    OPT_STATUS = 14
    OPT_PEER_ADDR_INFO = 15
    OPT_DELAYED_SACK = 16
    OPT_RECVRCVINFO = 32
    OPT_CONNECTX3 = 111
    OPT_PEELOFF_FLAGS = 122
    OPT_EVENT = 127
    SEND_ABORT = 0x0004
    SEND_EOF = 0x0200
    NOTE_ASSOC_CHANGE = 0x8001
    NOTE_SHUTDOWN = 0x8005
    NOTE_SENDER_DRY = 0x8009
    COMM_UP = 0
    COMM_LOST = 1
    RESTART = 2
    SHUTDOWN_COMP = 3
    BATCH = MAX_PREFETCHED            # messages per recvmmsg
    BATCHES = 8                      # per wake-up with few associations: one busy socket must not starve the loop
    MOST_BATCHES = 128               # per wake-up with many associations, about one message for each
    OWN_BATCH = 8                    # messages per recvmmsg of a peeled-off socket: as many as a pause() may leave held
    OWN_BATCHES = 32
    BUFFER = 1 << 16                 # octets; a longer message comes in pieces
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

cdef struct event:
    int32_t assoc
    uint16_t type
    uint8_t on

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
    int32_t state
    uint32_t cwnd
    uint32_t srtt                    # milliseconds
    uint32_t rto
    uint32_t mtu

cdef struct status:
    int32_t assoc
    uint32_t before[5]
    paddrinfo primary

cdef struct SendParts:               # the parts of a message that its header points to
    iovec part
    uint8_t control[CONTROL]

cdef struct peeloff:
    int32_t assoc
    int fd
    unsigned int flags

cdef mmsghdr *_headers = NULL
cdef mmsghdr *_answers = NULL        # BATCH, like the next
cdef SendParts *_answer_parts = NULL

cdef frozenset GONE = frozenset(
    (codes.ENOENT, codes.ECONNRESET, codes.ECONNABORTED, codes.EPIPE, codes.ESHUTDOWN, codes.ENOTCONN, codes.EINVAL,
     codes.ETIMEDOUT, codes.ESRCH)
)


cdef int allocate_batch() except -1:
    global _headers, _answers, _answer_parts
    cdef iovec *parts
    cdef uint8_t *room
    cdef uint8_t *extra
    cdef int i
    if _headers != NULL:
        return 0
    _headers = <mmsghdr *>calloc(BATCH, sizeof(mmsghdr) + sizeof(iovec) + CONTROL + 28)
    room = <uint8_t *>malloc(BATCH * BUFFER)
    _answers = <mmsghdr *>calloc(BATCH, sizeof(mmsghdr))
    _answer_parts = <SendParts *>calloc(BATCH, sizeof(SendParts))
    if _headers == NULL or room == NULL or _answers == NULL or _answer_parts == NULL:
        raise MemoryError
    parts = <iovec *>&_headers[BATCH]
    extra = <uint8_t *>&parts[BATCH]
    for i in range(BATCH):
        parts[i].iov_base = &room[i * BUFFER]
        parts[i].iov_len = BUFFER
        _headers[i].msg_hdr.msg_iov = &parts[i]
        _headers[i].msg_hdr.msg_iovlen = 1
        _headers[i].msg_hdr.msg_control = &extra[i * CONTROL]
        _headers[i].msg_hdr.msg_name = &extra[BATCH * CONTROL + i * 28]
    return 0


cdef void fill_header(
    msghdr *header, SendParts *parts, object assoc, bytes data, uint32_t ppid, int flags
) except *:
    """Build the header of a message to an association. ``data`` must outlive it."""
    cdef cmsghdr *control
    cdef sndinfo *info
    memset(header, 0, sizeof(msghdr))
    memset(parts, 0, sizeof(SendParts))
    parts.part.iov_base = <void *><const char *>data
    parts.part.iov_len = <size_t>len(data)
    header.msg_iov = &parts.part
    header.msg_iovlen = 1 if parts.part.iov_len else 0
    header.msg_control = parts.control
    header.msg_controllen = CMSG_SPACE(sizeof(sndinfo))
    control = CMSG_FIRSTHDR(header)
    control.cmsg_level = SOL_SCTP
    control.cmsg_type = CMSG_SNDINFO
    control.cmsg_len = CMSG_LEN(sizeof(sndinfo))
    info = <sndinfo *>CMSG_DATA(control)
    info.flags = <uint16_t>flags
    info.ppid = htonl(ppid)
    info.assoc = assoc


cdef class Socket(Associations):
    """Reads and writes a one-to-many socket that the subclass makes, binds and closes (see Associations).

    The subclass must also

    1. call receive() when the descriptor is readable;
    2. implement wait_until_writable(), after which it calls retry_blocked() when the descriptor is writable;
    3. implement watch_own_socket(), after which it calls own_socket_ready() for each of those events.
    """

    cdef int fd
    cdef list waiting                # blocked associations
    cdef list answers                # (association, octets) to send at the end of receive_batch()
    cdef readonly uint64_t messages_sent     # by send()

    def adopt_socket(self, int fd, double sack_delay) -> None:
        """Use that non-blocking descriptor. OSError."""
        cdef uint8_t events[10]
        cdef int on = 1
        cdef sack_info sack
        allocate_batch()
        self.fd = fd
        self.waiting = []
        self.answers = []
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

    def release_socket(self) -> None:
        """Stop using the descriptor, and close every peeled-off one. Call before it is closed."""
        self.send_answers()
        self.fd = -1
        for assoc in self.table.values():
            self.release_association(<Association>assoc)
        self.table.clear()
        self.ended_undelivered.clear()
        self.peeled_off.clear()
        self.waiting.clear()

    def wait_until_writable(self) -> None:
        """Call retry_blocked() when the descriptor is writable: send() has found no room."""

    def watch_own_socket(self, fd: int, events: int) -> None:
        """Watch a peeled-off descriptor for these events and for errors; -1: stop, as it is about to be closed."""

    def receive(self) -> None:
        """Read waiting messages and notifications, and process them."""
        cdef int _batch
        for _batch in range(<int>min(max(len(self.table) // BATCH, BATCHES), MOST_BATCHES)):
            if self.fd < 0 or self.receive_batch(self.fd, BATCH) < BATCH:
                return

    cdef int receive_batch(self, int fd, int most) except -1:
        """Read and process up to that many messages of a descriptor; return how many there were."""
        cdef int i, n
        cdef msghdr *header
        for i in range(most):
            header = &_headers[i].msg_hdr
            header.msg_namelen = 28
            header.msg_controllen = CONTROL
        n = recvmmsg(fd, _headers, <unsigned int>most, MSG_DONTWAIT, NULL)
        if n < 0 and fd != self.fd and errno != EAGAIN:
            # The first call returned the error that ended the association; messages from before it may still wait.
            n = recvmmsg(fd, _headers, <unsigned int>most, MSG_DONTWAIT, NULL)
        if n < 0:
            if errno == EAGAIN or errno == EINTR or fd != self.fd:
                return 0
            raise OSError(errno, os.strerror(errno))
        self.prefetch(n)
        try:
            for i in range(n):
                if self.fd < 0:
                    return 0
                header = &_headers[i].msg_hdr
                if header.msg_flags & MSG_NOTIFICATION:
                    self.handle_notification(header, _headers[i].msg_len)
                else:
                    self.handle_data(header, _headers[i].msg_len)
        finally:
            self.send_answers()
        return n

    cdef void prefetch(self, int count) noexcept:
        """Prefetch the memory that the received messages will touch."""
        cdef Message messages[BATCH]
        cdef int i
        if self.handlespace is None or not is_large(&self.handlespace.space):
            return
        for i in range(count):
            messages[i].octets = <const uint8_t *>_headers[i].msg_hdr.msg_iov.iov_base
            messages[i].size = _headers[i].msg_len
        prefetch_messages(&self.handlespace.space, messages, count)

    def fd_of(self, assoc: int) -> int:
        """Return the descriptor that an association uses."""
        cdef Association association = self.table.get(assoc)
        return <int>association.own_socket if association is not None and association.own_socket else self.fd

    cdef int peel_off(self, uint32_t assoc, Association association) except -1:
        """See Associations.peel_off. If no descriptor is left, more is held instead."""
        cdef peeloff request
        cdef socklen_t length = sizeof(request)
        if association.own_socket or association.aborted:
            return 0
        self.send_answers()
        request.assoc = <int32_t>assoc
        request.fd = -1
        request.flags = <unsigned int>(SOCK_NONBLOCK | SOCK_CLOEXEC)
        if getsockopt(self.fd, SOL_SCTP, OPT_PEELOFF_FLAGS, &request, &length) < 0:
            return 0
        association.own_socket = <uintptr_t>request.fd
        self.peeled_off[association.own_socket] = assoc
        self.start_probing()
        return self.update_watch(association)

    cdef int update_watch(self, Association association) except -1:
        """Watch a peeled-off association's descriptor for the events that matter in its present state."""
        cdef int events = EPOLLOUT if association.blocked else 0
        if association.aborted or not association.paused and association.held is None:
            events |= EPOLLIN
        self.watch_own_socket(association.own_socket, events)
        return 0

    cdef int reopen_window(self, uint32_t assoc, Association association) except -1:
        return self.update_watch(association) if association.own_socket else 0

    cdef int release_association(self, Association association) except -1:
        cdef linger_t linger
        cdef int fd = <int>association.own_socket
        if fd:
            association.own_socket = 0
            self.peeled_off.pop(fd, None)
            self.watch_own_socket(fd, -1)
            linger.l_onoff = 1
            linger.l_linger = 0
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger))
            close(fd)
        return 0

    def own_socket_ready(self, fd: int, events: int) -> None:
        """Handle these events or errors of a peeled-off descriptor."""
        cdef Association association = self.table.get(self.peeled_off.get(fd))
        if association is None:
            return
        assoc = self.peeled_off[fd]
        if events & EPOLLOUT:
            self.report_writable(assoc)
        if association.own_socket and events & ~EPOLLOUT:
            self.read_own_socket(assoc, 0)
        if association.own_socket:
            self.update_watch(association)

    cdef int read_own_socket(self, uint32_t assoc, size_t limit) except -1:
        """See Associations.read_own_socket. At most OWN_BATCHES at a time; everything if the association has ended."""
        cdef Association association = self.table.get(assoc)
        cdef bint ended = association is not None and association.own_socket and not self.exists(assoc)
        cdef size_t taken = 0
        cdef int n, batches = 0
        while association is not None and association.own_socket and self.fd >= 0 and (ended or batches < OWN_BATCHES):
            batches += 1
            if not association.paused or association.aborted or ended:
                n = self.receive_batch(<int>association.own_socket, OWN_BATCH)
            elif taken < limit:
                _headers[0].msg_hdr.msg_iov.iov_len = limit
                n = self.receive_batch(<int>association.own_socket, 1)
                _headers[0].msg_hdr.msg_iov.iov_len = BUFFER
                taken += _headers[0].msg_len
            else:
                break
            if not n:
                break
        if ended and association.own_socket:
            self.state_changed(assoc, ABORTED if association.aborted else LOST)
        return 0

    cdef bint defer_shutdown(self, uint32_t assoc, Association association) except -1:
        """Ask for SCTP_SENDER_DRY. False while paused, because the event would not be read.

        The event comes at once if nothing is left to be sent.
        """
        cdef event wanted
        if association.paused:
            return False
        self.send_answers()
        memset(&wanted, 0, sizeof(wanted))
        wanted.assoc = <int32_t>assoc
        wanted.type = NOTE_SENDER_DRY
        wanted.on = 1
        return setsockopt(self.fd_of(assoc), SOL_SCTP, OPT_EVENT, &wanted, sizeof(wanted)) >= 0

    cdef bint exists(self, object assoc) except -1:
        """Return True if the kernel still knows an association."""
        cdef status found
        return self.get_status(assoc, &found)

    cdef bint get_status(self, object assoc, status *found) except -1:
        """Get SCTP_STATUS of an association; False if the kernel does not know it."""
        cdef socklen_t length = sizeof(status)
        memset(found, 0, sizeof(status))
        found.assoc = assoc
        return getsockopt(self.fd_of(assoc), SOL_SCTP, OPT_STATUS, found, &length) >= 0

    def rtt(self, assoc: int) -> float | None:
        """See interface.Endpoint.rtt: the primary path's, in whole milliseconds."""
        cdef status found
        return found.primary.srtt / 1000 if self.get_status(assoc, &found) else None

    cdef int handle_data(self, msghdr *header, size_t length) except -1:
        cdef rcvinfo *info = NULL
        cdef cmsghdr *control = CMSG_FIRSTHDR(header)
        while control != NULL:
            if control.cmsg_level == SOL_SCTP and control.cmsg_type == CMSG_RCVINFO:
                info = <rcvinfo *>CMSG_DATA(control)
            control = CMSG_NXTHDR(header, control)
        if info == NULL:
            return 0
        return self.message_received(
            <uint32_t>info.assoc, <const char *>header.msg_iov.iov_base, length, ntohl(info.ppid),
            header.msg_flags & MSG_EOR != 0,
        )

    cdef int handle_notification(self, msghdr *header, size_t length) except -1:
        cdef assoc_change *change = <assoc_change *>header.msg_iov.iov_base
        cdef uint32_t assoc
        if length >= sizeof(shutdown_event) and change.header.type == NOTE_SHUTDOWN:
            return self.state_changed(<uint32_t>(<shutdown_event *>change).assoc, SHUT_BY_PEER)
        if length >= sizeof(shutdown_event) and change.header.type == NOTE_SENDER_DRY:
            self.finish_shutdown((<shutdown_event *>change).assoc)
            return 0
        if length < sizeof(assoc_change) or change.header.type != NOTE_ASSOC_CHANGE:
            return 0
        assoc = <uint32_t>change.assoc
        if change.state == COMM_UP and assoc not in self.table:
            # Both families keep the port in the same place.
            self.add_association(assoc, ntohs((<uint16_t *>header.msg_name)[1]))
        return self.state_changed(assoc, state_of(change))

    cdef ssize_t send_message(self, object assoc, bytes data, uint32_t ppid, int flags) except -2:
        """Call sendmsg() for an association; -1 and errno if that fails."""
        cdef SendParts parts
        cdef msghdr header
        cdef ssize_t sent = -1
        self.send_answers()                             # gathered answers precede this message
        fill_header(&header, &parts, assoc, data, ppid, flags)
        while True:
            sent = sendmsg(self.fd_of(assoc), &header, MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent >= 0 or errno != EINTR:
                return -1 if sent < 0 else sent

    cdef bint send_answer(self, uint32_t assoc, bytes answer) except -1:
        """Gather an answer; receive_batch(), from where this is called, sends them all."""
        self.answers.append((assoc, answer))
        return True

    cdef int send_answers(self) except -1:
        """Send the gathered answers by one system call, up to the first association without room.

        The rest are sent one by one, so that no association waits for another's room.
        """
        cdef list answers = self.answers
        cdef Association association
        cdef int i = 0, n = <int>len(answers), sent = 0
        if n == 0:
            return 0
        self.answers = []
        for assoc, answer in answers:
            fill_header(&_answers[i].msg_hdr, &_answer_parts[i], assoc, answer, ASAP_PPID, 0)
            i += 1
        fd = self.fd_of(answers[0][0])                  # all requests came from the same descriptor
        while sent < n:
            i = sendmmsg(fd, &_answers[sent], <unsigned int>(n - sent), MSG_DONTWAIT | MSG_NOSIGNAL)
            if i >= 0:
                sent += i
            elif errno != EINTR:
                break
        for assoc, answer in answers[sent:]:
            association = self.table.get(assoc)
            if association is None or association.end_reported:
                continue
            if association.blocked or self.send_message(assoc, answer, ASAP_PPID, 0) < 0:
                try:
                    self.handler.on_answer(self, assoc, answer)
                except Exception as error:
                    self.handler_failed(error)
        return 0

    def send(self, assoc: int, bytes data not None, uint32_t ppid) -> bool:
        """See interface.Endpoint.send."""
        cdef int error
        cdef Association association
        self.require_open(assoc)
        if self.send_message(assoc, self.check_size(data), ppid, 0) >= 0:
            self.messages_sent += 1
            return True
        error = errno
        if error == EAGAIN:
            association = self.mark_blocked(assoc)
            if association is not None and association.own_socket:
                self.update_watch(association)
            elif association is not None:
                self.waiting.append(assoc)
                self.wait_until_writable()
            return False
        if error in GONE:
            raise AssociationGone(f"association {assoc} is gone")
        raise OSError(error, os.strerror(error))

    def retry_blocked(self) -> bool:
        """Report on_writable for all blocked associations. True if any of them is blocked again."""
        cdef list waiting = self.waiting
        self.waiting = []
        for assoc in waiting:
            self.report_writable(assoc)
        return bool(self.waiting)

    def open_association(self, bytes addresses not None, int port) -> int:
        """Begin an association to packed sockaddrs, all with that port, and return its identifier. OSError."""
        cdef connectx3 request
        cdef socklen_t length = sizeof(request)
        request.assoc = 0
        request.length = <int32_t>len(addresses)
        request.addresses = <sockaddr *><char *>addresses
        if getsockopt(self.fd, SOL_SCTP, OPT_CONNECTX3, &request, &length) < 0 and errno != EINPROGRESS:
            raise OSError(errno, os.strerror(errno))
        if request.assoc not in self.table:
            self.add_association(<uint32_t>request.assoc, <uint16_t>port)
        return request.assoc

    def find_association(self, const uint8_t[::1] address not None) -> int | None:
        """Return the association with the peer at that packed sockaddr, or None. OSError while it is ending."""
        cdef paddrinfo info
        cdef socklen_t length
        cdef int fd
        for fd in (self.fd, *self.peeled_off):
            memset(&info, 0, sizeof(info))
            memcpy(info.address, &address[0], <size_t>min(address.shape[0], 28))
            length = sizeof(info)
            if getsockopt(fd, SOL_SCTP, OPT_PEER_ADDR_INFO, &info, &length) >= 0:
                assoc = self.peeled_off.get(fd, info.assoc)
                return self.existing(assoc) if assoc in self.table else assoc
        return None

    cdef int request_end(self, uint32_t assoc, bint at_once) except -1:
        cdef Association association = self.table.get(assoc)
        self.send_message(assoc, b"", 0, SEND_ABORT if at_once else SEND_EOF)
        return self.update_watch(association) if association is not None and association.own_socket else 0


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

# cython: freethreading_compatible=False
"""libusrsctp inside the event loop: its packets travel over our UDP sockets, its events wait in a queue until drained.

The callbacks of the stack (see stack.pyx) only copy into C memory.
"""

import errno as codes
import os

from libc.errno cimport EAGAIN, EINPROGRESS, errno
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from rserpool._fast.lane.prefetch cimport MAX_PREFETCHED, Message, is_large, prefetch_messages
from rserpool._fast.io.usrsctp.events cimport (
    READABLE, Event, Queue, events_close, events_from, events_key, events_of, events_open, events_receive, events_take,
    events_upcall,
)
from rserpool._fast.io.usrsctp.libusrsctp cimport *
from rserpool._fast.io.usrsctp.peers cimport (
    Peer, peers_behind, peers_forget, peers_get, peers_near, peers_release, peers_use,
)
from rserpool._fast.io.sockets cimport *

from rserpool._fast.io.associations cimport (
    ABORTED, LOST, NOT_STARTED, RESTARTED, SHUT, SHUT_BY_PEER, UP, Association, Associations,
)

from rserpool._fast.io.usrsctp.options cimport (
    allow_large_packets, check, close_at_once, hold_back, make_room, name_of, tune,
)

from rserpool._fast.io.usrsctp.outbox cimport outbox_close, outbox_flush, outbox_open

from rserpool._fast.io.usrsctp.packets cimport COMMON_HEADER, Refusal, next_refusal, target_of, window_of

from rserpool._fast.io.usrsctp.stack cimport SPACE, Pace, alias_of, find_peer, note_packet, stack, start, tick

from rserpool.model.association_ends import AssociationGone

cdef enum:
    BATCH = 64                       # datagrams per recvmmsg
    BATCHES = 4                      # per wake-up, so that one busy socket does not starve the loop; but a datagram for
    MOST_BATCHES = 64                # each association, as a loop full of busy TCP connections reads each of them once
    DATAGRAM = 1 << 16
    ASAP_PPID = 11
    CLOSED = 1500                    # a window of less lets the stack send probes only
    LARGE_SPACE = 1 << 20            # instead of SPACE, where a message may have more than half of that
    EVENTS = 1024                    # per wake-up: a datagram may hold thousands of messages
    PIECE = 1 << 18                  # read at once of an association's own socket
    GET_SNDBUF_USE = 0x1101          # not in the stack's public header

cdef struct sndbuf_use:
    uint32_t assoc
    uint32_t sending
    uint32_t received

cdef mmsghdr *_headers = NULL
cdef char *_piece = NULL

cdef frozenset GONE = frozenset(
    (codes.ENOENT, codes.ECONNRESET, codes.ECONNABORTED, codes.EPIPE, codes.ESHUTDOWN, codes.ENOTCONN, codes.EINVAL)
)


cdef int allocate_batch() except -1:
    global _headers, _piece
    cdef iovec *parts
    cdef uint8_t *room
    cdef int i
    if _headers != NULL:
        return 0
    _headers = <mmsghdr *>calloc(BATCH, sizeof(mmsghdr) + sizeof(iovec) + 28)
    room = <uint8_t *>malloc(BATCH * DATAGRAM)
    _piece = <char *>malloc(PIECE)
    if _headers == NULL or room == NULL or _piece == NULL:
        raise MemoryError
    parts = <iovec *>&_headers[BATCH]
    for i in range(BATCH):
        parts[i].iov_base = &room[i * DATAGRAM]
        parts[i].iov_len = DATAGRAM
        _headers[i].msg_hdr.msg_iov = &parts[i]
        _headers[i].msg_hdr.msg_iovlen = 1
        _headers[i].msg_hdr.msg_name = <uint8_t *>&parts[BATCH] + 28 * i
    return 0


cdef class Socket(Associations):
    """A one-to-many SCTP socket over UDP sockets of the same port number. A subclass brings it into a loop.

    It owes, beside what Associations asks for: readers that call receive(fd), a ``pace`` that calls tick() and drain()
    while ``count`` is not zero, and the hook wake().
    """

    cdef public Pace pace
    cdef usocket *so
    cdef uint32_t slot
    cdef uint16_t number
    cdef uint32_t forks              # how many there had been when it was opened
    cdef bint draining
    cdef uint32_t space
    cdef list unwanted               # aborted, without an event of the stack: while connecting, or on its own socket
    cdef dict stuck                  # place of the peer by association that is blocked
    cdef set heard                   # places of peers whose packets came in this batch, where any is blocked

    def open_socket(self, int port, bint listen, tuning) -> None:
        """Bind to that SCTP port. OSError."""
        cdef sockaddr_conn name
        allocate_batch()
        start()
        self.forks = stack.forks
        self.number = <uint16_t>port
        self.space = <uint32_t>(SPACE if self.max_message <= <size_t>(SPACE >> 1) else LARGE_SPACE)
        self.unwanted = []
        self.stuck = {}
        self.heard = set()
        self.slot = events_open()
        self.so = usrsctp_socket(
            AF_CONN, SOCK_SEQPACKET, IPPROTO_SCTP, events_receive, NULL, 0, events_key(self.slot)
        )
        if self.so == NULL:
            events_close(self.slot)
            raise OSError(errno, os.strerror(errno))
        try:
            usrsctp_set_non_blocking(self.so, 1)
            tune(self.so, tuning)
            make_room(self.so, self.space)
            name_of(&name, 0, self.number)
            check(usrsctp_bind(self.so, <sockaddr *>&name, sizeof(name)))
            if listen:
                check(usrsctp_listen(self.so, 1))
        except BaseException:
            self.close_socket()
            raise

    def close_socket(self) -> None:
        """Abort what still lives and free the socket. Its UDP sockets may be closed after forget()."""
        if self.so == NULL:
            return
        if self.forks == stack.forks:
            for association in self.table.values():
                self.released(<Association>association)
            close_at_once(self.so)
            events_close(self.slot)
        self.so = NULL
        self.table.clear()
        self.late.clear()
        self.parted.clear()

    def __dealloc__(self) -> None:
        if self.so != NULL and self.forks == stack.forks:
            usrsctp_close(self.so)
            events_close(self.slot)

    def wake(self) -> None:
        """drain() is due, from the loop."""

    def forget(self, int fd) -> None:
        """That UDP socket is about to be closed."""
        if stack.running and self.forks == stack.forks:
            outbox_flush()
            peers_forget(&stack.peers, fd)

    def receive(self, int fd) -> None:
        """Take what waits on that UDP socket through the stack, and hand on what comes of it."""
        cdef int _batch, n
        cdef int batches = <int>min(max(len(self.table) // BATCH, BATCHES), MOST_BATCHES)
        cdef bint done
        cdef uint64_t before = stack.traffic
        if self.pace.calm:
            tick()
        outbox_open()
        try:
            done = self.hand_on()
            for _batch in range(batches):
                if not done or self.so == NULL:
                    break
                n = self.take_batch(fd)
                done = self.hand_on()
                if self.heard:
                    self.look_for_room()
                outbox_flush()
                if n < BATCH:
                    break
        finally:
            outbox_close()
        if self.pace.calm and stack.traffic != before:
            self.pace.hurry()

    cdef int take_batch(self, int fd) except -1:
        """Give the stack what waits on a UDP socket; how many datagrams there were."""
        cdef int i, n
        cdef msghdr *header
        for i in range(BATCH):
            _headers[i].msg_hdr.msg_namelen = 28
        n = recvmmsg(fd, _headers, BATCH, MSG_DONTWAIT, NULL)
        if n < 0 and errno != EAGAIN:                   # what has come goes before what a packet of ours met
            n = recvmmsg(fd, _headers, BATCH, MSG_DONTWAIT, NULL)
        if n < 0:
            self.take_refusals(fd)
        for i in range(n):
            header = &_headers[i].msg_hdr
            self.take_packet(
                fd, <const sockaddr *>header.msg_name, header.msg_namelen,
                <const uint8_t *>header.msg_iov.iov_base, _headers[i].msg_len,
            )
        return n if n > 0 else 0

    cdef int take_packet(
        self, int fd, const sockaddr *source, socklen_t length, const uint8_t *packet, size_t size
    ) except -1:
        cdef uintptr_t peer, alias
        cdef uint16_t port
        if size < COMMON_HEADER or target_of(packet, size) != self.number or self.so == NULL:
            return 0
        port = <uint16_t>(<uint16_t>packet[0] << 8 | packet[1])
        peer = find_peer(fd, source, length, port)
        if peer:
            alias = alias_of(peer)
            note_packet(packet, size)
            events_from(alias, port)
            usrsctp_conninput(<void *>alias, packet, size, 0)
            events_from(0, 0)
            if self.stuck:
                self.heard.add(peer)
            if window_of(packet, size) < CLOSED:
                self.greet(peer, port)
        return 0

    cdef int take_refusals(self, int fd) except -1:
        """Abort associations with peers whose port is closed, if ICMP quotes what no stranger knows (RFC 6951 4.5)."""
        cdef Refusal refusal
        cdef uintptr_t place
        cdef Peer *peer
        cdef int _i
        for _i in range(BATCH):
            if not next_refusal(fd, &refusal):
                break
            place = 0
            if refusal.token:
                place = find_peer(fd, <const sockaddr *>refusal.address, refusal.length, refusal.port)
            peer = peers_get(&stack.peers, place)
            if peer != NULL and peer.token == refusal.token:
                for assoc in [assoc for assoc, one in self.table.items() if (<Association>one).place == place]:
                    self.abort(assoc)
        return 0

    cdef int greet(self, uintptr_t peer, uint16_t port) except -1:
        """Send a heartbeat to a peer whose window is closed. The stack counts its own probes of the window as errors
        though they are answered (RFC 9260 6.1 B); the heartbeat's answer clears the count."""
        cdef sctp_paddrparams path
        cdef sctp_status status
        cdef uint32_t assoc
        memset(&path, 0, sizeof(path))
        name_of(<sockaddr_conn *>&path.spp_address, alias_of(peer), port)
        assoc = usrsctp_getassocid(self.so, <sockaddr *>&path.spp_address) or self.parted_with(peer, port)
        if not self.ask(assoc, SCTP_STATUS, &status, sizeof(status)) or status.sstat_rwnd >= CLOSED:
            return 0
        path.spp_assoc_id = assoc
        path.spp_flags = <uint32_t>SPP_HB_DEMAND
        usrsctp_setsockopt(self.socket_of(assoc), IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof(path))
        return 0

    def drain(self) -> None:
        """Hand waiting events to the handler."""
        outbox_open()
        try:
            self.hand_on()
        finally:
            outbox_close()

    cdef bint hand_on(self) except -1:
        """Hand so many waiting events to the handler; whether none are left. Those come when the loop has turned."""
        cdef Queue *queue
        cdef Event event
        cdef int left = EVENTS, seen = 0
        if self.draining or self.so == NULL or self.forks != stack.forks:
            return True
        self.draining = True
        try:
            while self.so != NULL:
                while self.unwanted:
                    assoc = self.unwanted.pop()
                    self.give_up(assoc)
                    self.read_own(assoc, 0)
                queue = events_of(self.slot)
                if queue.overrun:
                    queue.overrun = False
                    raise MemoryError("events of the SCTP stack were lost")
                if not left and queue.head != queue.tail:
                    self.wake()
                    return False
                if not seen:
                    seen = self.look_on(queue)
                if not events_take(queue, &event):
                    break
                seen -= 1
                left -= 1
                try:
                    if event.flags == READABLE:
                        self.read_own(self.parted.get(event.alias, 0), 0)
                    elif event.flags & MSG_NOTIFICATION:
                        self.note(<sctp_notification *>event.data, event.port, event.alias, event.stray)
                    else:
                        self.arrived(
                            event.assoc, <const char *>event.data, event.length, event.ppid, event.flags & MSG_EOR != 0
                        )
                finally:
                    free(event.data)
        finally:
            self.draining = False
        return True

    cdef int look_on(self, const Queue *queue) noexcept:
        """Look ahead to what the next messages will touch; how many events they are."""
        cdef Message messages[MAX_PREFETCHED]
        cdef const Event *event
        cdef int i, count = <int>min(queue.tail - queue.head, <size_t>MAX_PREFETCHED)
        if self.handlespace is None or not is_large(&self.handlespace.space):
            return count
        for i in range(count):
            event = &queue.events[queue.head + <size_t>i]
            messages[i].octets = <const uint8_t *>event.data
            messages[i].size = event.length if event.data != NULL else 0
        prefetch_messages(&self.handlespace.space, messages, count)
        return count

    cdef int stir(self) except -1:
        """Before a call from outside the loop's receive() sets timers."""
        if self.pace.calm:
            tick()
            self.pace.hurry()
        return 0

    cdef int note(self, sctp_notification *note, uint16_t port, uintptr_t alias, bint stray) except -1:
        cdef sctp_assoc_change *change = &note.sn_assoc_change
        cdef uintptr_t peer
        cdef int kind = note.sn_header.sn_type
        if kind == SCTP_SHUTDOWN_EVENT:
            return self.changed(note.sn_shutdown_event.sse_assoc_id, SHUT_BY_PEER)
        if kind != SCTP_ASSOC_CHANGE:
            return 0
        if change.sac_state == SCTP_COMM_UP:
            if change.sac_assoc_id not in self.table:
                peer = peers_behind(&stack.peers, alias, port)
                self.enlist(change.sac_assoc_id, port, peer).over = stray or not peer
            return self.changed(change.sac_assoc_id, UP)
        if change.sac_state == SCTP_RESTART:
            return self.changed(change.sac_assoc_id, RESTARTED)
        if change.sac_state == SCTP_SHUTDOWN_COMP:
            return self.changed(change.sac_assoc_id, SHUT)
        if change.sac_state == SCTP_COMM_LOST:
            # Only the peer's own ABORT is appended to the notification.
            return self.changed(change.sac_assoc_id, ABORTED if change.sac_length > sizeof(sctp_assoc_change) else LOST)
        return self.changed(change.sac_assoc_id, NOT_STARTED)

    cdef Association enlist(self, uint32_t assoc, uint16_t port, uintptr_t peer):
        cdef Association association = self.admit(assoc, port)
        association.place = peer
        peers_use(&stack.peers, peer)
        self.widen(assoc, peer, port)
        return association

    cdef int widen(self, uint32_t assoc, uintptr_t peer, uint16_t port) except -1:
        """Large packets to a peer on this machine; elsewhere the stack's 1280 octets pass everywhere."""
        cdef Peer *there = peers_get(&stack.peers, peer)
        if there != NULL and peers_near(there):
            allow_large_packets(self.so, assoc, alias_of(peer), port)
        return 0

    cdef int released(self, Association association) except -1:
        peers_release(&stack.peers, association.place)
        if association.own:
            self.parted.pop(association.own, None)
            usrsctp_set_upcall(<usocket *>association.own, NULL, NULL)
            close_at_once(<usocket *>association.own)
            association.own = 0
        return 0

    cdef usocket *socket_of(self, uint32_t assoc) except? NULL:
        cdef Association association = self.table.get(assoc)
        return <usocket *>association.own if association is not None and association.own else self.so

    cdef int crowded(self, uint32_t assoc, Association association) except -1:
        """Give a paused association a socket of its own that the stack has no callback for, so that its window closes
        while nobody reads. Where the stack cannot do that, more is held."""
        cdef usocket *own
        if association.own or association.aborted or not may_stop_callback():
            return 0
        own = usrsctp_peeloff(self.so, assoc)
        if own != NULL:
            association.own = <uintptr_t>own
            self.parted[association.own] = assoc
            stop_callback(own)
            self.parting()
            usrsctp_set_upcall(own, events_upcall, events_key(self.slot))
        return 0

    cdef int emptied(self, uint32_t assoc, Association association) except -1:
        self.read_own(assoc, 0)
        return self.look()

    cdef int read_own(self, uint32_t assoc, size_t sip) except -1:
        """Until it is paused, or has more to hand over first, and the sip taken; or all if it has ended."""
        cdef Association association = self.table.get(assoc)
        cdef sctp_rcvinfo info
        cdef sockaddr_conn source
        cdef socklen_t source_length, info_length
        cdef unsigned int kind
        cdef size_t size, taken = 0
        cdef int flags
        cdef bint waiting
        cdef ssize_t length
        while association is not None and association.own:
            size = PIECE
            waiting = association.paused or association.held is not None
            if waiting and not association.aborted and self.alive(assoc):
                if taken >= sip:
                    break
                size = sip
            flags = 0
            source_length = sizeof(source)
            info_length = sizeof(info)
            info.rcv_ppid = 0
            length = usrsctp_recvv(
                <usocket *>association.own, _piece, size, <sockaddr *>&source, &source_length, &info, &info_length,
                &kind, &flags,
            )
            if length <= 0:
                break
            taken += <size_t>length
            if flags & MSG_NOTIFICATION:
                self.note(<sctp_notification *>_piece, 0, 0, False)
            else:
                self.arrived(assoc, _piece, <size_t>length, ntohl(info.rcv_ppid), flags & MSG_EOR != 0)
        if association is not None and association.own and not self.alive(assoc):
            self.changed(assoc, ABORTED if association.aborted else LOST)
        return 0

    cdef bint alive(self, uint32_t assoc) except -1:
        """Whether the stack still knows an association."""
        cdef sctp_status status
        return self.ask(assoc, SCTP_STATUS, &status, sizeof(status))

    cdef bint ask(self, uint32_t assoc, int option, void *value, socklen_t length) except -1:
        """An option of an association, whose structure begins with its identifier; False where there is none."""
        memset(value, 0, length)
        (<uint32_t *>value)[0] = assoc
        return usrsctp_getsockopt(self.socket_of(assoc), IPPROTO_SCTP, option, value, &length) >= 0

    cdef int look_for_room(self) except -1:
        """on_writable for the blocked associations of the peers just heard that have half of their room again."""
        cdef sndbuf_use use
        cdef set heard = self.heard
        self.heard = set()
        cdef Association association
        for assoc, place in tuple(self.stuck.items()):
            association = self.table.get(assoc)
            if association is None:
                self.stuck.pop(assoc, None)
            elif place in heard and (
                not self.ask(assoc, GET_SNDBUF_USE, &use, sizeof(use))
                or use.sending <= (0 if association.leaving else self.space // 2)
            ):
                self.stuck.pop(assoc, None)
                if association.leaving:
                    self.leave(assoc)
                self.writable(assoc)
        return 0

    cdef bint unsent(self, uint32_t assoc, Association association) except -1:
        cdef sndbuf_use use
        if not self.ask(assoc, GET_SNDBUF_USE, &use, sizeof(use)) or not use.sending:
            return False
        self.stuck[assoc] = association.place
        return True

    def reach(self, int fd, const uint8_t[::1] address not None, int port) -> int:
        """Begin an association from that UDP socket to a packed sockaddr, and return its identifier. OSError."""
        cdef sockaddr_conn name
        cdef uint32_t assoc
        cdef uintptr_t peer = find_peer(
            fd, <const sockaddr *>&address[0], <socklen_t>address.shape[0], <uint16_t>port
        )
        if not peer:
            raise OSError(codes.ENOBUFS, "too many peers")
        name_of(&name, alias_of(peer), <uint16_t>port)
        self.stir()
        assoc = usrsctp_getassocid(self.so, <sockaddr *>&name)
        if assoc not in self.table:
            assoc = self.parted_with(peer, <uint16_t>port)
        if assoc in self.table:
            return self.existing(assoc)
        if usrsctp_connect(self.so, <sockaddr *>&name, sizeof(name)) < 0 and errno != EINPROGRESS:
            raise OSError(errno, os.strerror(errno))
        assoc = usrsctp_getassocid(self.so, <sockaddr *>&name)
        self.enlist(assoc, <uint16_t>port, peer)
        self.look()
        return assoc

    cdef uint32_t parted_with(self, uintptr_t peer, uint16_t port) except? 0:
        """The association with that peer that has a socket of its own; 0 if there is none."""
        cdef Association association
        for assoc in self.parted.values():
            association = self.table.get(assoc)
            if association is not None and association.place == peer and association.port == port:
                return assoc
        return 0

    cdef ssize_t sendv(self, uint32_t assoc, const char *data, size_t length, uint32_t ppid, int flags) except -2:
        cdef sctp_sndinfo info
        memset(&info, 0, sizeof(info))
        info.snd_flags = <uint16_t>flags
        info.snd_ppid = htonl(ppid)
        info.snd_assoc_id = assoc
        return usrsctp_sendv(self.socket_of(assoc), data, length, NULL, 0, &info, sizeof(info), SCTP_SENDV_SNDINFO, 0)

    cdef bint reply(self, uint32_t assoc, bytes answer) except -1:
        return self.sendv(assoc, <const char *>answer, <size_t>len(answer), ASAP_PPID, 0) >= 0

    cdef bint put(self, uint32_t assoc, bytes data, uint32_t ppid) except -1:
        """Give the stack a message; False where there is no room."""
        cdef Association association
        cdef int error
        if self.sendv(assoc, <const char *>data, <size_t>len(data), ppid, 0) >= 0:
            return True
        error = errno
        if error == EAGAIN:
            association = self.blockable(assoc)
            if association is not None:
                self.stuck[assoc] = association.place
            return False
        if error in GONE:
            raise AssociationGone(f"association {assoc} is gone")
        raise OSError(error, os.strerror(error))

    def send(self, assoc: int, bytes data not None, uint32_t ppid) -> bool:
        """See interface.Endpoint.send."""
        self.living(assoc)
        self.checked(data)
        self.stir()
        try:
            return self.put(assoc, data, ppid)
        finally:
            self.look()

    def send_row(self, assoc: int, list messages not None, uint32_t ppid) -> int:
        """See interface.Bundling.send_row. A keep-alive in a row of 50 costs a third of what it does alone."""
        cdef bytes data
        cdef Py_ssize_t sent = 0, last = len(messages) - 1
        self.living(assoc)
        for data in messages:
            self.checked(data)
        self.stir()
        outbox_open()
        hold_back(self.so, True)
        try:
            for data in messages:
                if sent == last:
                    hold_back(self.so, False)
                if not self.put(assoc, data, ppid):
                    break
                sent += 1
        finally:
            hold_back(self.so, False)
            outbox_close()
            self.look()
        return sent

    cdef int look(self) except -1:
        """Events may have come of a call from outside the loop's drain."""
        cdef Queue *queue = events_of(self.slot)
        if not self.draining and (queue.head != queue.tail or self.unwanted):
            self.wake()
        return 0

    cdef int goodbye(self, uint32_t assoc, bint at_once) except -1:
        self.stir()
        cdef bint failed = self.sendv(assoc, b"", 0, 0, SCTP_ABORT if at_once else SCTP_EOF) < 0
        if at_once and (failed or self.socket_of(assoc) != self.so):
            self.unwanted.append(assoc)                 # the stack goes on connecting until it is tired of it
        return self.look()

    def peer(self, assoc: int) -> bytes:
        """The packed sockaddr where the packets to that peer go. AssociationGone."""
        cdef Association association = self.table.get(assoc)
        cdef Peer *peer = NULL
        if association is not None:
            peer = peers_get(&stack.peers, association.place)
        if peer == NULL:
            raise AssociationGone(f"association {assoc} is gone")
        return (<const char *>peer.address)[:peer.length]

    def rtt(self, assoc: int) -> float | None:
        """See interface.Endpoint.rtt; measured in milliseconds."""
        cdef sctp_status status
        if assoc not in self.table or not self.ask(assoc, SCTP_STATUS, &status, sizeof(status)):
            return None
        return status.sstat_primary.spinfo_srtt / 1000

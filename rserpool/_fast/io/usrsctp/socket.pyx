# cython: freethreading_compatible=False
"""libusrsctp inside the event loop. Packets travel over UDP sockets; the stack's events wait in a queue until drained.

The callbacks that the stack calls (events.pyx) only copy into C memory.
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
    READABLE, Event, Queue, events_close, events_key, events_of, events_open, events_receive, events_set_source,
    events_take, events_upcall,
)
from rserpool._fast.io.usrsctp.libusrsctp cimport *
from rserpool._fast.io.usrsctp.peers cimport (
    Peer, peers_by_alias, peers_forget, peers_get, peers_is_loopback, peers_release, peers_use,
)
from rserpool._fast.io.sockets cimport *
from rserpool._fast.io.associations cimport (
    ABORTED, LOST, NOT_STARTED, RESTARTED, SHUT, SHUT_BY_PEER, UP, Association, Associations,
)
from rserpool._fast.io.usrsctp.options cimport (
    abort_and_close, allow_large_packets, apply_tuning, check, delay_small_messages, fill_address,
    get_status, send_heartbeat, set_buffers, unsent_octets,
)
from rserpool._fast.io.usrsctp.outbox cimport outbox_close, outbox_flush, outbox_open
from rserpool._fast.io.usrsctp.packets cimport COMMON_HEADER, Refusal, next_refusal, target_of, window_of
from rserpool._fast.io.usrsctp.stack cimport SPACE, Pace, alias_of, find_peer, note_packet, stack, start, tick

from rserpool.model.association_ends import AssociationGone

cdef enum:
    BATCH = 64                       # datagrams per recvmmsg
    BATCHES = 4                      # per wake-up with few associations: one busy socket must not starve the loop
    MOST_BATCHES = 64                # per wake-up with many associations, about one datagram for each
    DATAGRAM = 1 << 16
    ASAP_PPID = 11
    CLOSED = 1500                    # octets; into a smaller window the stack sends nothing but probes
    LARGE_SPACE = 1 << 20            # instead of SPACE, if messages may be longer than half of that
    EVENTS = 1024                    # per wake-up: a datagram may hold thousands of messages
    PIECE = 1 << 18                  # octets read at once from a peeled-off socket

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
    """A one-to-many SCTP socket of the stack, over UDP sockets of the same port number (see Associations).

    The subclass must also

    1. call receive() when a UDP socket is readable, and forget_udp_socket() before it closes one;
    2. set ``pace``, which calls stack.tick() and drain() while ``count`` is not zero;
    3. let schedule_drain() call drain() from the loop.
    """

    cdef public Pace pace
    cdef usocket *so
    cdef uint32_t queue_slot
    cdef uint16_t sctp_port
    cdef uint32_t forks              # stack.forks when it was opened
    cdef bint draining
    cdef uint32_t space              # send and receive buffer of an association, octets
    cdef list aborted_silently       # aborted associations whose end the stack does not report
    cdef dict blocked_peers          # peer handle by blocked association
    cdef set peers_heard             # handles of peers whose packets came in this batch, kept while any is blocked

    def open_socket(self, int port, bint listen, tuning) -> None:
        """Open the stack's socket and bind it to that SCTP port. OSError."""
        cdef sockaddr_conn name
        allocate_batch()
        start()
        self.forks = stack.forks
        self.sctp_port = <uint16_t>port
        self.space = <uint32_t>(SPACE if self.max_message <= <size_t>(SPACE >> 1) else LARGE_SPACE)
        self.aborted_silently = []
        self.blocked_peers = {}
        self.peers_heard = set()
        self.queue_slot = events_open()
        self.so = usrsctp_socket(
            AF_CONN, SOCK_SEQPACKET, IPPROTO_SCTP, events_receive, NULL, 0, events_key(self.queue_slot)
        )
        if self.so == NULL:
            events_close(self.queue_slot)
            raise OSError(errno, os.strerror(errno))
        try:
            usrsctp_set_non_blocking(self.so, 1)
            apply_tuning(self.so, tuning)
            set_buffers(self.so, self.space)
            fill_address(&name, 0, self.sctp_port)
            check(usrsctp_bind(self.so, <sockaddr *>&name, sizeof(name)))
            if listen:
                check(usrsctp_listen(self.so, 1))
        except BaseException:
            self.close_socket()
            raise

    def close_socket(self) -> None:
        """Abort the remaining associations and free the stack's socket."""
        if self.so == NULL:
            return
        if self.forks == stack.forks:
            for association in self.table.values():
                self.release_association(<Association>association)
            abort_and_close(self.so)
            events_close(self.queue_slot)
        self.so = NULL
        self.table.clear()
        self.ended_undelivered.clear()
        self.peeled_off.clear()

    def __dealloc__(self) -> None:
        if self.so != NULL and self.forks == stack.forks:
            usrsctp_close(self.so)
            events_close(self.queue_slot)

    def schedule_drain(self) -> None:
        """Call drain() from the loop."""

    def forget_udp_socket(self, int fd) -> None:
        """Drop the peers of a UDP socket. Call before it is closed."""
        if stack.running and self.forks == stack.forks:
            outbox_flush()
            peers_forget(&stack.peers, fd)

    def receive(self, int fd) -> None:
        """Read waiting packets of a UDP socket into the stack, and process the events that follow."""
        cdef int _batch, n
        cdef int batches = <int>min(max(len(self.table) // BATCH, BATCHES), MOST_BATCHES)
        cdef bint done
        cdef uint64_t before = stack.traffic
        if self.pace.calm:
            tick()
        outbox_open()
        try:
            done = self.process_events()
            for _batch in range(batches):
                if not done or self.so == NULL:
                    break
                n = self.receive_batch(fd)
                done = self.process_events()
                if self.peers_heard:
                    self.report_room()
                outbox_flush()
                if n < BATCH:
                    break
        finally:
            outbox_close()
        if self.pace.calm and stack.traffic != before:
            self.pace.hurry()

    cdef int receive_batch(self, int fd) except -1:
        """Read a batch of a UDP socket's datagrams into the stack; return how many there were."""
        cdef int i, n
        cdef msghdr *header
        for i in range(BATCH):
            _headers[i].msg_hdr.msg_namelen = 28
        n = recvmmsg(fd, _headers, BATCH, MSG_DONTWAIT, NULL)
        if n < 0 and errno != EAGAIN:                   # an error of an earlier send: datagrams may still wait
            n = recvmmsg(fd, _headers, BATCH, MSG_DONTWAIT, NULL)
        if n < 0:
            self.process_refusals(fd)
        for i in range(n):
            header = &_headers[i].msg_hdr
            self.process_packet(
                fd, <const sockaddr *>header.msg_name, header.msg_namelen,
                <const uint8_t *>header.msg_iov.iov_base, _headers[i].msg_len,
            )
        return n if n > 0 else 0

    cdef int process_packet(
        self, int fd, const sockaddr *source, socklen_t length, const uint8_t *packet, size_t size
    ) except -1:
        """Give the stack a packet, unless it is for another SCTP port."""
        cdef uintptr_t peer, alias
        cdef uint16_t port
        if size < COMMON_HEADER or target_of(packet, size) != self.sctp_port or self.so == NULL:
            return 0
        port = <uint16_t>(<uint16_t>packet[0] << 8 | packet[1])
        peer = find_peer(fd, source, length, port)
        if peer:
            alias = alias_of(peer)
            note_packet(packet, size)
            events_set_source(alias, port)
            usrsctp_conninput(<void *>alias, packet, size, 0)
            events_set_source(0, 0)
            if self.blocked_peers:
                self.peers_heard.add(peer)
            if window_of(packet, size) < CLOSED:
                self.demand_heartbeat(peer, port)
        return 0

    cdef int process_refusals(self, int fd) except -1:
        """Abort associations with peers whose UDP port is closed according to ICMP (RFC 6951 4.5).

        The ICMP message must quote the last packet's verification tag, which no third party knows.
        """
        cdef Refusal refusal
        cdef uintptr_t handle
        cdef Peer *peer
        cdef int _i
        for _i in range(BATCH):
            if not next_refusal(fd, &refusal):
                break
            handle = 0
            if refusal.token:
                handle = find_peer(fd, <const sockaddr *>refusal.address, refusal.length, refusal.port)
            peer = peers_get(&stack.peers, handle)
            if peer != NULL and peer.token == refusal.token:
                for assoc in [assoc for assoc, a in self.table.items() if (<Association>a).peer_handle == handle]:
                    self.abort(assoc)
        return 0

    cdef int demand_heartbeat(self, uintptr_t peer, uint16_t port) except -1:
        """Send a heartbeat to a peer whose window is closed.

        The stack counts its probes of the window as errors although they are answered (against RFC 9260 6.1 B). The
        answer to the heartbeat clears that count.
        """
        cdef sockaddr_conn name
        cdef sctp_status status
        cdef uint32_t assoc
        fill_address(&name, alias_of(peer), port)
        assoc = usrsctp_getassocid(self.so, <sockaddr *>&name) or self.peeled_off_with(peer, port)
        if not get_status(self.socket_of(assoc), assoc, &status) or status.sstat_rwnd >= CLOSED:
            return 0
        return send_heartbeat(self.socket_of(assoc), assoc, alias_of(peer), port)

    def drain(self) -> None:
        """Process waiting events of the stack."""
        outbox_open()
        try:
            self.process_events()
        finally:
            outbox_close()

    cdef bint process_events(self) except -1:
        """Process up to EVENTS waiting events. False if more are left; they are processed in the loop's next turn."""
        cdef Queue *queue
        cdef Event event
        cdef int left = EVENTS, seen = 0
        if self.draining or self.so == NULL or self.forks != stack.forks:
            return True
        self.draining = True
        try:
            while self.so != NULL:
                while self.aborted_silently:
                    assoc = self.aborted_silently.pop()
                    self.report_not_started(assoc)
                    self.read_own_socket(assoc, 0)
                queue = events_of(self.queue_slot)
                if queue.overrun:
                    queue.overrun = False
                    raise MemoryError("events of the SCTP stack were lost")
                if not left and queue.head != queue.tail:
                    self.schedule_drain()
                    return False
                if not seen:
                    seen = self.prefetch(queue)
                if not events_take(queue, &event):
                    break
                seen -= 1
                left -= 1
                try:
                    if event.flags == READABLE:
                        self.read_own_socket(self.peeled_off.get(event.alias, 0), 0)
                    elif event.flags & MSG_NOTIFICATION:
                        self.handle_notification(<sctp_notification *>event.data, event.port, event.alias, event.stray)
                    else:
                        self.message_received(
                            event.assoc, <const char *>event.data, event.length, event.ppid, event.flags & MSG_EOR != 0
                        )
                finally:
                    free(event.data)
        finally:
            self.draining = False
        return True

    cdef int prefetch(self, const Queue *queue) noexcept:
        """Prefetch the memory that the next messages will touch; return the number of events looked at."""
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

    cdef int prepare_call(self) except -1:
        """Bring the stack's clock up to date. Call before each call of the stack outside receive() that sets timers."""
        if self.pace.calm:
            tick()
            self.pace.hurry()
        return 0

    cdef int handle_notification(self, sctp_notification *note, uint16_t port, uintptr_t alias, bint stray) except -1:
        """Process a notification about the peer of that alias and port. ``stray``: another peer's packet caused it."""
        cdef sctp_assoc_change *change = &note.sn_assoc_change
        cdef uintptr_t peer
        cdef int kind = note.sn_header.sn_type
        cdef bint aborted
        if kind == SCTP_SHUTDOWN_EVENT:
            return self.state_changed(note.sn_shutdown_event.sse_assoc_id, SHUT_BY_PEER)
        if kind != SCTP_ASSOC_CHANGE:
            return 0
        if change.sac_state == SCTP_COMM_UP:
            if change.sac_assoc_id not in self.table:
                peer = peers_by_alias(&stack.peers, alias, port)
                self.add_with_peer(change.sac_assoc_id, port, peer).end_reported = stray or not peer
            return self.state_changed(change.sac_assoc_id, UP)
        if change.sac_state == SCTP_RESTART:
            return self.state_changed(change.sac_assoc_id, RESTARTED)
        if change.sac_state == SCTP_SHUTDOWN_COMP:
            return self.state_changed(change.sac_assoc_id, SHUT)
        if change.sac_state == SCTP_COMM_LOST:
            # Only the peer's own ABORT is appended to the notification.
            aborted = change.sac_length > sizeof(sctp_assoc_change)
            return self.state_changed(change.sac_assoc_id, ABORTED if aborted else LOST)
        return self.state_changed(change.sac_assoc_id, NOT_STARTED)

    cdef Association add_with_peer(self, uint32_t assoc, uint16_t port, uintptr_t peer):
        """Add an association with the peer of that handle."""
        cdef Association association = self.add_association(assoc, port)
        association.peer_handle = peer
        peers_use(&stack.peers, peer)
        self.enlarge_packets(assoc, peer, port)
        return association

    cdef int enlarge_packets(self, uint32_t assoc, uintptr_t peer, uint16_t port) except -1:
        """Allow large packets to a peer on this machine. Others get the stack's 1280 octets, which pass on every
        path."""
        cdef Peer *there = peers_get(&stack.peers, peer)
        if there != NULL and peers_is_loopback(there):
            allow_large_packets(self.so, assoc, alias_of(peer), port)
        return 0

    cdef int release_association(self, Association association) except -1:
        peers_release(&stack.peers, association.peer_handle)
        if association.own_socket:
            self.peeled_off.pop(association.own_socket, None)
            usrsctp_set_upcall(<usocket *>association.own_socket, NULL, NULL)
            abort_and_close(<usocket *>association.own_socket)
            association.own_socket = 0
        return 0

    cdef usocket *socket_of(self, uint32_t assoc) except? NULL:
        """Return the socket that an association uses."""
        cdef Association association = self.table.get(assoc)
        return <usocket *>association.own_socket if association is not None and association.own_socket else self.so

    cdef int peel_off(self, uint32_t assoc, Association association) except -1:
        """See Associations.peel_off. If this stack cannot stop the callback of a socket, more is held instead."""
        cdef usocket *own
        if association.own_socket or association.aborted or not may_stop_callback():
            return 0
        own = usrsctp_peeloff(self.so, assoc)
        if own != NULL:
            association.own_socket = <uintptr_t>own
            self.peeled_off[association.own_socket] = assoc
            stop_callback(own)
            self.start_probing()
            usrsctp_set_upcall(own, events_upcall, events_key(self.queue_slot))
        return 0

    cdef int reopen_window(self, uint32_t assoc, Association association) except -1:
        self.read_own_socket(assoc, 0)
        return self.check_events()

    cdef int read_own_socket(self, uint32_t assoc, size_t limit) except -1:
        """Read until paused or blocked by held messages (then at most ``limit`` octets); everything if ended."""
        cdef Association association = self.table.get(assoc)
        cdef sctp_rcvinfo info
        cdef sockaddr_conn source
        cdef socklen_t source_length, info_length
        cdef unsigned int kind
        cdef size_t size, taken = 0
        cdef int flags
        cdef bint waiting
        cdef ssize_t length
        while association is not None and association.own_socket:
            size = PIECE
            waiting = association.paused or association.held is not None
            if waiting and not association.aborted and self.exists(assoc):
                if taken >= limit:
                    break
                size = limit
            flags = 0
            source_length = sizeof(source)
            info_length = sizeof(info)
            info.rcv_ppid = 0
            length = usrsctp_recvv(
                <usocket *>association.own_socket, _piece, size, <sockaddr *>&source, &source_length, &info,
                &info_length, &kind, &flags,
            )
            if length <= 0:
                break
            taken += <size_t>length
            if flags & MSG_NOTIFICATION:
                self.handle_notification(<sctp_notification *>_piece, 0, 0, False)
            else:
                self.message_received(assoc, _piece, <size_t>length, ntohl(info.rcv_ppid), flags & MSG_EOR != 0)
        if association is not None and association.own_socket and not self.exists(assoc):
            self.state_changed(assoc, ABORTED if association.aborted else LOST)
        return 0

    cdef bint exists(self, uint32_t assoc) except -1:
        """Return True if the stack still knows an association."""
        cdef sctp_status status
        return get_status(self.socket_of(assoc), assoc, &status)

    cdef int report_room(self) except -1:
        """Report on_writable for blocked associations that have half of their buffer free again.

        Only those whose peer has just sent a packet are checked. Finish deferred shutdowns whose messages have all been
        sent.
        """
        cdef set heard = self.peers_heard
        self.peers_heard = set()
        cdef Association association
        for assoc, handle in tuple(self.blocked_peers.items()):
            association = self.table.get(assoc)
            if association is None:
                self.blocked_peers.pop(assoc, None)
            elif handle in heard and unsent_octets(self.socket_of(assoc), assoc) <= (
                0 if association.shutdown_pending else self.space // 2
            ):
                self.blocked_peers.pop(assoc, None)
                if association.shutdown_pending:
                    self.finish_shutdown(assoc)
                self.report_writable(assoc)
        return 0

    cdef bint defer_shutdown(self, uint32_t assoc, Association association) except -1:
        if not unsent_octets(self.socket_of(assoc), assoc):
            return False
        self.blocked_peers[assoc] = association.peer_handle
        return True

    def open_association(self, int fd, const uint8_t[::1] address not None, int port) -> int:
        """Begin an association from a UDP socket to a packed sockaddr, and return its identifier. OSError."""
        cdef sockaddr_conn name
        cdef uint32_t assoc
        cdef uintptr_t peer = find_peer(
            fd, <const sockaddr *>&address[0], <socklen_t>address.shape[0], <uint16_t>port
        )
        if not peer:
            raise OSError(codes.ENOBUFS, "too many peers")
        fill_address(&name, alias_of(peer), <uint16_t>port)
        self.prepare_call()
        assoc = usrsctp_getassocid(self.so, <sockaddr *>&name)
        if assoc not in self.table:
            assoc = self.peeled_off_with(peer, <uint16_t>port)
        if assoc in self.table:
            return self.existing(assoc)
        if usrsctp_connect(self.so, <sockaddr *>&name, sizeof(name)) < 0 and errno != EINPROGRESS:
            raise OSError(errno, os.strerror(errno))
        assoc = usrsctp_getassocid(self.so, <sockaddr *>&name)
        self.add_with_peer(assoc, <uint16_t>port, peer)
        self.check_events()
        return assoc

    cdef uint32_t peeled_off_with(self, uintptr_t peer, uint16_t port) except? 0:
        """Return the peeled-off association with that peer, or 0."""
        cdef Association association
        for assoc in self.peeled_off.values():
            association = self.table.get(assoc)
            if association is not None and association.peer_handle == peer and association.port == port:
                return assoc
        return 0

    cdef ssize_t sendv(self, uint32_t assoc, const char *data, size_t length, uint32_t ppid, int flags) except -2:
        """Call usrsctp_sendv() for an association; -1 and errno if that fails."""
        cdef sctp_sndinfo info
        memset(&info, 0, sizeof(info))
        info.snd_flags = <uint16_t>flags
        info.snd_ppid = htonl(ppid)
        info.snd_assoc_id = assoc
        return usrsctp_sendv(self.socket_of(assoc), data, length, NULL, 0, &info, sizeof(info), SCTP_SENDV_SNDINFO, 0)

    cdef bint send_answer(self, uint32_t assoc, bytes answer) except -1:
        return self.sendv(assoc, <const char *>answer, <size_t>len(answer), ASAP_PPID, 0) >= 0

    cdef bint try_send(self, uint32_t assoc, bytes data, uint32_t ppid) except -1:
        """Give the stack a message; False if there is no room."""
        cdef Association association
        cdef int error
        if self.sendv(assoc, <const char *>data, <size_t>len(data), ppid, 0) >= 0:
            return True
        error = errno
        if error == EAGAIN:
            association = self.mark_blocked(assoc)
            if association is not None:
                self.blocked_peers[assoc] = association.peer_handle
            return False
        if error in GONE:
            raise AssociationGone(f"association {assoc} is gone")
        raise OSError(error, os.strerror(error))

    def send(self, assoc: int, bytes data not None, uint32_t ppid) -> bool:
        """See interface.Endpoint.send."""
        self.require_open(assoc)
        self.check_size(data)
        self.prepare_call()
        try:
            return self.try_send(assoc, data, ppid)
        finally:
            self.check_events()

    def send_row(self, assoc: int, list messages not None, uint32_t ppid) -> int:
        """See interface.Bundling.send_row. In a row of 50, a keep-alive costs a third of what it costs alone."""
        cdef bytes data
        cdef Py_ssize_t sent = 0, last = len(messages) - 1
        self.require_open(assoc)
        for data in messages:
            self.check_size(data)
        self.prepare_call()
        outbox_open()
        delay_small_messages(self.so, True)
        try:
            for data in messages:
                if sent == last:
                    delay_small_messages(self.so, False)
                if not self.try_send(assoc, data, ppid):
                    break
                sent += 1
        finally:
            delay_small_messages(self.so, False)
            outbox_close()
            self.check_events()
        return sent

    cdef int check_events(self) except -1:
        """Schedule a drain if a call of the stack from outside the drain has left events."""
        cdef Queue *queue = events_of(self.queue_slot)
        if not self.draining and (queue.head != queue.tail or self.aborted_silently):
            self.schedule_drain()
        return 0

    cdef int request_end(self, uint32_t assoc, bint at_once) except -1:
        self.prepare_call()
        cdef bint failed = self.sendv(assoc, b"", 0, 0, SCTP_ABORT if at_once else SCTP_EOF) < 0
        if at_once and (failed or self.socket_of(assoc) != self.so):
            self.aborted_silently.append(assoc)         # the stack retries INIT until it times out
        return self.check_events()

    def peer_sockaddr(self, assoc: int) -> bytes:
        """Return the packed UDP sockaddr of an association's peer. AssociationGone."""
        cdef Association association = self.table.get(assoc)
        cdef Peer *peer = NULL
        if association is not None:
            peer = peers_get(&stack.peers, association.peer_handle)
        if peer == NULL:
            raise AssociationGone(f"association {assoc} is gone")
        return (<const char *>peer.address)[:peer.length]

    def rtt(self, assoc: int) -> float | None:
        """See interface.Endpoint.rtt: in whole milliseconds."""
        cdef sctp_status status
        if assoc not in self.table or not get_status(self.socket_of(assoc), assoc, &status):
            return None
        return status.sstat_primary.spinfo_srtt / 1000

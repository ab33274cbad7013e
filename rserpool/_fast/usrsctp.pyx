# cython: freethreading_compatible=False
"""libusrsctp inside the event loop: its packets travel over our UDP sockets, its events wait in a queue until drained.

The stack is one per process and single-threaded: every call comes with the GIL held, so from one thread at a time, and
none comes from within a callback of the stack. The callbacks only copy into C memory.
"""

import errno as codes
import os

from libc.errno cimport EAGAIN, EINPROGRESS, EINTR, errno
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from rserpool._fast.libusrsctp cimport *
from rserpool._fast.peers cimport (
    Peer, Peers, peers_clear, peers_disown, peers_find, peers_forget, peers_get, peers_init, peers_release, peers_use,
    sockaddr, socklen_t,
)

from rserpool._fast.associations cimport (
    ABORTED, LOST, NOT_STARTED, RESTARTED, SHUT, SHUT_BY_PEER, UP, Association, Associations,
)

from rserpool.association import AssociationGone

cdef enum:
    BATCH = 64                       # datagrams per recvmmsg
    BATCHES = 4                      # per wake-up, so that one busy socket does not starve the loop
    DATAGRAM = 1 << 16
    COMMON_HEADER = 12
    STREAMS = 32                     # incoming streams we admit; a peer cannot make us reserve more
    SACK_DELAY = 20                  # milliseconds, unless told otherwise
    SPACE = 1 << 18                  # send and receive buffer of an association, octets
    SLOT_BITS = 20

cdef struct Event:
    void *data
    size_t length
    uintptr_t peer
    uint32_t assoc
    uint32_t ppid
    uint16_t port
    bint stray                       # it came of a packet from another peer
    int flags

cdef struct Queue:
    Event *events
    size_t head
    size_t tail
    size_t room
    bint overrun                     # an event was lost for want of memory

cdef struct Slots:
    Queue *queues                    # a socket's number leads here from the stack's callback
    uint32_t *generations
    uint32_t count

cdef Peers _peers
cdef Slots _slots
cdef bint _running = False
cdef uint32_t _forks = 0              # that have left a running stack behind; the parents' sockets are dead here
cdef uint64_t _ticked = 0
cdef mmsghdr *_headers = NULL
cdef uintptr_t _registered = 0       # handles up to here are known to the stack
cdef uintptr_t _source = 0           # whence the packet came that the stack is looking at

cdef tuple EVENTS = (SCTP_ASSOC_CHANGE, SCTP_SHUTDOWN_EVENT)
cdef frozenset GONE = frozenset(
    (codes.ENOENT, codes.ECONNRESET, codes.ECONNABORTED, codes.EPIPE, codes.ESHUTDOWN, codes.ENOTCONN, codes.EINVAL)
)


cdef Queue *queue_of(void *info) noexcept nogil:
    cdef uintptr_t number = <uintptr_t>info
    cdef uint32_t slot = <uint32_t>(number & ((1 << SLOT_BITS) - 1))
    if slot >= _slots.count or _slots.generations[slot] != number >> SLOT_BITS:
        return NULL
    return &_slots.queues[slot]


cdef int receive(
    usocket *so, sctp_sockstore address, void *data, size_t length, sctp_rcvinfo info, int flags, void *number
) noexcept nogil:
    """The stack has a message or a notification: keep it for drain()."""
    cdef Queue *queue = queue_of(number)
    cdef Event *events
    cdef size_t room
    if data == NULL:
        return 1
    if queue == NULL:
        free(data)
        return 1
    if queue.tail == queue.room:
        room = queue.room * 2 if queue.room else 16
        events = <Event *>realloc(queue.events, room * sizeof(Event))
        if events == NULL:
            queue.overrun = True
            free(data)
            return 1
        queue.events = events
        queue.room = room
    events = &queue.events[queue.tail]
    events.data = data
    events.length = length
    events.peer = <uintptr_t>address.sconn.sconn_addr
    events.port = ntohs(address.sconn.sconn_port)
    events.assoc = info.rcv_assoc_id
    events.ppid = ntohl(info.rcv_ppid)
    events.stray = _source != 0 and _source != events.peer
    events.flags = flags
    queue.tail += 1
    return 1


cdef int output(void *address, void *packet, size_t length, uint8_t tos, uint8_t whole) noexcept nogil:
    """The stack has a packet for a peer. One that does not go out now is one that the network lost."""
    cdef Peer *peer = peers_get(&_peers, <uintptr_t>address)
    if peer == NULL:
        return 0
    while sendto(peer.fd, packet, length, MSG_DONTWAIT, <const sockaddr *>peer.address, peer.length) < 0:
        if errno != EINTR:
            break
    return 0


cdef int allocate_batch() except -1:
    global _headers
    cdef iovec *parts
    cdef uint8_t *room
    cdef int i
    if _headers != NULL:
        return 0
    _headers = <mmsghdr *>calloc(BATCH, sizeof(mmsghdr) + sizeof(iovec) + 28)
    room = <uint8_t *>malloc(BATCH * DATAGRAM)
    if _headers == NULL or room == NULL:
        raise MemoryError
    parts = <iovec *>&_headers[BATCH]
    for i in range(BATCH):
        parts[i].iov_base = &room[i * DATAGRAM]
        parts[i].iov_len = DATAGRAM
        _headers[i].msg_hdr.msg_iov = &parts[i]
        _headers[i].msg_hdr.msg_iovlen = 1
        _headers[i].msg_hdr.msg_name = <uint8_t *>&parts[BATCH] + 28 * i
    return 0


cdef int start() except -1:
    global _running, _ticked
    if _running:
        return 0
    allocate_batch()
    peers_init(&_peers, <uint32_t>int.from_bytes(os.urandom(4), "big"))
    usrsctp_init_nothreads(0, output, NULL)
    usrsctp_sysctl_set_sctp_no_csum_on_loopback(0)      # a kernel peer checks the CRC, on loopback too
    usrsctp_sysctl_set_sctp_ecn_enable(0)               # UDP does not carry it
    usrsctp_sysctl_set_sctp_asconf_enable(0)
    usrsctp_sysctl_set_sctp_auto_asconf(0)
    usrsctp_sysctl_set_sctp_auth_enable(0)
    usrsctp_sysctl_set_sctp_blackhole(0)                # an unknown association is told so: restarts are seen at once
    usrsctp_sysctl_set_sctp_recvspace(SPACE)
    usrsctp_sysctl_set_sctp_sendspace(SPACE)
    _running = True
    _ticked = now_us()
    return 0


cdef uintptr_t find_peer(int fd, const sockaddr *address, socklen_t length) noexcept:
    """The handle of a peer, which the stack knows as an address of its own too: that is how it takes in packets."""
    global _registered
    cdef uintptr_t peer = peers_find(&_peers, fd, address, length)
    while _registered < peer:
        _registered += 1
        usrsctp_register_address(<void *>_registered)
    return peer


def finish() -> bool:
    """Free the stack. False where a socket or an association still lives: turn the timers and try again."""
    global _running, _registered
    if not _running:
        return True
    if usrsctp_finish() != 0:
        return False
    peers_clear(&_peers)
    _registered = 0
    _running = False
    return True


cdef uint64_t now_us() noexcept:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * 1000000 + <uint64_t>(now.tv_nsec // 1000)


def remembered() -> int:
    """How many UDP addresses of peers are remembered, with or without association."""
    return _peers.count


def tick() -> None:
    """Let the stack's timers run for the time that has passed since the last call."""
    global _ticked
    cdef uint64_t passed
    if not _running:
        return
    passed = (now_us() - _ticked) // 1000
    if passed:
        _ticked += passed * 1000
        usrsctp_handle_timers(<uint32_t>min(passed, <uint64_t>1000))


def _after_fork() -> None:
    """In the child: what the stack holds is the parent's. It stays, but hears nothing and is heard by nobody; only what
    is opened from now on lives."""
    global _forks
    cdef uint32_t slot
    if not _running:
        return
    _forks += 1
    peers_disown(&_peers)
    for slot in range(_slots.count):
        if _slots.generations[slot] & 1:
            give_slot(slot)


os.register_at_fork(after_in_child=_after_fork)


cdef uint32_t take_slot() except 0xFFFFFFFF:
    cdef uint32_t slot
    cdef Queue *queues
    cdef uint32_t *generations
    for slot in range(_slots.count):
        if not _slots.generations[slot] & 1:
            break
    else:
        slot = _slots.count
        queues = <Queue *>realloc(_slots.queues, (slot + 1) * sizeof(Queue))
        if queues == NULL:
            raise MemoryError
        _slots.queues = queues
        generations = <uint32_t *>realloc(_slots.generations, (slot + 1) * sizeof(uint32_t))
        if generations == NULL:
            raise MemoryError
        _slots.generations = generations
        generations[slot] = 0
        _slots.count += 1
    memset(&_slots.queues[slot], 0, sizeof(Queue))
    _slots.generations[slot] += 1                       # odd: taken
    return slot


cdef void give_slot(uint32_t slot) noexcept:
    cdef Queue *queue = &_slots.queues[slot]
    while queue.head < queue.tail:
        free(queue.events[queue.head].data)
        queue.head += 1
    free(queue.events)
    memset(queue, 0, sizeof(Queue))
    _slots.generations[slot] += 1


cdef class Socket(Associations):
    """A one-to-many SCTP socket over UDP sockets of the same port number. A subclass brings it into a loop.

    It owes, beside what Associations asks for: readers that call receive(fd), timers that call tick() and drain() while
    ``count`` is not zero, and the hook wake().
    """

    cdef public bint busy
    cdef usocket *so
    cdef uint32_t slot
    cdef uint16_t number
    cdef uint32_t forks              # how many there had been when it was opened
    cdef bint draining
    cdef list unwanted               # given up while connecting; the handler does not know yet

    def open_socket(self, int port, bint listen, tuning) -> None:
        """Bind to that SCTP port. OSError."""
        cdef sockaddr_conn name
        start()
        self.forks = _forks
        self.number = <uint16_t>port
        self.unwanted = []
        self.slot = take_slot()
        self.so = usrsctp_socket(
            AF_CONN, SOCK_SEQPACKET, IPPROTO_SCTP, receive, NULL, 0,
            <void *>((<uintptr_t>_slots.generations[self.slot] << SLOT_BITS) | self.slot),
        )
        if self.so == NULL:
            give_slot(self.slot)
            raise OSError(errno, os.strerror(errno))
        try:
            usrsctp_set_non_blocking(self.so, 1)
            self.tune(tuning)
            memset(&name, 0, sizeof(name))
            name.sconn_family = <uint16_t>AF_CONN
            name.sconn_port = htons(self.number)
            check(usrsctp_bind(self.so, <sockaddr *>&name, sizeof(name)))
            if listen:
                check(usrsctp_listen(self.so, 1))
        except BaseException:
            self.close_socket()
            raise

    cdef int option(self, int option, const void *value, size_t length) except -1:
        return check(usrsctp_setsockopt(self.so, IPPROTO_SCTP, option, value, <socklen_t>length))

    cdef int switch(self, int option, int value) except -1:
        return self.option(option, &value, sizeof(value))

    cdef int subscribe(self, uint32_t assoc, int kind, bint on) except -1:
        cdef sctp_event event
        memset(&event, 0, sizeof(event))
        event.se_assoc_id = assoc
        event.se_type = <uint16_t>kind
        event.se_on = <uint8_t>on
        return self.option(SCTP_EVENT, &event, sizeof(event))

    cdef int tune(self, tuning) except -1:
        cdef sctp_initmsg init
        cdef sctp_rtoinfo rto
        cdef sctp_assocparams patience
        cdef sctp_paddrparams path
        cdef sctp_sack_info sack
        memset(&init, 0, sizeof(init))
        memset(&rto, 0, sizeof(rto))
        memset(&patience, 0, sizeof(patience))
        memset(&path, 0, sizeof(path))
        memset(&sack, 0, sizeof(sack))
        self.switch(SCTP_NODELAY, 1)
        self.switch(SCTP_RECVRCVINFO, 1)
        for kind in EVENTS:
            self.subscribe(0, kind, True)
        init.sinit_num_ostreams = 1
        init.sinit_max_instreams = STREAMS
        init.sinit_max_attempts = tuning.init_retransmissions
        init.sinit_max_init_timeo = int(tuning.rto_max * 1000)
        self.option(SCTP_INITMSG, &init, sizeof(init))
        rto.srto_initial = int(tuning.rto_initial * 1000)
        rto.srto_min = int(tuning.rto_min * 1000)
        rto.srto_max = int(tuning.rto_max * 1000)
        self.option(SCTP_RTOINFO, &rto, sizeof(rto))
        patience.sasoc_asocmaxrxt = tuning.association_retransmissions
        self.option(SCTP_ASSOCINFO, &patience, sizeof(patience))
        path.spp_hbinterval = int(tuning.heartbeat * 1000)
        path.spp_flags = <uint32_t>(SPP_HB_ENABLE if tuning.heartbeat else SPP_HB_DISABLE)
        path.spp_pathmaxrxt = tuning.association_retransmissions      # the only path
        self.option(SCTP_PEER_ADDR_PARAMS, &path, sizeof(path))
        sack.sack_delay = SACK_DELAY if tuning.sack_delay is None else int(tuning.sack_delay * 1000)
        sack.sack_freq = 2 if sack.sack_delay else 1
        return self.option(SCTP_DELAYED_SACK, &sack, sizeof(sack))

    def close_socket(self) -> None:
        """Abort what still lives and free the socket. Its UDP sockets may be closed after forget()."""
        cdef linger_t linger
        if self.so == NULL:
            return
        if self.forks == _forks:
            linger.l_onoff = 1
            linger.l_linger = 0
            usrsctp_setsockopt(self.so, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger))
            usrsctp_close(self.so)
            for association in self.table.values():
                peers_release(&_peers, (<Association>association).place)
        self.so = NULL
        self.table.clear()
        self.late.clear()
        if self.forks == _forks:
            give_slot(self.slot)

    def __dealloc__(self) -> None:
        if self.so != NULL and self.forks == _forks:
            usrsctp_close(self.so)
            give_slot(self.slot)

    def wake(self) -> None:
        """drain() is due, from the loop."""

    def forget(self, int fd) -> None:
        """That UDP socket is about to be closed."""
        if _running and self.forks == _forks:
            peers_forget(&_peers, fd)

    def receive(self, int fd) -> None:
        """Take what waits on that UDP socket through the stack, and hand on what comes of it."""
        cdef int _batch, i, n
        cdef msghdr *header
        self.busy = True
        for _batch in range(BATCHES):
            for i in range(BATCH):
                _headers[i].msg_hdr.msg_namelen = 28
            n = recvmmsg(fd, _headers, BATCH, MSG_DONTWAIT, NULL)
            for i in range(n):
                header = &_headers[i].msg_hdr
                self.take_packet(
                    fd, <const sockaddr *>header.msg_name, header.msg_namelen,
                    <const uint8_t *>header.msg_iov.iov_base, _headers[i].msg_len,
                )
            self.drain()
            if n < BATCH or self.so == NULL:
                break

    cdef void take_packet(
        self, int fd, const sockaddr *source, socklen_t length, const uint8_t *packet, size_t size
    ) noexcept:
        global _source
        cdef uintptr_t peer
        if size < COMMON_HEADER or <uint16_t>(<uint16_t>packet[2] << 8 | packet[3]) != self.number or self.so == NULL:
            return
        peer = find_peer(fd, source, length)
        if peer:
            _source = peer
            usrsctp_conninput(<void *>peer, packet, size, 0)
            _source = 0

    def drain(self) -> None:
        """Hand every waiting event to the handler."""
        cdef Queue *queue
        cdef Event event
        if self.draining or self.so == NULL:
            return
        self.draining = True
        try:
            while self.so != NULL:
                while self.unwanted:
                    self.give_up(self.unwanted.pop())
                queue = &_slots.queues[self.slot]
                if queue.overrun:
                    queue.overrun = False
                    raise MemoryError("events of the SCTP stack were lost")
                if queue.head == queue.tail:
                    break
                event = queue.events[queue.head]
                queue.head += 1
                if queue.head == queue.tail:
                    queue.head = queue.tail = 0
                try:
                    if event.flags & MSG_NOTIFICATION:
                        self.notified(&event)
                    else:
                        self.arrived(
                            event.assoc, <const char *>event.data, event.length, event.ppid, event.flags & MSG_EOR != 0
                        )
                finally:
                    free(event.data)
        finally:
            self.draining = False

    cdef int notified(self, Event *event) except -1:
        cdef sctp_notification *note = <sctp_notification *>event.data
        cdef sctp_assoc_change *change = &note.sn_assoc_change
        cdef int kind = note.sn_header.sn_type
        if kind == SCTP_SHUTDOWN_EVENT:
            return self.changed(note.sn_shutdown_event.sse_assoc_id, SHUT_BY_PEER)
        if kind == SCTP_SENDER_DRY_EVENT:
            return self.dry(note.sn_sender_dry_event.sender_dry_assoc_id)
        if kind != SCTP_ASSOC_CHANGE:
            return 0
        if change.sac_state == SCTP_COMM_UP:
            if change.sac_assoc_id not in self.table:
                self.enlist(change.sac_assoc_id, event.port, event.peer).over = event.stray
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
        peers_use(&_peers, peer)
        return association

    cdef int released(self, Association association) except -1:
        peers_release(&_peers, association.place)
        return 0

    cdef int dry(self, uint32_t assoc) except -1:
        if assoc in self.table:
            self.subscribe(assoc, SCTP_SENDER_DRY_EVENT, False)
        return self.writable(assoc)

    def reach(self, int fd, const uint8_t[::1] address not None, int port) -> int:
        """Begin an association from that UDP socket to a packed sockaddr, and return its identifier. OSError."""
        cdef sockaddr_conn name
        cdef uint32_t assoc
        cdef uintptr_t peer = find_peer(fd, <const sockaddr *>&address[0], <socklen_t>address.shape[0])
        if not peer:
            raise OSError(codes.ENOBUFS, "too many peers")
        memset(&name, 0, sizeof(name))
        name.sconn_family = <uint16_t>AF_CONN
        name.sconn_port = htons(<uint16_t>port)
        name.sconn_addr = <void *>peer
        self.busy = True
        assoc = usrsctp_getassocid(self.so, <sockaddr *>&name)
        if assoc in self.table:
            return self.existing(assoc)
        if usrsctp_connect(self.so, <sockaddr *>&name, sizeof(name)) < 0 and errno != EINPROGRESS:
            raise OSError(errno, os.strerror(errno))
        assoc = usrsctp_getassocid(self.so, <sockaddr *>&name)
        self.enlist(assoc, <uint16_t>port, peer)
        self.look()
        return assoc

    cdef ssize_t sendv(self, uint32_t assoc, const char *data, size_t length, uint32_t ppid, int flags) noexcept:
        cdef sctp_sndinfo info
        memset(&info, 0, sizeof(info))
        info.snd_flags = <uint16_t>flags
        info.snd_ppid = htonl(ppid)
        info.snd_assoc_id = assoc
        return usrsctp_sendv(self.so, data, length, NULL, 0, &info, sizeof(info), SCTP_SENDV_SNDINFO, 0)

    def send(self, assoc: int, bytes data not None, uint32_t ppid) -> bool:
        """See interface.Endpoint.send."""
        cdef int error
        self.living(assoc)
        self.checked(data)
        self.busy = True
        if self.sendv(assoc, <const char *>data, <size_t>len(data), ppid, 0) >= 0:
            self.look()
            return True
        error = errno
        self.look()
        if error == EAGAIN:
            if self.blockable(assoc) is not None:
                self.subscribe(assoc, SCTP_SENDER_DRY_EVENT, True)
                self.look()
            return False
        if error in GONE:
            raise AssociationGone(f"association {assoc} is gone")
        raise OSError(error, os.strerror(error))

    cdef int look(self) except -1:
        """Events may have come of a call from outside the loop's drain."""
        cdef Queue *queue = &_slots.queues[self.slot]
        if not self.draining and (queue.head != queue.tail or self.unwanted):
            self.wake()
        return 0

    cdef int goodbye(self, uint32_t assoc, bint at_once) except -1:
        self.busy = True
        if self.sendv(assoc, b"", 0, 0, SCTP_ABORT if at_once else SCTP_EOF) < 0 and at_once:
            self.unwanted.append(assoc)                 # the stack goes on connecting until it is tired of it
        return self.look()

    def peer(self, assoc: int) -> bytes:
        """The packed sockaddr where the packets to that peer go. AssociationGone."""
        cdef Association association = self.table.get(assoc)
        cdef Peer *peer = NULL
        if association is not None:
            peer = peers_get(&_peers, association.place)
        if peer == NULL:
            raise AssociationGone(f"association {assoc} is gone")
        return (<const char *>peer.address)[:peer.length]

    def rtt(self, assoc: int) -> float | None:
        """See interface.Endpoint.rtt; measured in milliseconds."""
        cdef sctp_status status
        cdef socklen_t length = sizeof(status)
        memset(&status, 0, sizeof(status))
        if assoc not in self.table:
            return None
        status.sstat_assoc_id = assoc
        if usrsctp_getsockopt(self.so, IPPROTO_SCTP, SCTP_STATUS, &status, &length) < 0:
            return None
        return status.sstat_primary.spinfo_srtt / 1000


cdef int check(int result) except -1:
    if result < 0:
        raise OSError(errno, os.strerror(errno))
    return 0

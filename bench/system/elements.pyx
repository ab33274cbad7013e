# cython: language_level=3
"""Thousands of SCTP associations in one process, over one UDP socket (RFC 6951). Each has one or many pool elements,
which re-register at a fixed pace, each time with a new load.

This implements only the part of SCTP that a loopback needs: association set-up; one outstanding message at a time, sent
again after half a second; SACKs with the next message or after 20 ms. A complete stack (RFC 9260) would cost the
generator as much processor time as the registrar.
"""

import os
import socket

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from rserpool._fast.io.sockets cimport MSG_DONTWAIT, MSG_NOSIGNAL, iovec, mmsghdr, recvmmsg, sendmmsg

from bench.system.samples cimport (
    Pace, Samples, close_samples, due_at, now, open_samples, pace_of, percentile, sort, take,
)
from bench.system.sctp_packets cimport (
    ABORT, COMMON_HEADER, COOKIE_ACK, COOKIE_ECHO, DATA, HEARTBEAT, HEARTBEAT_ACK, INIT, INIT_ACK, SACK, STATE_COOKIE,
    WHOLE, WINDOW, Packet, begin, chunk, get16, get32, put16, put32, seal,
)

cdef enum:
    BATCH = 64                        # packets sent or received at once
    ROOM = 4096
    LARGEST = 512                     # octets of a registration
    FIRST_PORT = 10000                # SCTP port of the first association; each has its own
    ASAP = 11
    REGISTRATION_RESPONSE = 3

cdef enum:
    SACK_DELAY = 20000000             # nanoseconds, as in our own stack
    REPEAT = 500000000

cdef enum Stage:
    CLOSED, CONNECTING, UP, LOST

cdef struct Caller:                   # one association, and the elements that it registers
    Stage stage
    uint32_t own_tag
    uint32_t peer_tag
    uint32_t tsn                      # of the outstanding message, or of the next one
    uint32_t peer_tsn                 # the peer's last TSN in order
    uint16_t ssn
    bint waiting                      # a message is outstanding
    bint sack_pending                 # a SACK has to be sent
    int registered                    # number of registered elements
    uint64_t due                      # scheduled time of the outstanding message
    uint64_t next_due
    int overdue                       # scheduled messages that wait for the answer to the outstanding one
    uint64_t sent
    size_t size
    uint8_t message[LARGEST]

cdef struct DelayedSack:
    uint64_t at
    int number

cdef struct Crowd:
    int fd
    int count
    int each                          # elements per association
    uint16_t port
    size_t load_at                    # offset of the policy's value in a message
    size_t identifier_at              # offset of the element's identifier
    uint32_t turn
    Caller *callers
    DelayedSack *sacks                # delayed SACKs: a ring of 2 * ``count``, oldest first
    int first_sack
    int sack_count
    int up
    int registered                    # number of registered elements
    int complete                      # associations whose elements are all registered
    int lost
    Pace pace
    uint64_t answers
    uint64_t repeated
    uint64_t last_search              # time of the last search for unanswered messages
    mmsghdr *incoming
    mmsghdr *outgoing
    int waiting                       # packets to send
    Samples latencies
    Samples delays


cdef int flush(Crowd *crowd) noexcept nogil:
    cdef int done = 0, n
    while done < crowd.waiting:
        n = sendmmsg(crowd.fd, &crowd.outgoing[done], <unsigned int>(crowd.waiting - done), MSG_NOSIGNAL)
        if n < 0:
            break                     # treated as loss: send_again() sends them again
        done += n
    crowd.waiting = 0
    return 0


cdef void start_packet(Crowd *crowd, int number, uint32_t tag, Packet *packet) noexcept nogil:
    if crowd.waiting == BATCH:
        flush(crowd)
    begin(
        packet, <uint8_t *>crowd.outgoing[crowd.waiting].msg_hdr.msg_iov.iov_base,
        <uint16_t>(FIRST_PORT + number), crowd.port, tag,
    )


cdef void end_packet(Crowd *crowd, Packet *packet) noexcept nogil:
    seal(packet)
    crowd.outgoing[crowd.waiting].msg_hdr.msg_iov.iov_len = packet.size
    crowd.waiting += 1


cdef void put_sack(Crowd *crowd, int number, Packet *packet) noexcept nogil:
    cdef uint8_t *at = chunk(packet, SACK, 0, 16)
    put32(at, crowd.callers[number].peer_tsn)
    put32(at + 4, WINDOW)
    put32(at + 8, 0)                  # number of gaps and duplicates
    crowd.callers[number].sack_pending = False


cdef void send_init(Crowd *crowd, int number) noexcept nogil:
    cdef Caller *caller = &crowd.callers[number]
    cdef Packet packet
    cdef uint8_t *at
    start_packet(crowd, number, 0, &packet)
    at = chunk(&packet, INIT, 0, 20)
    put32(at, caller.own_tag)
    put32(at + 4, WINDOW)
    put16(at + 8, 1)                  # outbound and inbound streams
    put16(at + 10, 1)
    put32(at + 12, caller.tsn)
    end_packet(crowd, &packet)
    caller.sent = now()


cdef void send_message(Crowd *crowd, int number) noexcept nogil:
    """Send the outstanding message, for the first time or again."""
    cdef Caller *caller = &crowd.callers[number]
    cdef Packet packet
    cdef uint8_t *at
    start_packet(crowd, number, caller.peer_tag, &packet)
    if caller.sack_pending:
        put_sack(crowd, number, &packet)
    at = chunk(&packet, DATA, WHOLE, 16 + caller.size)
    put32(at, caller.tsn)
    put16(at + 4, 0)
    put16(at + 6, caller.ssn)
    put32(at + 8, ASAP)
    memcpy(at + 12, caller.message, caller.size)
    end_packet(crowd, &packet)
    caller.sent = now()


cdef void renew(Crowd *crowd, int number, uint64_t due) noexcept nogil:
    """Register the association's next element, or re-register one of them with a new load if all are registered. The
    association must be UP and not waiting."""
    cdef Caller *caller = &crowd.callers[number]
    cdef int which = caller.registered
    crowd.turn = crowd.turn + 2654435761u
    if which == crowd.each:
        which = <int>((crowd.turn >> 8) % <uint32_t>crowd.each)
    put32(caller.message + crowd.identifier_at, <uint32_t>(1 + number * crowd.each + which))
    put32(caller.message + crowd.load_at, crowd.turn >> 1)
    caller.waiting = True
    caller.due = due
    send_message(crowd, number)


cdef void renew_in_turn(Crowd *crowd, int number) noexcept nogil:
    """Send the association's next scheduled re-registration. The association must be UP and not waiting."""
    cdef Caller *caller = &crowd.callers[number]
    renew(crowd, number, caller.next_due)
    crowd.pace.sent += 1
    take(&crowd.delays, now() - caller.next_due)
    caller.next_due += <uint64_t>(crowd.pace.interval * crowd.count)


cdef void send_delayed_sacks(Crowd *crowd, uint64_t before) noexcept nogil:
    """Send the SACKs that have been delayed since ``before`` or longer."""
    cdef DelayedSack *sack
    cdef Packet packet
    while crowd.sack_count and crowd.sacks[crowd.first_sack].at <= before:
        sack = &crowd.sacks[crowd.first_sack]
        crowd.first_sack = (crowd.first_sack + 1) % (2 * crowd.count)
        crowd.sack_count -= 1
        if crowd.callers[sack.number].sack_pending and crowd.callers[sack.number].stage == UP:
            start_packet(crowd, sack.number, crowd.callers[sack.number].peer_tag, &packet)
            put_sack(crowd, sack.number, &packet)
            end_packet(crowd, &packet)


cdef void delay_sack(Crowd *crowd, int number, uint64_t at) noexcept nogil:
    cdef DelayedSack *sack
    if crowd.callers[number].sack_pending:
        return
    crowd.callers[number].sack_pending = True
    if crowd.sack_count == 2 * crowd.count:
        return                        # put_sack() adds it to the next message
    sack = &crowd.sacks[(crowd.first_sack + crowd.sack_count) % (2 * crowd.count)]
    sack.at = at
    sack.number = number
    crowd.sack_count += 1


cdef void handle_data(Crowd *crowd, int number, const uint8_t *at, size_t length, uint64_t moment) noexcept nogil:
    """Handle the value of a DATA chunk: TSN, stream, sequence number, protocol, message."""
    cdef Caller *caller = &crowd.callers[number]
    if length < 16:
        return
    if get32(at) == caller.peer_tsn + 1:
        caller.peer_tsn += 1
        if at[12] == REGISTRATION_RESPONSE and at[13] == 0 and caller.waiting:
            caller.waiting = False
            caller.tsn += 1
            caller.ssn += 1
            crowd.answers += 1
            take(&crowd.latencies, moment - caller.due)
            if caller.registered < crowd.each:
                caller.registered += 1
                crowd.registered += 1
                if caller.registered < crowd.each:
                    renew(crowd, number, moment)
                else:
                    crowd.complete += 1
            elif caller.overdue:
                caller.overdue -= 1
                renew_in_turn(crowd, number)
    delay_sack(crowd, number, moment)


cdef void echo_cookie(Crowd *crowd, int number, const uint8_t *at, size_t length) noexcept nogil:
    """Handle the value of an INIT ACK chunk: tag, window, streams, TSN, parameters."""
    cdef Caller *caller = &crowd.callers[number]
    cdef const uint8_t *end = at + length
    cdef size_t size
    cdef Packet packet
    if length < 16 or caller.stage != CONNECTING:
        return
    caller.peer_tag = get32(at)
    caller.peer_tsn = get32(at + 12) - 1
    at += 16
    while end - at >= 4:
        size = get16(at + 2)
        if size < 4 or <size_t>(end - at) < size:
            return
        if get16(at) == STATE_COOKIE and size < ROOM - 64:
            start_packet(crowd, number, caller.peer_tag, &packet)
            memcpy(chunk(&packet, COOKIE_ECHO, 0, size), at + 4, size - 4)
            end_packet(crowd, &packet)
        at += size + 3 & ~<size_t>3


cdef void handle_packet(Crowd *crowd, const uint8_t *packet, size_t size, uint64_t moment) noexcept nogil:
    cdef int number
    cdef size_t at = COMMON_HEADER, length
    cdef const uint8_t *value
    cdef Caller *caller
    cdef Packet answer
    if size < COMMON_HEADER:
        return
    number = <int>get16(packet + 2) - FIRST_PORT
    if number < 0 or number >= crowd.count or get32(packet + 4) != crowd.callers[number].own_tag:
        return
    caller = &crowd.callers[number]
    while at + 4 <= size:
        length = get16(packet + at + 2)
        if length < 4 or at + length > size:
            return
        value = packet + at + 4
        if packet[at] == DATA:
            handle_data(crowd, number, value, length - 4, moment)
        elif packet[at] == INIT_ACK:
            echo_cookie(crowd, number, value, length - 4)
        elif packet[at] == COOKIE_ACK and caller.stage == CONNECTING:
            caller.stage = UP
            crowd.up += 1
        elif packet[at] == HEARTBEAT and length < ROOM - 64:
            start_packet(crowd, number, caller.peer_tag, &answer)
            memcpy(chunk(&answer, HEARTBEAT_ACK, 0, length), value, length - 4)
            end_packet(crowd, &answer)
        elif packet[at] == ABORT:
            crowd.lost += caller.stage != LOST
            caller.stage = LOST
            return
        at += length + 3 & ~<size_t>3


cdef int receive(Crowd *crowd) noexcept nogil:
    """Receive and handle a batch of packets."""
    cdef int i, n = recvmmsg(crowd.fd, crowd.incoming, BATCH, MSG_DONTWAIT, NULL)
    cdef uint64_t at = now()
    for i in range(n):
        handle_packet(crowd, <const uint8_t *>crowd.incoming[i].msg_hdr.msg_iov.iov_base, crowd.incoming[i].msg_len, at)
    return n


cdef void send_again(Crowd *crowd) noexcept nogil:
    """Send messages again that have been unanswered for REPEAT: a packet may have been lost."""
    cdef uint64_t at = now()
    cdef int number
    if at - crowd.last_search < <uint64_t>REPEAT >> 2:
        return
    crowd.last_search = at
    for number in range(crowd.count):
        if crowd.callers[number].sent + REPEAT > at:
            continue
        if crowd.callers[number].stage == CONNECTING:
            send_init(crowd, number)
        elif crowd.callers[number].stage == UP and crowd.callers[number].waiting:
            crowd.repeated += 1
            send_message(crowd, number)


cdef bint connect_all(Crowd *crowd, uint64_t deadline) noexcept nogil:
    """Open the associations, at most BATCH at a time, and register their elements. False if the deadline passes or an
    association is lost."""
    cdef int begun = 0, asked = 0
    cdef uint64_t at
    while crowd.complete < crowd.count:
        at = now()
        if at > deadline or crowd.lost:
            return False
        if begun < crowd.count and begun - crowd.complete < BATCH:
            crowd.callers[begun].stage = CONNECTING
            send_init(crowd, begun)
            begun += 1
        while asked < begun and crowd.callers[asked].stage == UP:
            renew(crowd, asked, at)
            asked += 1
        send_again(crowd)
        flush(crowd)
        receive(crowd)
        send_delayed_sacks(crowd, now() - SACK_DELAY)
    flush(crowd)
    return True


cdef bint step(Crowd *crowd) noexcept nogil:
    """Send what is due and receive what has arrived, without waiting. True at the end. An association that waits for an
    answer sends its next message after the answer, late."""
    cdef Pace *pace = &crowd.pace
    cdef uint64_t at = now(), due = due_at(pace)
    cdef int number, burst = 0
    while due <= at and due < pace.deadline and burst < BATCH:
        number = <int>(pace.turn % <uint64_t>crowd.count)
        if crowd.callers[number].waiting:
            crowd.callers[number].overdue += 1
        elif crowd.callers[number].stage == UP:
            renew_in_turn(crowd, number)
        pace.turn += 1
        burst += 1
        due = due_at(pace)
    send_delayed_sacks(crowd, at - SACK_DELAY)
    send_again(crowd)
    flush(crowd)
    receive(crowd)
    return due >= pace.deadline and (crowd.answers == crowd.pace.sent or at > pace.finish)


cdef mmsghdr *make_room() except NULL:
    cdef mmsghdr *made = <mmsghdr *>calloc(BATCH, sizeof(mmsghdr) + sizeof(iovec) + ROOM)
    cdef iovec *parts = <iovec *>&made[BATCH]
    cdef int i
    if made is NULL:
        raise MemoryError
    for i in range(BATCH):
        parts[i].iov_base = <uint8_t *>&parts[BATCH] + i * ROOM
        parts[i].iov_len = ROOM
        made[i].msg_hdr.msg_iov = &parts[i]
        made[i].msg_hdr.msg_iovlen = 1
    return made


cdef class Elements:
    """``count`` associations with one registrar, and ``each`` elements on each of them."""

    cdef Crowd crowd
    cdef object sock

    def __cinit__(
        self, int port, bytes registration not None, size_t identifier_at, size_t load_at, int count, int each=1
    ) -> None:
        """``registration`` is a message. The offsets are those of its identifier and of its 32-bit policy value."""
        cdef int number
        cdef Caller *caller
        assert max(load_at, identifier_at) + 4 <= <size_t>len(registration) <= LARGEST and count > 0 and each > 0
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF, 33):     # the last is SO_RCVBUFFORCE, for root only
            try:
                self.sock.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
            except OSError:
                pass
        self.sock.bind(("127.0.0.1", 0))
        self.sock.connect(("127.0.0.1", port))
        self.crowd.fd = self.sock.fileno()
        self.crowd.port = <uint16_t>port
        self.crowd.load_at = load_at
        self.crowd.identifier_at = identifier_at
        self.crowd.count = count
        self.crowd.each = each
        self.crowd.callers = <Caller *>calloc(<size_t>self.crowd.count, sizeof(Caller))
        self.crowd.sacks = <DelayedSack *>calloc(<size_t>(2 * self.crowd.count), sizeof(DelayedSack))
        if self.crowd.callers is NULL or self.crowd.sacks is NULL:
            raise MemoryError
        self.crowd.incoming = make_room()
        self.crowd.outgoing = make_room()
        open_samples(&self.crowd.latencies)
        open_samples(&self.crowd.delays)
        for number in range(count):
            caller = &self.crowd.callers[number]
            caller.own_tag = <uint32_t>int.from_bytes(os.urandom(4), "big") | 1u
            caller.tsn = 1
            caller.size = <size_t>len(registration)
            memcpy(caller.message, <const uint8_t *>registration, caller.size)

    def __dealloc__(self) -> None:
        free(self.crowd.callers)
        free(self.crowd.sacks)
        free(self.crowd.incoming)
        free(self.crowd.outgoing)
        close_samples(&self.crowd.latencies)
        close_samples(&self.crowd.delays)

    def register(self, double patience=60.0) -> None:
        """Register all elements. ConnectionError if that takes longer than ``patience`` seconds."""
        cdef bint done
        with nogil:
            done = connect_all(&self.crowd, now() + <uint64_t>(patience * 1e9))
        if not done:
            raise ConnectionError(
                f"of {self.crowd.count} associations {self.crowd.up} came up and {self.crowd.lost} were lost; of "
                f"{self.crowd.count * self.crowd.each} elements {self.crowd.registered} were registered"
            )

    def start(self, double rate, double seconds) -> None:
        """Begin to send ``rate`` re-registrations per second in total for ``seconds``, on the associations in turn. The
        caller must call step() until it returns False."""
        cdef int number
        self.crowd.answers = self.crowd.repeated = 0
        self.crowd.latencies.count = self.crowd.delays.count = 0
        self.crowd.pace = pace_of(rate, seconds)
        for number in range(self.crowd.count):
            self.crowd.callers[number].next_due = self.crowd.pace.began + <uint64_t>(number * self.crowd.pace.interval)
            self.crowd.callers[number].overdue = 0

    def step(self) -> bool:
        """Continue; False once all is answered, or a second after the last message."""
        return not step(&self.crowd)

    def result(self) -> dict:
        """Return counts, and seconds: latencies since the scheduled time, and ``late``, the delay of sending that 99 %
        of the messages did not exceed."""
        sort(&self.crowd.latencies)
        sort(&self.crowd.delays)
        return {
            "due": self.crowd.pace.turn,
            "sent": self.crowd.pace.sent,
            "answers": self.crowd.answers,
            "repeated": self.crowd.repeated,
            "lost": self.crowd.lost,
            "p50": percentile(&self.crowd.latencies, 0.5),
            "p99": percentile(&self.crowd.latencies, 0.99),
            "late": percentile(&self.crowd.delays, 0.99),
        }

    def close(self) -> None:
        """Abort every association."""
        cdef int number
        cdef Packet packet
        for number in range(self.crowd.count):
            if self.crowd.callers[number].stage == UP:
                start_packet(&self.crowd, number, self.crowd.callers[number].peer_tag, &packet)
                chunk(&packet, ABORT, 0, 4)
                end_packet(&self.crowd, &packet)
                self.crowd.callers[number].stage = LOST
        flush(&self.crowd)
        self.sock.close()

# cython: language_level=3
"""The load generator: many connections, in a closed loop (each answer triggers the next request) or at a fixed pace.
Latencies have a resolution of a nanosecond.

On a stream, messages are framed by their Message Length, or all have the same size. If the socket keeps message
boundaries (SCTP), each receive returns one message. Every message counts as an answer: the caller must check the
contents beforehand.
"""

from libc.errno cimport EAGAIN, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memmove
from posix.unistd cimport close

from rserpool._fast.io.epoll cimport EPOLL_CTL_ADD, EPOLLIN, epoll_create1, epoll_ctl, epoll_event, epoll_wait
from rserpool._fast.io.sockets cimport MSG_DONTWAIT, MSG_NOSIGNAL, recv, send

from bench.system.samples cimport (
    Pace, Samples, close_samples, due_at, now, open_samples, pace_of, percentile, sort, take,
)

cdef enum:
    ROOM = 1 << 16
    MOST_OUTSTANDING = 64
    EVENTS = 256
    BURST = 64                        # most requests between two reads of answers

cdef struct Request:
    const uint8_t *octets
    size_t size

cdef struct Client:
    int fd
    int next                          # index of the next request
    int first                         # oldest entry of the ring ``sent``
    int outstanding
    size_t held
    uint64_t sent[MOST_OUTSTANDING]
    uint8_t *buffer

cdef struct Load:
    Client *clients
    Request *requests                 # ``each`` per client, client by client
    int each
    bint framed
    size_t answer_size                # 0: given by the Message Length
    uint64_t answers
    Pace pace
    Samples latencies
    Samples delays                    # of paced requests: send time after scheduled time


cdef int ask(Load *load, int number, uint64_t began) noexcept nogil:
    """Send the client's next request. Its latency counts from ``began``."""
    cdef Client *client = &load.clients[number]
    cdef Request *request = &load.requests[number * load.each + client.next]
    client.sent[(client.first + client.outstanding) % MOST_OUTSTANDING] = began
    client.outstanding += 1
    client.next = (client.next + 1) % load.each
    if send(client.fd, request.octets, request.size, MSG_NOSIGNAL) != <ssize_t>request.size:
        return -1
    return 0


cdef int answered(Load *load, int number, bint again) noexcept nogil:
    cdef Client *client = &load.clients[number]
    cdef uint64_t at = now()
    if client.outstanding == 0:
        return 0
    take(&load.latencies, at - client.sent[client.first])
    client.first = (client.first + 1) % MOST_OUTSTANDING
    client.outstanding -= 1
    load.answers += 1
    return ask(load, number, at) if again else 0


cdef int receive(Load *load, int number, bint again) noexcept nogil:
    cdef Client *client = &load.clients[number]
    cdef ssize_t size
    cdef size_t at = 0, length
    while True:
        size = recv(client.fd, client.buffer + client.held, ROOM - client.held, MSG_DONTWAIT)
        if size < 0:
            return 0 if errno == EAGAIN else -1
        if size == 0:
            return -1
        if not load.framed:
            # One message at a time: with a server on the same processor the next may arrive at once, and reading on
            # would keep the other clients waiting.
            return answered(load, number, again)
        client.held += <size_t>size
        at = 0
        while client.held - at >= 4:
            length = load.answer_size
            if not length:
                length = (<size_t>client.buffer[at + 2] << 8 | client.buffer[at + 3]) + 3 & ~<size_t>3
            if length < 4 or client.held - at < length:
                break
            at += length
            if answered(load, number, again) < 0:
                return -1
        client.held -= at
        memmove(client.buffer, client.buffer + at, client.held)
        if client.held + 4096 < ROOM:
            return 0


cdef int loop(Load *load, int epoll, int count, uint64_t deadline, bint again) noexcept nogil:
    """Receive until the deadline; without ``again``, at most until nothing is outstanding."""
    cdef epoll_event events[EVENTS]
    cdef int i, ready, busy
    while now() < deadline:
        ready = epoll_wait(epoll, events, EVENTS, 10)
        for i in range(ready):
            if receive(load, <int>events[i].data.u32, again) < 0:
                return -1
        if not again:
            busy = 0
            for i in range(count):
                busy += load.clients[i].outstanding
            if not busy:
                return 0
    return 0


cdef int step(Load *load, int epoll, int count) noexcept nogil:
    """Send what is due and receive what has arrived, without waiting. 1 at the end, -1 if a connection is lost."""
    cdef epoll_event events[EVENTS]
    cdef Pace *pace = &load.pace
    cdef uint64_t at = now(), due = due_at(pace)
    cdef int i, ready, number, burst = 0
    while due <= at and due < pace.deadline and burst < BURST:
        number = <int>(pace.turn % <uint64_t>count)
        if load.clients[number].outstanding < MOST_OUTSTANDING:
            if ask(load, number, due) < 0:
                return -1
            pace.sent += 1
            take(&load.delays, at - due)
        pace.turn += 1
        burst += 1
        due = due_at(pace)
    ready = epoll_wait(epoll, events, EVENTS, 0)
    for i in range(ready):
        if receive(load, <int>events[i].data.u32, False) < 0:
            return -1
    return due >= pace.deadline and (load.answers == pace.sent or at > pace.finish)


cdef class Generator:
    """Connected sockets, and the requests that each of them sends over and over."""

    cdef Load load
    cdef int epoll, count
    cdef list sockets, requests

    def __init__(self, list sockets, list requests, bint framed, size_t answer_size=0) -> None:
        """``requests``: a list of encoded requests for each socket, all of the same length."""
        cdef epoll_event event
        cdef int number, each
        self.sockets, self.requests = sockets, requests
        self.count = <int>len(sockets)
        self.load.each = <int>len(requests[0])
        self.load.framed = framed
        self.load.answer_size = answer_size
        self.load.clients = <Client *>calloc(<size_t>self.count, sizeof(Client))
        self.load.requests = <Request *>calloc(<size_t>(self.count * self.load.each), sizeof(Request))
        open_samples(&self.load.latencies)
        open_samples(&self.load.delays)
        self.epoll = epoll_create1(0)
        for number in range(self.count):
            self.load.clients[number].fd = sockets[number].fileno()
            self.load.clients[number].buffer = <uint8_t *>malloc(ROOM)
            for each in range(self.load.each):
                self.load.requests[number * self.load.each + each].octets = requests[number][each]
                self.load.requests[number * self.load.each + each].size = <size_t>len(requests[number][each])
            event.events = <uint32_t>EPOLLIN
            event.data.u32 = <uint32_t>number
            epoll_ctl(self.epoll, EPOLL_CTL_ADD, self.load.clients[number].fd, &event)

    def __dealloc__(self) -> None:
        for number in range(self.count):
            free(self.load.clients[number].buffer)
        free(self.load.clients)
        free(self.load.requests)
        close_samples(&self.load.latencies)
        close_samples(&self.load.delays)
        close(self.epoll)

    def run(self, double seconds, int outstanding=1) -> dict:
        """Run a closed loop, ``outstanding`` requests per connection. ConnectionError if a connection is lost."""
        cdef uint64_t began, ended
        cdef int number, _n, status = 0
        self.load.answers = self.load.latencies.count = 0
        with nogil:
            began = now()
            for number in range(self.count):
                for _n in range(outstanding):
                    status |= ask(&self.load, number, now())
            if status == 0:
                status = loop(&self.load, self.epoll, self.count, began + <uint64_t>(seconds * 1e9), True)
            if status == 0:
                status = loop(&self.load, self.epoll, self.count, now() + 2000000000u, False)
            ended = now()
            sort(&self.load.latencies)
        if status < 0:
            raise ConnectionError("a connection was lost")
        return {
            "answers": self.load.answers,
            "seconds": <double>(ended - began) / 1e9,
            "p50": percentile(&self.load.latencies, 0.5),
            "p99": percentile(&self.load.latencies, 0.99),
        }

    def start(self, double rate, double seconds) -> None:
        """Begin to send ``rate`` requests per second in total for ``seconds``, on the connections in turn, regardless
        of answers. The caller must call step() until it returns False."""
        self.load.answers = self.load.latencies.count = self.load.delays.count = 0
        self.load.pace = pace_of(rate, seconds)

    def step(self) -> bool:
        """Continue; False once all is answered, or a second after the last request. ConnectionError if a connection is
        lost."""
        cdef int status = step(&self.load, self.epoll, self.count)
        if status < 0:
            raise ConnectionError("a connection was lost")
        return status == 0

    def result(self) -> dict:
        """Return counts, and seconds: latencies since the scheduled time, and ``late``, the delay of sending that 99 %
        of the requests did not exceed."""
        sort(&self.load.latencies)
        sort(&self.load.delays)
        return {
            "due": self.load.pace.turn,
            "sent": self.load.pace.sent,
            "answers": self.load.answers,
            "p50": percentile(&self.load.latencies, 0.5),
            "p99": percentile(&self.load.latencies, 0.99),
            "late": percentile(&self.load.delays, 0.99),
        }

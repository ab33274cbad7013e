# cython: freethreading_compatible=False
"""Queues of libusrsctp's events, one per socket. A callback with the key of a closed queue finds none."""

from libc.stdlib cimport free, realloc
from libc.string cimport memset

from rserpool._fast.io.usrsctp.libusrsctp cimport ntohl, ntohs

cdef enum:
    SLOT_BITS = 20

cdef struct Slots:
    Queue *queues
    uint32_t *generations            # odd: in use
    uint32_t count

cdef Slots _slots
cdef uintptr_t _source = 0
cdef uint16_t _source_port = 0


cdef Queue *queue_of(void *key) noexcept nogil:
    """Return the queue of a key, or NULL if it is closed."""
    cdef uintptr_t number = <uintptr_t>key
    cdef uint32_t slot = <uint32_t>(number & ((1 << SLOT_BITS) - 1))
    if slot >= _slots.count or _slots.generations[slot] != number >> SLOT_BITS:
        return NULL
    return &_slots.queues[slot]


cdef Event *append(Queue *queue) noexcept nogil:
    """Append a zeroed event; NULL if there is no memory."""
    cdef Event *events
    cdef size_t room
    if queue.tail == queue.room:
        room = queue.room * 2 if queue.room else 16
        events = <Event *>realloc(queue.events, room * sizeof(Event))
        if events == NULL:
            queue.overrun = True
            return NULL
        queue.events = events
        queue.room = room
    events = &queue.events[queue.tail]
    memset(events, 0, sizeof(Event))
    queue.tail += 1
    return events


cdef int events_receive(
    usocket *so, sctp_sockstore address, void *data, size_t length, sctp_rcvinfo info, int flags, void *key
) noexcept nogil:
    """The stack's callback for a message or a notification."""
    cdef Queue *queue = queue_of(key)
    cdef Event *event = NULL
    if data == NULL:
        return 1
    if queue != NULL:
        event = append(queue)
    if event == NULL:
        free(data)
        return 1
    event.data = data
    event.length = length
    event.alias = <uintptr_t>address.sconn.sconn_addr
    event.port = ntohs(address.sconn.sconn_port)
    event.assoc = info.rcv_assoc_id
    event.ppid = ntohl(info.rcv_ppid)
    event.stray = _source != 0 and (_source != event.alias or _source_port != event.port)
    event.flags = flags
    return 1


cdef void events_upcall(usocket *so, void *key, int flags) noexcept nogil:
    """The stack's callback for a peeled-off socket on which something has changed."""
    cdef Queue *queue = queue_of(key)
    cdef Event *event
    if queue != NULL:
        event = append(queue)
        if event != NULL:
            event.alias = <uintptr_t>so
            event.flags = READABLE


cdef void events_set_source(uintptr_t alias, uint16_t port) noexcept:
    """Set the source of the packet that the stack processes next; 0 when it is done."""
    global _source, _source_port
    _source = alias
    _source_port = port


cdef uint32_t events_open() except 0xFFFFFFFF:
    """Open an empty queue and return its slot."""
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
    _slots.generations[slot] += 1
    return slot


cdef void events_close(uint32_t slot) noexcept:
    """Close a queue; drop its events, and those that still come for its key."""
    cdef Queue *queue = &_slots.queues[slot]
    while queue.head < queue.tail:
        free(queue.events[queue.head].data)
        queue.head += 1
    free(queue.events)
    memset(queue, 0, sizeof(Queue))
    _slots.generations[slot] += 1


cdef void events_disown() noexcept:
    """Close all queues in a forked child: they are the parent's."""
    cdef uint32_t slot
    for slot in range(_slots.count):
        if _slots.generations[slot] & 1:
            events_close(slot)


cdef Queue *events_of(uint32_t slot) noexcept:
    """Return the queue of a slot. The pointer is valid until the next events_open()."""
    return &_slots.queues[slot]


cdef bint events_take(Queue *queue, Event *event) noexcept:
    """Take the oldest event, whose data the caller must free; False if there is none."""
    if queue.head == queue.tail:
        return False
    event[0] = queue.events[queue.head]
    queue.head += 1
    if queue.head == queue.tail:
        queue.head = queue.tail = 0
    return True


cdef void *events_key(uint32_t slot) noexcept:
    """Return the argument by which the stack's callbacks find the queue."""
    return <void *>((<uintptr_t>_slots.generations[slot] << SLOT_BITS) | slot)

"""Pool elements that were taken over, many at a time (RFC 5353 3.5.2): who has not been told yet, and what to tell.

protocol/custody.py decides, once for all such elements at one place; what is done for each of them is here, and costs
0.4 us.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from rserpool._fast.answers cimport put_parameter
from rserpool._fast.args cimport as_u64
from rserpool._fast.cursor cimport Pen, padded, put_u8, put_u16, put_u32, writing
from rserpool._fast.handlespace cimport Handlespace
from rserpool._fast.rbtree cimport Node, above, first, next_of
from rserpool._fast.records cimport (
    AWAITED, KEEP_ALIVE_TAG, PROBED, Element, Run, Space, by_owner, identifier_of, octets_of,
)
from rserpool._fast.scan cimport PE_IDENTIFIER, POOL_HANDLE
from rserpool._fast.space cimport set_connection
from rserpool._fast.wheel cimport arm

cdef enum:
    ENDPOINT_KEEP_ALIVE = 0x07
    HOME = 0x01                # the flag H


def unattended(Handlespace handlespace not None, after: object, size_t most) -> tuple:
    """Look at the next ``most`` PEs of our own: ({ASAP transport: names of those that have no association and were not
    looked at since they are ours}, position to go on after or None at the end); first with ``after`` None."""
    cdef Space *space = &handlespace.space
    cdef dict found = {}
    cdef Node *at
    cdef Element *element
    cdef Run *run
    cdef size_t start, looked = 0
    if after is None:
        at = first(&space.own.owned)
    else:
        at = above(&space.own.owned, as_u64(after[0], "position"), as_u64(after[1], "position"))
    while at is not NULL and looked < most:
        element = by_owner(at)
        run = element.run
        looked += 1
        if element.connection == 0 and not element.flags & AWAITED and run.length != run.asap_length:
            element.flags |= AWAITED | PROBED
            start = padded(run.asap_length)
            transport = PyBytes_FromStringAndSize(
                <const char *>octets_of(run) + start, <Py_ssize_t>(padded(run.length) - start)
            )
            names = found.get(transport)
            if names is None:
                names = found[transport] = []
            (<list>names).append((<object>element.pool.handle, identifier_of(element)))
        if looked == most and next_of(at) is not NULL:
            return found, (at.key0, at.key1)
        at = next_of(at)
    return found, None


cdef Element *waiting(Handlespace handlespace, tuple name) except? NULL:
    """The PE of that name, if it is ours and has no association."""
    cdef Element *element = handlespace.element(name[0], name[1])
    if element is NULL or element.home != handlespace.space.own or element.connection:
        return NULL
    return element


def await_elements(Handlespace handlespace not None, list names not None, uint64_t deadline) -> int:
    """Let those PEs that are ours and have no association answer until ``deadline``; their number."""
    cdef Element *element
    cdef int count = 0
    for name in names:
        element = waiting(handlespace, name)
        if element is not NULL:
            arm(handlespace.space.wheel, &element.keep_alive, deadline, KEEP_ALIVE_TAG)
            count += 1
    return count


cdef bytes keep_alive(uint32_t own, const Element *element):
    """ASAP_ENDPOINT_KEEP_ALIVE with H=1 (RFC 5352 2.2.7), with rsplib's PE identifier."""
    cdef size_t length = 20 + padded(element.pool.name_length)
    cdef bytes message = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>length)
    cdef Pen pen = writing(<uint8_t *>PyBytes_AS_STRING(message), length)
    put_u8(&pen, ENDPOINT_KEEP_ALIVE)
    put_u8(&pen, HOME)
    put_u16(&pen, <uint16_t>length)
    put_u32(&pen, own)
    put_parameter(&pen, POOL_HANDLE, element.pool.name, element.pool.name_length)
    put_u16(&pen, PE_IDENTIFIER)
    put_u16(&pen, 8)
    put_u32(&pen, identifier_of(element))
    return message


def greet(Handlespace handlespace not None, list names not None, uint64_t connection, uint64_t deadline) -> list:
    """The keep-alives for those PEs that are ours and have no association; now they have this one, and are to answer
    until ``deadline``, or that of an earlier await_elements."""
    cdef Space *space = &handlespace.space
    cdef list messages = []
    cdef Element *element
    for name in names:
        element = waiting(handlespace, name)
        if element is not NULL:
            set_connection(space, element, connection)
            if element.keep_alive.link is NULL:
                arm(space.wheel, &element.keep_alive, deadline, KEEP_ALIVE_TAG)
            messages.append(keep_alive(<uint32_t>space.own.node.key0, element))
    return messages

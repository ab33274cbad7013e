"""Pool elements that were taken over, many at a time (RFC 5353 3.5.2): who has not been told yet, and what to tell.

protocol/registrar/ownership.py decides, once for all such elements at one place; what is done for each of them is here,
and costs 0.4 us.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from rserpool._fast.base.args cimport as_u64
from rserpool._fast.codec.cursor cimport padded
from rserpool._fast.handlespace.handlespace cimport Handlespace
from rserpool._fast.lane.keep_alive cimport HOME, keep_alive
from rserpool._fast.handlespace.rbtree cimport Node, above, first, next_of
from rserpool._fast.handlespace.records cimport (
    AWAITED, KEEP_ALIVE_TAG, PROBED, Element, Run, Space, by_owner, identifier_of, octets_of,
)
from rserpool._fast.handlespace.storage cimport set_connection
from rserpool._fast.base.wheel cimport arm


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


def await_elements(Handlespace handlespace not None, list names not None, uint64_t deadline) -> int:
    """Let those PEs that are ours and have no association answer until ``deadline``; their number."""
    cdef Element *element
    cdef int count = 0
    for name in names:
        element = handlespace.element(name[0], name[1])
        if element is not NULL and element.home == handlespace.space.own and not element.connection:
            arm(handlespace.space.wheel, &element.keep_alive, deadline, KEEP_ALIVE_TAG)
            count += 1
    return count


def greet(Handlespace handlespace not None, list names not None, uint64_t connection, uint64_t deadline) -> tuple:
    """The keep-alives for those PEs that are ours and have this association or none, and how many have had none; now
    they have it, and are to answer until ``deadline``, or that of an earlier await_elements. The others have registered
    over it meanwhile, and are told nevertheless (RFC 5353 3.5.2)."""
    cdef Space *space = &handlespace.space
    cdef list messages = []
    cdef Element *element
    cdef int joined = 0
    for name in names:
        element = handlespace.element(name[0], name[1])
        if element is NULL or element.home != space.own or element.connection not in (0, connection):
            continue
        if element.connection == 0:
            set_connection(space, element, connection)
            joined += 1
            if element.keep_alive.link is NULL:
                arm(space.wheel, &element.keep_alive, deadline, KEEP_ALIVE_TAG)
        messages.append(keep_alive(space, element, HOME))
    return messages, joined

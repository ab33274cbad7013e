"""Pool elements that were taken over, many at a time (RFC 5353 3.5.2): finds them, times their answers, and encodes
the keep-alives with H=1 that inform them of their new home.

protocol/registrar/adoption.py decides once for all such elements at one ASAP endpoint. This module does the work for
each element, in 0.4 us.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from rserpool._fast.base.args cimport as_u64
from rserpool._fast.base.wheel cimport arm
from rserpool._fast.codec.cursor cimport padded
from rserpool._fast.handlespace.handlespace cimport Handlespace
from rserpool._fast.handlespace.rbtree cimport Node, above, first, next_of
from rserpool._fast.handlespace.records cimport (
    COLLECTED, KEEP_ALIVE_TAG, PROBED, Element, Run, Space, by_owner, identifier_of, octets_of,
)
from rserpool._fast.handlespace.storage cimport set_connection
from rserpool._fast.lane.keep_alive cimport HOME, keep_alive


def collect_unreached(Handlespace handlespace not None, after: object, size_t most) -> tuple:
    """Scan the next ``most`` PEs of ours: ({ASAP transport: names of the PEs without an association that were not yet
    collected since the takeover}, the position to continue after, None at the end). Start with ``after`` None."""
    cdef Space *space = &handlespace.space
    cdef dict found = {}
    cdef Node *at
    cdef Element *element
    cdef Run *run
    cdef size_t start, scanned = 0
    if after is None:
        at = first(&space.own.owned)
    else:
        at = above(&space.own.owned, as_u64(after[0], "position"), as_u64(after[1], "position"))
    while at is not NULL and scanned < most:
        element = by_owner(at)
        run = element.run
        scanned += 1
        if element.connection == 0 and not element.flags & COLLECTED and run.length != run.asap_length:
            element.flags |= COLLECTED | PROBED
            start = padded(run.asap_length)
            transport = PyBytes_FromStringAndSize(
                <const char *>octets_of(run) + start, <Py_ssize_t>(padded(run.length) - start)
            )
            names = found.get(transport)
            if names is None:
                names = found[transport] = []
            (<list>names).append((<object>element.pool.handle, identifier_of(element)))
        if scanned == most and next_of(at) is not NULL:
            return found, (at.key0, at.key1)
        at = next_of(at)
    return found, None


def start_answer_timers(Handlespace handlespace not None, list names not None, uint64_t deadline) -> int:
    """Set ``deadline`` for the answers of those PEs that are ours and have no association. Return the number of these
    PEs."""
    cdef Element *element
    cdef int count = 0
    for name in names:
        element = handlespace.element(name[0], name[1])
        if element is not NULL and element.home == handlespace.space.own and not element.connection:
            arm(handlespace.space.wheel, &element.keep_alive, deadline, KEEP_ALIVE_TAG)
            count += 1
    return count


def home_keep_alives(
    Handlespace handlespace not None, list names not None, uint64_t connection, uint64_t deadline
) -> tuple:
    """Encode keep-alives with H=1 for the PEs that are ours and have this association or none: (the messages, the
    number of PEs that had no association).

    Those PEs are bound to the association, and must answer by ``deadline`` or the one that start_answer_timers set. PEs
    that have registered over the association since the takeover get a keep-alive too (RFC 5353 3.5.2)."""
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

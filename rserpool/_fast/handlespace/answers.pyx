"""Handle resolution responses and parts of the handle table, copied from encoded runs."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc

from rserpool._fast.codec.cursor cimport (
    padded, put_octets, put_padding, put_u8, put_u16, store_u16, writing,
)
from rserpool._fast.codec.message_types cimport ASAP_HANDLE_RESOLUTION_RESPONSE
from rserpool._fast.codec.tlv cimport T_POOL_HANDLE
from rserpool._fast.handlespace.policies cimport choose
from rserpool._fast.handlespace.rbtree cimport first, next_of
from rserpool._fast.handlespace.records cimport Run, by_owner, octets_of

cdef enum:
    ACCEPT_SUBSCRIPTION = 0x01
    MAX_ELEMENTS = 2340        # of 28 octets each, the shortest: opaque transport without octets, policy without values


cdef int put_parameter(Pen *pen, uint16_t type, const uint8_t *value, size_t length) except -1:
    """Write one parameter with its padding."""
    put_u16(pen, type)
    put_u16(pen, <uint16_t>(4 + length))
    put_octets(pen, value, length)
    put_padding(pen, length)
    return 0


cdef inline size_t policy_length(const Run *run) noexcept nogil:
    return <size_t>run.asap_length - run.policy_at


cdef int put_asap_form(Pen *pen, Run *run) except -1:
    """Write a Pool Element parameter without its ASAP transport."""
    cdef size_t length = padded(run.asap_length)
    put_octets(pen, octets_of(run), length)
    store_u16(pen.at - length + 2, run.asap_length)
    return 0


cdef bytes resolution_of(Space *space, Pool *pool, size_t items, bint accept, bint advance):
    """A whole ASAP_HANDLE_RESOLUTION_RESPONSE (RFC 5352 2.2.6) with as many of ``items`` PEs as fit.

    The policy parameter is that of the first PE listed.
    """
    cdef size_t most = MAX_ELEMENTS
    cdef size_t count = choose(space, pool, min(items, most) if items else most, advance)
    cdef size_t fit = 0
    cdef size_t length = 8 + padded(pool.name_length)
    cdef size_t ends = length              # length of the message without final padding
    cdef size_t i
    cdef Run *run = space.chosen[0].run
    cdef bytes answer
    cdef Pen pen
    length += padded(policy_length(run))
    while fit < count and length + padded(space.chosen[fit].run.asap_length) <= LARGEST_MESSAGE:
        ends = length + space.chosen[fit].run.asap_length
        length += padded(space.chosen[fit].run.asap_length)
        fit += 1
    answer = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>length)
    pen = writing(<uint8_t *>PyBytes_AS_STRING(answer), length)
    put_u8(&pen, ASAP_HANDLE_RESOLUTION_RESPONSE)
    put_u8(&pen, ACCEPT_SUBSCRIPTION if accept else 0)
    put_u16(&pen, <uint16_t>ends)
    put_parameter(&pen, T_POOL_HANDLE, pool.name, pool.name_length)
    put_octets(&pen, octets_of(run) + run.policy_at, padded(policy_length(run)))
    for i in range(fit):
        put_asap_form(&pen, space.chosen[i].run)
    return answer


cdef Element *following(Element *element, bint own_only) noexcept nogil:
    """The next PE of the home, or of the handlespace by pool and identifier."""
    cdef const void *at
    if own_only:
        at = next_of(&element.owned)
        return by_owner(next_of(&element.owned)) if at is not NULL else NULL
    at = next_of(&element.node)
    if at is NULL:
        at = next_of(&element.pool.node)
        at = first(&(<Pool *>at).elements) if at is not NULL else NULL
    return <Element *>at


cdef bytes table_part(
    Space *space, Element *start, bint own_only, size_t most, size_t left, Element **last, bint *more
):
    """Pool entries (pool handle, then its PEs in ENRP form) from ``start`` on: at most ``most`` octets and ``left``
    PEs, but at least one PE.

    Sets ``last`` to the last PE written, and ``more`` if other PEs follow.
    """
    cdef uint8_t *room = <uint8_t *>malloc(LARGEST_MESSAGE)
    cdef Pen pen = writing(room, LARGEST_MESSAGE)
    cdef Pool *pool = NULL
    cdef Element *at = start
    cdef size_t need
    if room is NULL:
        raise MemoryError
    try:
        while at is not NULL:
            need = padded(at.run.length)
            if at.pool != pool:
                need += 4 + padded(at.pool.name_length)
            if pool is not NULL and <size_t>(pen.at - room) + need > most:
                break
            if at.pool != pool:
                pool = at.pool
                put_parameter(&pen, T_POOL_HANDLE, pool.name, pool.name_length)
            put_octets(&pen, octets_of(at.run), padded(at.run.length))
            last[0] = at
            at = following(at, own_only)
            left -= 1
            if left == 0:
                break
        more[0] = at is not NULL
        return PyBytes_FromStringAndSize(<const char *>room, pen.at - room)
    finally:
        free(room)

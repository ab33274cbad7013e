"""The fast lane; see lane.pxd. Whatever it is not sure of it leaves, unchanged, to the readable way."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy

from rserpool._fast.handlespace.answers cimport put_parameter, resolution_of
from rserpool._fast.codec.cursor cimport (
    Cursor, Pen, left, load_u16, load_u32, padded, put_u8, put_u16, put_u32, reading, writing,
)
from rserpool._fast.handlespace.policies cimport policy_of
from rserpool._fast.handlespace.records cimport (
    KEEP_ALIVE_TAG, LIFE_TAG, MARKED, PROBED, Pool, Run, identifier_of, octets_of,
)
from rserpool._fast.base.rng cimport random_below
from rserpool._fast.codec.canonical cimport (
    HOME_OFFSET, LIFE_OFFSET, PE_IDENTIFIER, POOL_ELEMENT, POOL_HANDLE, RESOLUTION_ITEMS, TRANSPORT_OFFSET,
)
from rserpool._fast.handlespace.storage cimport find_in, find_pool, refresh_element
from rserpool._fast.base.wheel cimport arm, disarm

cdef enum:
    REGISTRATION = 0x01
    REGISTRATION_RESPONSE = 0x03
    HANDLE_RESOLUTION = 0x05
    ENDPOINT_KEEP_ALIVE_ACK = 0x08
    SUBSCRIBE = 0x01
    ADAPTIVE = 4               # of the policy types, the top four bits (RFC 5356 7)


cdef int split(const uint8_t *data, size_t size, Parameter *parameters) noexcept nogil:
    """The number of parameters of a message, -1 if it has more than two or its lengths do not agree.

    The Message Length may or may not count the final padding, which must be there (RFC 5354 4).
    """
    cdef Cursor c = reading(data, size)
    cdef size_t unpadded = 4
    cdef int count = 0
    if size < 4 or size > 65535:
        return -1
    c.at += 4
    while left(&c):
        if count == MOST_PARAMETERS or left(&c) < 4:
            return -1
        parameters[count].type = load_u16(c.at)
        parameters[count].length = load_u16(c.at + 2)
        parameters[count].octets = c.at
        if parameters[count].length < 4 or padded(parameters[count].length) > left(&c):
            return -1
        unpadded = <size_t>(c.at - data) + parameters[count].length
        c.at += padded(parameters[count].length)
        count += 1
    if load_u16(data + 2) != size and load_u16(data + 2) != unpadded:
        return -1
    return count


cdef inline Pool *pool_named(Space *space, const Parameter *handle) noexcept nogil:
    return find_pool(space, handle.octets + 4, handle.length - 4)


cdef bytes resolve(Space *space, const uint8_t *data, const Parameter *parameters, int count):
    cdef size_t items = space.default_items
    cdef Pool *pool
    if data[1] & SUBSCRIBE:
        return None
    if count == 2:
        if parameters[1].type != RESOLUTION_ITEMS or parameters[1].length != 8:
            return None
        items = load_u32(parameters[1].octets + 4)
    pool = pool_named(space, &parameters[0])
    if pool is NULL or (count == 2 and items == 0):
        return None
    return resolution_of(space, pool, items, False, True)


cdef uint64_t jittered(Space *space, uint64_t now) noexcept nogil:
    """``now`` and the keep-alive interval, give or take a half of it."""
    cdef uint64_t interval = space.keep_alive_interval
    return now + interval - interval // 2 + random_below(&space.rng, interval // 2 * 2 + 1)


cdef bytes acknowledge(Space *space, const Parameter *parameters, int count, uint64_t connection, uint64_t now):
    cdef Pool *pool
    cdef Element *element
    if count != 2 or parameters[1].type != PE_IDENTIFIER or parameters[1].length != 8:
        return None
    pool = pool_named(space, &parameters[0])
    if pool is NULL:
        return None
    element = find_in(space, pool, load_u32(parameters[1].octets + 4))
    if element is NULL or element.connection != connection or element.home != space.own:
        return None
    element.flags &= <uint8_t>~PROBED
    arm(space.wheel, &element.keep_alive, jittered(space, now), KEEP_ALIVE_TAG)
    return b""


cdef bint differs_in_policy_only(const Space *space, const Element *element, const Parameter *given) noexcept nogil:
    """Whether the given Pool Element is that PE but for the values of its policy; the home may also be unset."""
    cdef Run *run = element.run
    cdef const uint8_t *known = octets_of(run)
    cdef uint32_t home
    cdef size_t rest = padded(run.asap_length)
    if given.length != run.asap_length and given.length != run.length:
        return False
    home = load_u32(given.octets + HOME_OFFSET)
    if home != 0 and home != <uint32_t>space.own.node.key0:
        return False
    if memcmp(given.octets + LIFE_OFFSET, known + LIFE_OFFSET, run.policy_at + <size_t>8 - LIFE_OFFSET) != 0:
        return False
    return given.length == run.asap_length or memcmp(given.octets + rest, known + rest, run.length - rest) == 0


cdef int rearm_life(Space *space, Element *element, uint64_t now) except -1:
    cdef uint32_t life = load_u32(octets_of(element.run) + LIFE_OFFSET)
    if life & 0x80000000u:
        disarm(space.wheel, &element.life)
    else:
        arm(space.wheel, &element.life, now + min(life * space.life_unit, space.life_limit), LIFE_TAG)
    return 0


cdef inline bint renewable(uint32_t policy_type) noexcept nogil:
    """Whether new values of that policy are taken as they are: those of the adaptive policies of RFC 5356 are."""
    return policy_of(policy_type).type != 0 and (policy_type >> 28) == ADAPTIVE


cdef bytes renew(
    Space *space, const Parameter *parameters, int count, uint64_t connection, uint64_t now, list updated,
):
    cdef Pool *pool
    cdef Element *element
    cdef Run *run
    if count != 2 or parameters[1].type != POOL_ELEMENT or parameters[1].length < TRANSPORT_OFFSET + 4:
        return None
    pool = pool_named(space, &parameters[0])
    if pool is NULL or not renewable(pool.policy_type):
        return None
    element = find_in(space, pool, load_u32(parameters[1].octets + 4))
    if element is NULL or element.connection != connection or element.home != space.own:
        return None
    if not differs_in_policy_only(space, element, &parameters[1]):
        return None
    answer = registration_response(element)
    if updated is not None:
        updated.append((<object>pool.handle, identifier_of(element)))
    run = element.run
    memcpy(octets_of(run) + run.policy_at, parameters[1].octets + run.policy_at, run.asap_length - run.policy_at)
    element.flags &= <uint8_t>~(MARKED | PROBED)
    refresh_element(element)
    rearm_life(space, element, now)
    arm(space.wheel, &element.keep_alive, jittered(space, now), KEEP_ALIVE_TAG)
    return answer


cdef bytes registration_response(const Element *element):
    """ASAP_REGISTRATION_RESPONSE of success (RFC 5352 2.2.3)."""
    cdef size_t length = 16 + padded(element.pool.name_length)
    cdef bytes answer = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>length)
    cdef Pen pen = writing(<uint8_t *>PyBytes_AS_STRING(answer), length)
    put_u8(&pen, REGISTRATION_RESPONSE)
    put_u8(&pen, 0)
    put_u16(&pen, <uint16_t>length)
    put_parameter(&pen, POOL_HANDLE, element.pool.name, element.pool.name_length)
    put_u16(&pen, PE_IDENTIFIER)
    put_u16(&pen, 8)
    put_u32(&pen, identifier_of(element))
    return answer


cdef object answer_fast(
    Space *space, const uint8_t *octets, size_t size, uint64_t connection, uint64_t now, list updated,
):
    """The whole answer, b"" where none is due, None where the message must go the readable way."""
    cdef Parameter parameters[MOST_PARAMETERS]
    cdef int count = split(octets, size, parameters)
    if count < 1 or parameters[0].type != POOL_HANDLE:
        return None
    if octets[0] == HANDLE_RESOLUTION:
        return resolve(space, octets, parameters, count)
    if connection == 0:
        return None
    if octets[0] == ENDPOINT_KEEP_ALIVE_ACK:
        return acknowledge(space, parameters, count, connection, now)
    if octets[0] == REGISTRATION:
        return renew(space, parameters, count, connection, now, updated)
    return None

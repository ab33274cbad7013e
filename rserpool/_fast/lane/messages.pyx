"""Answers the three messages that a registrar sees most, from their octets to the octets of the answer.

Served: the resolution, without subscription, of a known pool; the acknowledgement of a keep-alive by a PE of ours over
its own association; a re-registration of such a PE that changes only the values of an adaptive policy. Every other
message is declined without side effect, and goes the readable way.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy

from rserpool._fast.codec.canonical cimport HOME_OFFSET, LIFE_OFFSET, TRANSPORT_OFFSET
from rserpool._fast.codec.cursor cimport (
    Cursor, Pen, left, load_u32, padded, put_u8, put_u16, put_u32, reading, writing,
)
from rserpool._fast.codec.message_types cimport (
    ASAP_ENDPOINT_KEEP_ALIVE_ACK, ASAP_HANDLE_RESOLUTION, ASAP_REGISTRATION, ASAP_REGISTRATION_RESPONSE, flags_at,
    length_at, type_at,
)
from rserpool._fast.codec.tlv cimport T_HANDLE_RESOLUTION_OPTION, T_PE_IDENTIFIER, T_POOL_ELEMENT, T_POOL_HANDLE
from rserpool._fast.codec.walk cimport next_parameter
from rserpool._fast.handlespace.answers cimport put_parameter, resolution_of
from rserpool._fast.handlespace.policies cimport policy_of
from rserpool._fast.handlespace.records cimport MARKED, PROBED, Pool, Run, identifier_of, octets_of
from rserpool._fast.handlespace.storage cimport find_in, find_pool, refresh_element
from rserpool._fast.handlespace.timing cimport restart_keep_alive, restart_life

cdef enum:
    SUBSCRIBE = 0x01
    ADAPTIVE = 4               # top four bits of the adaptive policy types (RFC 5356 7)


cdef int split(const uint8_t *data, size_t size, Parameter *parameters) noexcept nogil:
    """Find the parameters of a message: their number, or -1 if there are more than two or the lengths do not agree.

    The Message Length may or may not count the final padding, which must be there (RFC 5354 4).
    """
    cdef Cursor c
    cdef size_t unpadded = 4
    cdef int count = 0
    if size < 4 or size > 65535:
        return -1
    c = reading(data + 4, size - 4)
    while left(&c):
        if count == MAX_PARAMETERS or not next_parameter(&c, &parameters[count]):
            return -1
        unpadded = <size_t>(parameters[count].octets - data) + parameters[count].length
        count += 1
    if length_at(data) != size and length_at(data) != unpadded:
        return -1
    return count


cdef inline Pool *pool_named(Space *space, const Parameter *handle) noexcept nogil:
    return find_pool(space, handle.octets + 4, handle.length - 4)


cdef bytes resolve(Space *space, const uint8_t *data, const Parameter *parameters, int count):
    cdef size_t items = space.default_items
    cdef Pool *pool
    if flags_at(data) & SUBSCRIBE:
        return None
    if count == 2:
        if parameters[1].type != T_HANDLE_RESOLUTION_OPTION or parameters[1].length != 8:
            return None
        items = load_u32(parameters[1].octets + 4)
    pool = pool_named(space, &parameters[0])
    if pool is NULL or (count == 2 and items == 0):
        return None
    return resolution_of(space, pool, items, False, True)


cdef bytes acknowledge(Space *space, const Parameter *parameters, int count, uint64_t connection, uint64_t now):
    cdef Pool *pool
    cdef Element *element
    if count != 2 or parameters[1].type != T_PE_IDENTIFIER or parameters[1].length != 8:
        return None
    pool = pool_named(space, &parameters[0])
    if pool is NULL:
        return None
    element = find_in(space, pool, load_u32(parameters[1].octets + 4))
    if element is NULL or element.connection != connection or element.home != space.own:
        return None
    element.flags &= <uint8_t>~PROBED
    restart_keep_alive(space, element, now)
    return b""


cdef bint differs_in_policy_only(const Space *space, const Element *element, const Parameter *given) noexcept nogil:
    """True if the given Pool Element equals that PE except for the values of its policy. Its home may be unset."""
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


cdef inline bint renewable(uint32_t policy_type) noexcept nogil:
    """True for the adaptive policies of RFC 5356, whose new values are accepted as they are."""
    return policy_of(policy_type).type != 0 and (policy_type >> 28) == ADAPTIVE


cdef bytes renew(
    Space *space, const Parameter *parameters, int count, uint64_t connection, uint64_t now, list updated,
):
    cdef Pool *pool
    cdef Element *element
    cdef Run *run
    if count != 2 or parameters[1].type != T_POOL_ELEMENT or parameters[1].length < TRANSPORT_OFFSET + 4:
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
    restart_life(space, element, now)
    restart_keep_alive(space, element, now)
    return answer


cdef bytes registration_response(const Element *element):
    """ASAP_REGISTRATION_RESPONSE of success (RFC 5352 2.2.3)."""
    cdef size_t length = 16 + padded(element.pool.name_length)
    cdef bytes answer = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>length)
    cdef Pen pen = writing(<uint8_t *>PyBytes_AS_STRING(answer), length)
    put_u8(&pen, ASAP_REGISTRATION_RESPONSE)
    put_u8(&pen, 0)
    put_u16(&pen, <uint16_t>length)
    put_parameter(&pen, T_POOL_HANDLE, element.pool.name, element.pool.name_length)
    put_u16(&pen, T_PE_IDENTIFIER)
    put_u16(&pen, 8)
    put_u32(&pen, identifier_of(element))
    return answer


cdef object answer_fast(
    Space *space, const uint8_t *octets, const Parameter *parameters, int count, uint64_t connection, uint64_t now,
    list updated,
):
    """Serve one message, whose first parameter is a pool handle. Returns its answer, b"" if it needs none, or None if
    it is declined. Appends (pool handle, identifier) of a re-registered PE to ``updated``, unless that is None."""
    if type_at(octets) == ASAP_HANDLE_RESOLUTION:
        return resolve(space, octets, parameters, count)
    if connection == 0:
        return None
    if type_at(octets) == ASAP_ENDPOINT_KEEP_ALIVE_ACK:
        return acknowledge(space, parameters, count, connection, now)
    if type_at(octets) == ASAP_REGISTRATION:
        return renew(space, parameters, count, connection, now, updated)
    return None

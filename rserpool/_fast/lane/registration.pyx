"""Registrations that can be accepted as they stand: the common case of RFC 5352 3.1, without a Python object.

Whatever would be refused, changed or questioned is left, untouched, to protocol/registrar/asap/acceptance.py and
protocol/registrar/asap/dispatch.py, which alone know why; what is accepted here they would accept, with the same
octets.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy

from rserpool._fast.codec.cursor cimport Cursor, left, load_u16, load_u32, padded, reading, store_u16
from rserpool._fast.lane.messages cimport MOST_PARAMETERS, Parameter, jittered, rearm_life, registration_response, split
from rserpool._fast.handlespace.policies cimport policy_of
from rserpool._fast.handlespace.records cimport KEEP_ALIVE_TAG, PROBED, Element, Policy, Pool, identifier_of
from rserpool._fast.codec.canonical cimport (
    LIFE_OFFSET, OPAQUE_TRANSPORT, POOL_ELEMENT, POOL_HANDLE, TRANSPORT_OFFSET, Scan, canonical,
)
from rserpool._fast.handlespace.storage cimport UPDATED, find_in, find_pool, place_element, verdict_on
from rserpool._fast.base.wheel cimport arm

cdef enum:
    DCCP_TRANSPORT = 0x0003
    WEIGHTED_RANDOM = 0x00000004
    FIRST_PRIVATE_POLICY = 0xB0000000   # some of rsplib's need the distance, some end its registrars
    INFINITE = 0xFFFFFFFF
    ROOM = 2048                # octets of a parameter with its ASAP transport; larger ones are rare
    MOST_ADDRESSES = 16


cdef class Terms:
    def __cinit__(
        self, *, size_t handle_octets, size_t pools, size_t elements_per_pool, size_t elements_per_association,
        size_t addresses, uint64_t shortest_life,
    ) -> None:
        self.handle_octets = handle_octets
        self.pools = pools
        self.elements_per_pool = elements_per_pool
        self.elements_per_association = elements_per_association
        self.addresses = addresses
        self.shortest = shortest_life


cdef class Guest:
    def __cinit__(self, bytes hosts not None, bytes asap not None) -> None:
        """Without ``asap`` nothing is accepted over that association."""
        self.hosts = hosts
        self.asap = asap


cdef bint is_host(Guest guest, const uint8_t *address, size_t size) noexcept:
    """Whether an address parameter is one of the association's."""
    cdef Cursor c = reading(<const uint8_t *>PyBytes_AS_STRING(guest.hosts), <size_t>PyBytes_GET_SIZE(guest.hosts))
    cdef size_t length
    while left(&c) >= 4:
        length = load_u16(c.at + 2)
        if length == size and memcmp(c.at, address, size) == 0:
            return True
        c.at += length
    return False


cdef bint own_transport(Terms terms, Guest guest, const uint8_t *element, const Scan *scan) noexcept:
    """Whether the user transport has just addresses of the association, each once, and a port (RFC 5352 2.2.1)."""
    cdef const uint8_t *parameter = element + TRANSPORT_OFFSET
    cdef Cursor c = reading(parameter, load_u16(parameter + 2))
    cdef const uint8_t *seen[MOST_ADDRESSES]
    cdef size_t length, count = 0, i
    if scan.transport_type == OPAQUE_TRANSPORT or load_u16(parameter + 4) == 0 or scan.transport_use > 1:
        return False
    c.at += 12 if scan.transport_type == DCCP_TRANSPORT else 8
    while left(&c) >= 8:
        length = load_u16(c.at + 2)
        if count == MOST_ADDRESSES or length < 8 or length > left(&c) or not is_host(guest, c.at, length):
            return False
        for i in range(count):
            if load_u16(seen[i] + 2) == length and memcmp(seen[i], c.at, length) == 0:
                return False
        seen[count] = c.at
        count += 1
        c.at += length
    return count <= terms.addresses


cdef bint fits_policy(const uint8_t *element, const Scan *scan) noexcept nogil:
    cdef const Policy *policy = policy_of(scan.policy_type)
    if policy.type == 0 or policy.length != scan.policy_length or scan.policy_type >= <uint32_t>FIRST_PRIVATE_POLICY:
        return False
    return scan.policy_type != WEIGHTED_RANDOM or load_u32(element + scan.policy_at + 8) != 0


cdef bint lives_long_enough(Terms terms, const uint8_t *element) noexcept:
    cdef uint32_t life = load_u32(element + LIFE_OFFSET)
    return life == <uint32_t>INFINITE or (life < 0x80000000u and life >= terms.shortest)


cdef size_t complete(uint8_t *room, Guest guest, const uint8_t *element, Scan *scan) noexcept:
    """The parameter with the ASAP transport, and its scan; 0 if there is no room for it."""
    cdef size_t before = padded(scan.asap_length)
    cdef size_t more = <size_t>PyBytes_GET_SIZE(guest.asap)
    if before + more > ROOM:
        return 0
    memcpy(room, element, before)
    memcpy(room + before, PyBytes_AS_STRING(guest.asap), more)
    scan.length = <uint16_t>(before + more)
    store_u16(room + 2, scan.length)
    return before + more


cdef object admit(
    Space *space, Terms terms, Guest guest, const uint8_t *octets, size_t size, uint64_t connection, uint64_t now,
    list updated, bint *added,
):
    """The answer's octets, or None for the readable way, with nothing changed."""
    cdef Parameter parameters[MOST_PARAMETERS]
    cdef const uint8_t *given
    cdef uint8_t room[ROOM]
    cdef size_t name_length
    cdef Scan scan
    cdef Pool *pool
    cdef Element *element = NULL
    cdef bytes handle
    if PyBytes_GET_SIZE(guest.asap) == 0 or split(octets, size, parameters) != 2:
        return None
    if parameters[0].type != POOL_HANDLE or parameters[1].type != POOL_ELEMENT:
        return None
    given = parameters[1].octets
    name_length = parameters[0].length - 4
    if not 0 < name_length <= terms.handle_octets or not canonical(given, padded(parameters[1].length), &scan):
        return None
    if scan.identifier == 0 or not lives_long_enough(terms, given) or not fits_policy(given, &scan):
        return None
    if not own_transport(terms, guest, given, &scan):
        return None
    pool = find_pool(space, parameters[0].octets + 4, name_length)
    if pool is not NULL:
        if verdict_on(pool, &scan) != UPDATED:
            return None
        element = find_in(space, pool, scan.identifier)
    if element is not NULL:
        if element.connection != connection or element.home != space.own:
            return None
    elif guest.elements >= <int64_t>terms.elements_per_association:
        return None
    elif space.pool_count >= terms.pools if pool is NULL else pool.size >= terms.elements_per_pool:
        return None
    if complete(room, guest, given, &scan) == 0:
        return None
    if pool is not NULL:
        handle = <bytes>pool.handle
    else:
        handle = PyBytes_FromStringAndSize(<const char *>parameters[0].octets + 4, <Py_ssize_t>name_length)
    added[0] = element is NULL
    element = place_element(space, pool, element, handle, room, &scan, <uint32_t>space.own.node.key0, connection)
    if added[0]:
        guest.elements += 1
    element.flags &= <uint8_t>~PROBED
    rearm_life(space, element, now)
    arm(space.wheel, &element.keep_alive, jittered(space, now), KEEP_ALIVE_TAG)
    if updated is not None:
        updated.append((handle, identifier_of(element)))
    return registration_response(element)

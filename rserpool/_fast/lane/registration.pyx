"""Registrations that are accepted as they stand: the common case of RFC 5352 3.1, without a Python object.

Registrations that would be refused or changed are declined without side effect, because protocol/registrar/asap knows
the reasons. That code would also accept each registration that is accepted here, and store the same octets.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy

from rserpool._fast.base.policy_types cimport FIRST_RSPLIB_POLICY, WEIGHTED_RANDOM
from rserpool._fast.codec.canonical cimport LIFE_OFFSET, TRANSPORT_OFFSET, Scan, canonical
from rserpool._fast.codec.cursor cimport Cursor, left, load_u16, load_u32, padded, reading, store_u16
from rserpool._fast.codec.tlv cimport T_DCCP_TRANSPORT, T_OPAQUE_TRANSPORT, T_POOL_ELEMENT
from rserpool._fast.codec.walk cimport Parameter, next_parameter
from rserpool._fast.handlespace.policies cimport policy_of
from rserpool._fast.handlespace.records cimport PROBED, Element, Policy, Pool, identifier_of
from rserpool._fast.handlespace.storage cimport UPDATED, find_in, find_pool, place_element, verdict_on
from rserpool._fast.handlespace.timing cimport restart_keep_alive, restart_life
from rserpool._fast.lane.messages cimport registration_response

cdef enum:
    INFINITE = 0xFFFFFFFF
    ROOM = 2048                # octets of a Pool Element parameter with its ASAP transport; larger ones are declined
    MAX_ADDRESSES = 16


cdef class AdmissionLimits:
    """Bounds that a registration must keep to (settings/limits.py). One record for all associations of a registrar."""

    def __cinit__(
        self, *, size_t handle_octets, size_t pools, size_t elements_per_pool, size_t elements_per_association,
        size_t addresses, uint64_t shortest_life,
    ) -> None:
        self.handle_octets = handle_octets
        self.pools = pools
        self.elements_per_pool = elements_per_pool
        self.elements_per_association = elements_per_association
        self.addresses = addresses
        self.shortest_life = shortest_life


cdef class Registrant:
    """The far end of an association over which PEs may register, and the number of its PEs.

    ``hosts``: the addresses that its PEs may register, as address parameters one after the other. ``asap``: the ASAP
    transport parameter of its PEs; if it is empty, no registration is accepted."""

    def __cinit__(self, bytes hosts not None, bytes asap not None) -> None:
        self.hosts = hosts
        self.asap = asap


cdef bint is_host(Registrant registrant, const Parameter *address) noexcept:
    """True if an address parameter is one of the registrant's."""
    cdef Cursor c = reading(
        <const uint8_t *>PyBytes_AS_STRING(registrant.hosts), <size_t>PyBytes_GET_SIZE(registrant.hosts)
    )
    cdef Parameter host
    while next_parameter(&c, &host):
        if host.length == address.length and memcmp(host.octets, address.octets, host.length) == 0:
            return True
    return False


cdef bint own_transport(
    AdmissionLimits limits, Registrant registrant, const uint8_t *element, const Scan *scan,
) noexcept:
    """True if the user transport has a port and lists only addresses of the registrant, each once (RFC 5352 2.2.1)."""
    cdef const uint8_t *transport = element + TRANSPORT_OFFSET
    cdef size_t head = 12 if scan.transport_type == T_DCCP_TRANSPORT else 8
    cdef Cursor c
    cdef Parameter seen[MAX_ADDRESSES + 1]
    cdef size_t count = 0, i
    if scan.transport_type == T_OPAQUE_TRANSPORT or load_u16(transport + 4) == 0 or scan.transport_use > 1:
        return False
    c = reading(transport + head, load_u16(transport + 2) - head)
    while next_parameter(&c, &seen[count]):
        if count == MAX_ADDRESSES or not is_host(registrant, &seen[count]):
            return False
        for i in range(count):
            if seen[i].length == seen[count].length and memcmp(seen[i].octets, seen[count].octets, seen[i].length) == 0:
                return False
        count += 1
    return left(&c) == 0 and count <= limits.addresses


cdef bint fits_policy(const uint8_t *element, const Scan *scan) noexcept nogil:
    cdef const Policy *policy = policy_of(scan.policy_type)
    # Some of rsplib's policies need the distance, and some crash rsplib's registrars.
    if policy.type == 0 or policy.length != scan.policy_length or scan.policy_type >= <uint32_t>FIRST_RSPLIB_POLICY:
        return False
    return scan.policy_type != WEIGHTED_RANDOM or load_u32(element + scan.policy_at + 8) != 0


cdef bint lives_long_enough(AdmissionLimits limits, const uint8_t *element) noexcept:
    cdef uint32_t life = load_u32(element + LIFE_OFFSET)
    return life == <uint32_t>INFINITE or (life < 0x80000000u and life >= limits.shortest_life)


cdef size_t complete(uint8_t *room, Registrant registrant, const uint8_t *element, Scan *scan) noexcept:
    """Copy a Pool Element parameter and append the ASAP transport. Return the padded size, 0 if there is too little
    room. Updates the scan."""
    cdef size_t before = padded(scan.asap_length)
    cdef size_t more = <size_t>PyBytes_GET_SIZE(registrant.asap)
    if before + more > ROOM:
        return 0
    memcpy(room, element, before)
    memcpy(room + before, PyBytes_AS_STRING(registrant.asap), more)
    scan.length = <uint16_t>(before + more)
    store_u16(room + 2, scan.length)
    return before + more


cdef object admit(
    Space *space, AdmissionLimits limits, Registrant registrant, const Parameter *parameters,
    uint64_t connection, uint64_t now, list updated, bint *added,
):
    """Accept the registration with these two parameters, the pool handle first. Returns its answer, and whether the PE
    is new; or None, with nothing changed, if it is declined."""
    cdef const uint8_t *given
    cdef uint8_t room[ROOM]
    cdef size_t name_length
    cdef Scan scan
    cdef Pool *pool
    cdef Element *element = NULL
    cdef bytes handle
    if PyBytes_GET_SIZE(registrant.asap) == 0 or parameters[1].type != T_POOL_ELEMENT:
        return None
    given = parameters[1].octets
    name_length = parameters[0].length - 4
    if not 0 < name_length <= limits.handle_octets or not canonical(given, padded(parameters[1].length), &scan):
        return None
    if scan.identifier == 0 or not lives_long_enough(limits, given) or not fits_policy(given, &scan):
        return None
    if not own_transport(limits, registrant, given, &scan):
        return None
    pool = find_pool(space, parameters[0].octets + 4, name_length)
    if pool is not NULL:
        if verdict_on(pool, &scan) != UPDATED:
            return None
        element = find_in(space, pool, scan.identifier)
    if element is not NULL:
        if element.connection != connection or element.home != space.own:
            return None
    elif registrant.elements >= <int64_t>limits.elements_per_association:
        return None
    elif space.pool_count >= limits.pools if pool is NULL else pool.size >= limits.elements_per_pool:
        return None
    if complete(room, registrant, given, &scan) == 0:
        return None
    if pool is not NULL:
        handle = <bytes>pool.handle
    else:
        handle = PyBytes_FromStringAndSize(<const char *>parameters[0].octets + 4, <Py_ssize_t>name_length)
    added[0] = element is NULL
    element = place_element(space, pool, element, handle, room, &scan, <uint32_t>space.own.node.key0, connection)
    if added[0]:
        registrant.elements += 1
    element.flags &= <uint8_t>~PROBED
    restart_life(space, element, now)
    restart_keep_alive(space, element, now)
    if updated is not None:
        updated.append((handle, identifier_of(element)))
    return registration_response(element)

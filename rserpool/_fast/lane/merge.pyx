"""Merges pool elements that peer registrars send, as octets: the common case of RFC 5353 2.3 and 2.4.

Elements that would be refused or disputed, or that this registrar would encode differently, are left to
protocol/registrar/enrp/handle_updates.py, which knows the reasons. That module would also store each element that is
merged here, with the same octets. A table of 50 elements costs 0.15 times as much here as there, and an update 0.35
times.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from rserpool._fast.base.wheel cimport disarm
from rserpool._fast.codec.canonical cimport HOME_OFFSET, LIFE_OFFSET, TRANSPORT_OFFSET, canonical
from rserpool._fast.codec.cursor cimport Cursor, left, load_u16, load_u32, padded, reading
from rserpool._fast.codec.message_types cimport (
    ENRP_HANDLE_TABLE_RESPONSE, ENRP_HANDLE_UPDATE, flags_at, length_at, type_at,
)
from rserpool._fast.codec.parameters cimport read_pool_element
from rserpool._fast.codec.tlv cimport T_POOL_ELEMENT, T_POOL_HANDLE, Skipped, Tlv
from rserpool._fast.codec.walk cimport Parameter, next_parameter
from rserpool._fast.handlespace.policies cimport policy_of
from rserpool._fast.handlespace.records cimport Element, Home, Policy, Pool, Space
from rserpool._fast.handlespace.storage cimport UPDATED, find_home, find_in, find_pool, place_element, verdict_on
from rserpool._fast.handlespace.timing cimport restart_life
from rserpool._fast.lane.registration cimport fits_policy

cdef enum:
    REJECT = 0x01
    ENTRIES_AT = 12            # in a table: after header, sender and receiver
    PARAMETERS_AT = 16         # in an update: after header, sender, receiver and action
    ADD_PE = 0
    NEGATIVE = 0x80000000
    INFINITE = 0xFFFFFFFF
    LONGEST_TRANSPORT = 264    # 32 of the shortest addresses, within every decoder's bound


cdef bint plain(const uint8_t *element, size_t size, Scan *scan) noexcept nogil:
    """True if the octets are a Pool Element parameter with an ASAP transport that our codec would encode to the same
    octets."""
    cdef const Policy *policy
    if not canonical(element, size, scan) or scan.length == scan.asap_length:
        return False
    policy = policy_of(scan.policy_type)
    if policy.type == 0 or policy.length != scan.policy_length:
        return False
    return (
        load_u16(element + TRANSPORT_OFFSET + 2) <= LONGEST_TRANSPORT
        and load_u16(element + padded(scan.asap_length) + 2) <= LONGEST_TRANSPORT
    )


cdef bint plain_entries(const uint8_t *octets, size_t size) noexcept nogil:
    """True if the octets are pool handles, each with at least one plain element."""
    cdef Cursor c = reading(octets, size)
    cdef Parameter p
    cdef Scan scan
    cdef bint named = False, complete = True
    while left(&c):
        if not next_parameter(&c, &p) or p.length <= 4:
            return False
        if p.type == T_POOL_HANDLE and complete:
            named = True
            complete = False
        elif p.type == T_POOL_ELEMENT and named and plain(p.octets, padded(p.length), &scan):
            complete = True
        else:
            return False
    return complete


def ordinary_table(bytes data not None) -> bool:
    """True if a message is an ENRP_HANDLE_TABLE_RESPONSE that ``Merger.table`` accepts."""
    cdef const uint8_t *octets = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef size_t size = <size_t>PyBytes_GET_SIZE(data)
    if size < ENTRIES_AT or length_at(octets) != size:
        return False
    if type_at(octets) != ENRP_HANDLE_TABLE_RESPONSE or flags_at(octets) & REJECT:
        return False
    return plain_entries(octets + ENTRIES_AT, size - ENTRIES_AT)


cdef object record_of(const uint8_t *octets, size_t size):
    """Decode a plain element."""
    cdef Tlv t
    t.at = octets
    t.length = size
    t.type = T_POOL_ELEMENT
    return read_pool_element(&t, Skipped.__new__(Skipped))


cdef class Merger:
    """One registrar's merger. ``merged`` is called with pool handle, PE identifier, whether the PE is new, and the time
    of each merged PE if its pool is in ``watchers``, or if the handlespace records additions for watches."""

    def __cinit__(
        self, Handlespace handlespace not None, *, size_t handle_octets, size_t pools, size_t elements_per_home,
        dict watchers not None, object merged,
    ) -> None:
        self.handlespace = handlespace
        self.handle_octets = handle_octets
        self.pools = pools
        self.elements_per_home = elements_per_home
        self.watchers = watchers
        self.merged = merged

    cdef bint take(
        self, const uint8_t *name, size_t name_length, const uint8_t *octets, const Scan *scan, uint32_t peer,
        bint everything, uint64_t now,
    ) except -1:
        """Merge a plain element: one whose home is the peer or, with ``everything``, a third registrar that has not
        announced the element itself. False, with nothing changed, if it must go the readable way."""
        cdef Space *space = &self.handlespace.space
        cdef uint32_t home = load_u32(octets + HOME_OFFSET)
        cdef uint32_t life = load_u32(octets + LIFE_OFFSET)
        cdef Pool *pool
        cdef Home *owner
        cdef Element *element = NULL
        cdef bint added
        cdef bytes handle
        if home == 0 or home == <uint32_t>space.own.node.key0 or (home != peer and not everything):
            return False
        if life & <uint32_t>NEGATIVE and life != <uint32_t>INFINITE:
            return False
        if name_length > self.handle_octets or not fits_policy(octets, scan):
            return False
        pool = find_pool(space, name, name_length)
        if pool is NULL:
            if space.pool_count >= self.pools:
                return False
            handle = PyBytes_FromStringAndSize(<const char *>name, <Py_ssize_t>name_length)
        else:
            if verdict_on(pool, scan) != UPDATED:
                return False
            handle = <bytes>pool.handle
            element = find_in(space, pool, scan.identifier)
        if element is not NULL:
            if element.home == space.own or element.connection:
                return False
            if home != peer and element.home.node.key0 == home:
                return True
        owner = find_home(space, home)
        if owner is not NULL and owner.size >= self.elements_per_home:
            return False
        added = element is NULL
        element = place_element(space, pool, element, handle, octets, scan, home, 0)
        disarm(space.wheel, &element.keep_alive)
        restart_life(space, element, now)
        if self.handlespace.added is not None or (self.watchers and handle in self.watchers):
            self.merged(handle, scan.identifier, added, now)
        return True

    def table(self, bytes data not None, uint32_t peer, bint everything, uint64_t now, object unusual not None) -> None:
        """Merge an ordinary table. For each element that must go the readable way, ``unusual`` is called in its turn
        with the pool handle and the decoded record."""
        cdef size_t size = <size_t>PyBytes_GET_SIZE(data)
        cdef Cursor c
        cdef Parameter p
        cdef Parameter handle
        cdef Scan scan
        handle.length = 0
        if size < ENTRIES_AT:
            raise AssertionError("not an ordinary table")
        c = reading(<const uint8_t *>PyBytes_AS_STRING(data) + ENTRIES_AT, size - ENTRIES_AT)
        while next_parameter(&c, &p):
            if p.type == T_POOL_HANDLE:
                handle = p
            elif handle.length <= 4 or not canonical(p.octets, padded(p.length), &scan):
                raise AssertionError("not an ordinary table")
            elif not self.take(handle.octets + 4, handle.length - 4, p.octets, &scan, peer, everything, now):
                name = PyBytes_FromStringAndSize(<const char *>handle.octets + 4, <Py_ssize_t>handle.length - 4)
                unusual(name, record_of(p.octets, p.length))

    def update(self, bytes data not None, uint32_t peer, uint64_t now) -> bool:
        """Merge an ENRP_HANDLE_UPDATE that adds or changes one plain element of the peer. False, with nothing changed,
        if it must go the readable way."""
        cdef const uint8_t *octets = <const uint8_t *>PyBytes_AS_STRING(data)
        cdef size_t size = <size_t>PyBytes_GET_SIZE(data)
        cdef Cursor c
        cdef Parameter handle
        cdef uint32_t receiver
        cdef Scan scan
        if size < PARAMETERS_AT + 8 or length_at(octets) != size:
            return False
        if type_at(octets) != ENRP_HANDLE_UPDATE or flags_at(octets):
            return False
        receiver = load_u32(octets + 8)
        if load_u32(octets + 4) != peer or (receiver and receiver != <uint32_t>self.handlespace.space.own.node.key0):
            return False
        c = reading(octets + PARAMETERS_AT, size - PARAMETERS_AT)
        if load_u16(octets + 12) != ADD_PE or not next_parameter(&c, &handle):
            return False
        if handle.type != T_POOL_HANDLE or handle.length <= 4 or not plain(c.at, left(&c), &scan):
            return False
        return self.take(handle.octets + 4, handle.length - 4, c.at, &scan, peer, False, now)

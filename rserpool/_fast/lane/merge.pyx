"""What peers tell of their elements, taken in as octets: the common case of RFC 5353 2.3 and 2.4.

Whatever would be refused, disputed or is not as we would encode it is left to
protocol/registrar/enrp/handle_updates.py, which alone knows why; what is taken here it would take, with the same
octets. A table of 50 elements costs 0.15 of what it does that way, an update 0.35.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint16_t

from rserpool._fast.lane.registration cimport fits_policy
from rserpool._fast.codec.cursor cimport Cursor, left, load_u16, load_u32, padded, reading
from rserpool._fast.lane.messages cimport rearm_life
from rserpool._fast.codec.parameters cimport read_pool_element
from rserpool._fast.handlespace.policies cimport policy_of
from rserpool._fast.handlespace.records cimport Element, Home, Policy, Pool, Space
from rserpool._fast.codec.canonical cimport (
    HOME_OFFSET, LIFE_OFFSET, POOL_ELEMENT, POOL_HANDLE, TRANSPORT_OFFSET, canonical,
)
from rserpool._fast.handlespace.storage cimport UPDATED, find_home, find_in, find_pool, place_element, verdict_on
from rserpool._fast.codec.tlv cimport Skipped, Tlv
from rserpool._fast.base.wheel cimport disarm

cdef enum:
    HANDLE_TABLE_RESPONSE = 0x03
    HANDLE_UPDATE = 0x04
    REJECT = 0x01
    ENTRIES_AT = 12            # after header, sender and receiver
    PARAMETERS_AT = 16         # of an update: after the action, too
    ADD_PE = 0
    NEGATIVE = 0x80000000
    INFINITE = 0xFFFFFFFF
    LONGEST_TRANSPORT = 264    # 32 of the shortest addresses: no decoder's bound is exceeded


cdef bint plain(const uint8_t *element, size_t size, Scan *scan) noexcept nogil:
    """Whether these octets are a Pool Element parameter with its ASAP transport that is decoded and encoded to the same
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
    """Whether these octets are pool handles, each with one plain element or more."""
    cdef Cursor c = reading(octets, size)
    cdef Scan scan
    cdef uint16_t kind
    cdef size_t length
    cdef bint named = False, complete = True
    while left(&c):
        if left(&c) < 4:
            return False
        kind = load_u16(c.at)
        length = load_u16(c.at + 2)
        if length <= 4 or padded(length) > left(&c):
            return False
        if kind == POOL_HANDLE and complete:
            named = True
            complete = False
        elif kind == POOL_ELEMENT and named and plain(c.at, padded(length), &scan):
            complete = True
        else:
            return False
        c.at += padded(length)
    return complete


def ordinary_table(bytes data not None) -> bool:
    """Whether a message is an ENRP_HANDLE_TABLE_RESPONSE that ``Merger.table`` can take."""
    cdef const uint8_t *octets = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef size_t size = <size_t>PyBytes_GET_SIZE(data)
    if size < ENTRIES_AT or octets[0] != HANDLE_TABLE_RESPONSE or octets[1] & REJECT or load_u16(octets + 2) != size:
        return False
    return plain_entries(octets + ENTRIES_AT, size - ENTRIES_AT)


cdef object record_of(const uint8_t *octets, size_t size):
    """The readable form of a plain element."""
    cdef Tlv t
    t.at = octets
    t.length = size
    t.type = POOL_ELEMENT
    return read_pool_element(&t, Skipped.__new__(Skipped))


cdef class Merger:
    def __cinit__(
        self, Handlespace handlespace not None, *, size_t handle_octets, size_t pools, size_t elements_per_home,
        dict watchers not None, object changed,
    ) -> None:
        """``changed`` is called with the handle of each pool among ``watchers`` in which something changes."""
        self.handlespace = handlespace
        self.handle_octets = handle_octets
        self.pools = pools
        self.elements_per_home = elements_per_home
        self.watchers = watchers
        self.changed = changed

    cdef bint take(
        self, const uint8_t *name, size_t name_length, const uint8_t *octets, const Scan *scan, uint32_t peer,
        bint everything, uint64_t now,
    ) except -1:
        """Whether nothing is left to do with a plain element that a peer names: of its own, or, where ``everything``
        counts, of a third registrar that has not told of it itself."""
        cdef Space *space = &self.handlespace.space
        cdef uint32_t home = load_u32(octets + HOME_OFFSET)
        cdef uint32_t life = load_u32(octets + LIFE_OFFSET)
        cdef Pool *pool
        cdef Home *owner
        cdef Element *element = NULL
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
        element = place_element(space, pool, element, handle, octets, scan, home, 0)
        disarm(space.wheel, &element.keep_alive)
        rearm_life(space, element, now)
        if self.watchers and handle in self.watchers:
            self.changed(handle)
        return True

    def table(self, bytes data not None, uint32_t peer, bint everything, uint64_t now, object unusual not None) -> None:
        """Take an ordinary table in. ``unusual`` is called with pool handle and record of each element that is left to
        the readable way, in its turn."""
        cdef Cursor c = reading(<const uint8_t *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data))
        cdef Scan scan
        cdef const uint8_t *name = NULL
        cdef size_t name_length = 0, length
        c.at += ENTRIES_AT
        while left(&c) >= 4:
            length = load_u16(c.at + 2)
            if load_u16(c.at) == POOL_HANDLE:
                name = c.at + 4
                name_length = length - 4
            elif name is NULL or not canonical(c.at, padded(length), &scan):
                raise AssertionError("not an ordinary table")
            elif not self.take(name, name_length, c.at, &scan, peer, everything, now):
                handle = PyBytes_FromStringAndSize(<const char *>name, <Py_ssize_t>name_length)
                unusual(handle, record_of(c.at, length))
            c.at += padded(length)

    def update(self, bytes data not None, uint32_t peer, uint64_t now) -> bool:
        """Whether the message was an update for everybody or us by which a peer adds or changes one plain element of
        its own, and was taken in; if not, nothing has changed."""
        cdef const uint8_t *octets = <const uint8_t *>PyBytes_AS_STRING(data)
        cdef size_t size = <size_t>PyBytes_GET_SIZE(data)
        cdef size_t length, at
        cdef uint32_t receiver
        cdef Scan scan
        if size < PARAMETERS_AT + 8 or octets[0] != HANDLE_UPDATE or octets[1] or load_u16(octets + 2) != size:
            return False
        receiver = load_u32(octets + 8)
        if load_u32(octets + 4) != peer or (receiver and receiver != <uint32_t>self.handlespace.space.own.node.key0):
            return False
        length = load_u16(octets + PARAMETERS_AT + 2)
        at = PARAMETERS_AT + padded(length)
        if load_u16(octets + 12) != ADD_PE or load_u16(octets + PARAMETERS_AT) != POOL_HANDLE or length <= 4:
            return False
        if at >= size or not plain(octets + at, size - at, &scan):
            return False
        return self.take(octets + PARAMETERS_AT + 4, length - 4, octets + at, &scan, peer, False, now)

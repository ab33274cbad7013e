"""The handlespace of one registrar (RFC 5352, 5353): pools of pool elements that exist as C records only."""

import enum

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from rserpool._fast.base.args cimport as_u32, as_u64
from rserpool._fast.base.wheel cimport ENTRY_TAG, Entry, EntryAlarm, Alarm, arm, disarm, take_due
from rserpool._fast.handlespace.answers cimport resolution_of, table_part
from rserpool._fast.handlespace.invariants cimport check_invariants
from rserpool._fast.handlespace.names cimport Named, Names
from rserpool._fast.handlespace.policies cimport choose
from rserpool._fast.handlespace.rbtree cimport Node, above, first, next_of
from rserpool._fast.handlespace.records cimport (
    KEEP_ALIVE_AT, KEEP_ALIVE_TAG, LIFE_AT, LIFE_TAG, MARKED, Home, Pool, by_owner, identifier_of,
)
from rserpool._fast.handlespace.checksum cimport folded
from rserpool._fast.handlespace.storage cimport (
    close_space, connected_to, find_element, find_home, find_pool, move_home, obtain_home,
    open_space, pool_after, register_element, remove_element,
)
from rserpool._fast.handlespace.timing cimport jittered
from rserpool._fast.handlespace.views cimport PoolElementView, PoolView, pool_view_of, view_of

from rserpool.errors import LocalProtocolError


class Verdict(enum.IntEnum):
    """The outcome of a registration."""

    ADDED = 0
    UPDATED = 1
    INCONSISTENT_POLICY = 2
    INCONSISTENT_TRANSPORT = 3
    INCONSISTENT_USE = 4


class Timer(enum.IntEnum):
    """The two timers of a pool element."""

    KEEP_ALIVE = 1
    LIFE = 2


cdef str CHOOSING = "a custom policy cannot remove pool elements"
cdef tuple VERDICTS = tuple(Verdict)
cdef tuple TIMERS = (None, *Timer)

cdef enum:
    LATEST = 0x3FFFFFFFFFFFFFFF    # time that callers may give: a sum with an interval still fits
    LONGEST = 0xFFFFFFFFFFFF       # interval, microseconds
    LONGEST_UNIT = 1000000000


cdef uint64_t as_time(object value, str name) except? 0xFFFFFFFFFFFFFFFFu:
    cdef uint64_t time = as_u64(value, name)
    if time > LATEST:
        raise LocalProtocolError(f"{name} is not in 0..2**62-1: {value}")
    return time


cdef uint64_t in_range(object value, uint64_t least, uint64_t most, str name) except? 0xFFFFFFFFFFFFFFFFu:
    cdef uint64_t number = as_u64(value, name)
    if number < least or number > most:
        raise LocalProtocolError(f"{name} is not in {least}..{most}: {value}")
    return number


cdef inline const uint8_t *name_of(bytes handle) noexcept:
    return <const uint8_t *>PyBytes_AS_STRING(handle)


cdef inline size_t length_of(bytes handle) noexcept:
    return <size_t>PyBytes_GET_SIZE(handle)


@cython.no_gc_clear
cdef class Handlespace:
    """All pools that registrar ``identifier`` knows. Random choices follow from ``seed``; ``wheel`` holds the timers.

    A pool element goes in as the octets of one canonical Pool Element parameter in ENRP form (RFC 5354 3.10), padded.
    Times are integer microseconds, connections integers that name associations (0: none). A wheel serves one
    handlespace. While ``record_renewals`` is set, the fast lane appends (pool handle, PE identifier) of each PE that it
    registers to ``updated``, which the owner drains.

    Wrong arguments raise TypeError or LocalProtocolError and change nothing. One thread uses one handlespace.
    """

    def __cinit__(self, identifier: object, *, seed: object, wheel: Wheel):
        cdef uint32_t own = as_u32(identifier, "identifier")
        cdef uint64_t seeded = as_u64(seed, "seed")
        if wheel is None:
            raise TypeError("wheel is None")
        if wheel.shared:
            raise LocalProtocolError("the wheel serves another handlespace")
        open_space(&self.space, own, seeded, &wheel.core)
        wheel.shared = True
        self.wheel = wheel
        self.updated = []
        self.record_renewals = True
        self.space.life_limit = LONGEST
        self.space.keep_alive_interval = 5000000
        self.space.life_unit = 1000000
        self.space.max_candidates = 1024
        self.space.large = 8192

    def __dealloc__(self):
        close_space(&self.space)
        if self.wheel is not None:
            self.wheel.shared = False

    def __len__(self) -> int:
        """The number of pool elements."""
        return <Py_ssize_t>self.space.size

    cdef Element *element(self, bytes handle, object pe_identifier) except? NULL:
        return find_element(&self.space, name_of(handle), length_of(handle), as_u32(pe_identifier, "pe_identifier"))

    @property
    def identifier(self) -> int:
        return <uint32_t>self.space.own.node.key0

    @property
    def pool_count(self) -> int:
        return self.space.pool_count

    @property
    def default_items(self) -> int:
        """The number of PEs in a fast lane's answer to a request that names no number; 0 for as many as fit."""
        return self.space.default_items

    @default_items.setter
    def default_items(self, items: object) -> None:
        self.space.default_items = as_u32(items, "default_items")

    @property
    def used_items(self) -> int:
        """The number of PEs of an answer that count as used, so that the next answer begins after them; 0 means 1."""
        return self.space.used_items

    @used_items.setter
    def used_items(self, items: object) -> None:
        self.space.used_items = as_u32(items, "used_items")

    @property
    def max_candidates(self) -> int:
        """The number of a pool's PEs among which a custom policy may choose: those that round robin would take
        first."""
        return self.space.max_candidates

    @max_candidates.setter
    def max_candidates(self, count: object) -> None:
        self.space.max_candidates = in_range(count, 1, 0xFFFFFFFF, "max_candidates")

    @property
    def large(self) -> int:
        """The smallest number of PEs at which transports prefetch memory (lane/prefetch.pyx). Fewer PEs fit into the
        caches."""
        return self.space.large

    @large.setter
    def large(self, count: object) -> None:
        self.space.large = in_range(count, 0, 0xFFFFFFFF, "large")

    @property
    def on_policy_failure(self) -> object:
        """Called with pool handle, policy type and reason when a custom policy fails and round robin takes its place;
        None for no call. It must not raise."""
        return <object>self.space.on_policy_failure if self.space.on_policy_failure is not NULL else None

    @on_policy_failure.setter
    def on_policy_failure(self, callback: object) -> None:
        self.policy_failure_callback = callback
        self.space.on_policy_failure = <PyObject *>callback if callback is not None else NULL

    @property
    def keep_alive_interval(self) -> int:
        """Microseconds between an acknowledged keep-alive and the next, jittered by +-50 % (RFC 5352 7.1)."""
        return self.space.keep_alive_interval

    @keep_alive_interval.setter
    def keep_alive_interval(self, interval: object) -> None:
        self.space.keep_alive_interval = in_range(interval, 1, LONGEST, "keep_alive_interval")

    @property
    def life_unit(self) -> int:
        """Microseconds of one unit of Registration Life: 1000000 (RFC 5354 3.10) or 1000."""
        return self.space.life_unit

    @life_unit.setter
    def life_unit(self, unit: object) -> None:
        self.space.life_unit = in_range(unit, 1, LONGEST_UNIT, "life_unit")

    @property
    def life_limit(self) -> int:
        """Longest life of a registration that the fast lane accepts, in microseconds; a longer one is cut."""
        return self.space.life_limit

    @life_limit.setter
    def life_limit(self, limit: object) -> None:
        self.space.life_limit = in_range(limit, 1, LONGEST, "life_limit")

    def register(self, bytes handle not None, bytes element not None, *, home: object, connection: object = 0):
        """Add or update a PE. ``home`` replaces the field in ``element``.

        An update replaces all attributes, unmarks, and sets the degradation and bad-report counters to 0. A PE that
        does not fit its pool's policy, transport type or transport use (RFC 5352 3.1) is refused, even if it is the
        only one. LocalProtocolError for an element that is not canonical or, with its handle, never fits a message.
        """
        cdef uint32_t owner = as_u32(home, "home")
        cdef uint64_t association = as_u64(connection, "connection")
        return VERDICTS[
            register_element(&self.space, handle, name_of(element), length_of(element), owner, association)
        ]

    def remove(self, bytes handle not None, pe_identifier: object) -> bool:
        """Remove a PE, its timers, and its pool if it was the last; False if there is no such PE. LocalProtocolError
        if a custom policy calls it while it chooses."""
        cdef Element *element = self.element(handle, pe_identifier)
        if element is NULL:
            return False
        if self.space.choosing:
            raise LocalProtocolError(CHOOSING)
        remove_element(&self.space, element)
        return True

    def find(self, bytes handle not None, pe_identifier: object) -> PoolElementView:
        """A view of a PE; None if there is no such PE."""
        cdef Element *element = self.element(handle, pe_identifier)
        return view_of(self, &self.space, element) if element is not NULL else None

    def pool(self, bytes handle not None) -> PoolView:
        """A view of a pool; None if there is no such pool."""
        cdef Pool *pool = find_pool(&self.space, name_of(handle), length_of(handle))
        return pool_view_of(self, &self.space, pool) if pool is not NULL else None

    def pools(self, bytes after not None = b""):
        """Iterate over the pools by handle: by length, then by octets. Begin after the handle ``after``, which need
        not exist. The handlespace may change between two steps."""
        cdef bytes last = after
        cdef Pool *pool = pool_after(&self.space, name_of(last), length_of(last))
        while pool is not NULL:
            last = <bytes>pool.handle
            yield pool_view_of(self, &self.space, pool)
            pool = pool_after(&self.space, name_of(last), length_of(last))

    def select(self, bytes handle not None, items: object, advance: bool = True) -> list:
        """PE identifiers as an answer of at most ``items`` PEs (0: all) lists them; empty if there is no such pool."""
        cdef size_t most = as_u64(items, "items")
        cdef Pool *pool = find_pool(&self.space, name_of(handle), length_of(handle))
        cdef size_t count = 0
        cdef bint used = advance
        if pool is not NULL:
            count = choose(&self.space, pool, most, used)
        return [identifier_of(self.space.chosen[i]) for i in range(count)]

    def resolution(
        self, bytes handle not None, items: object, *, accept_subscription: bool = False, advance: bool = True,
    ) -> bytes:
        """A whole ASAP_HANDLE_RESOLUTION_RESPONSE (RFC 5352 2.2.6) with at most ``items`` PEs (0: as many as fit).

        A message has at most 65535 octets. The policy parameter is that of the first PE listed. None if there is no
        such pool. Without ``advance`` nothing changes, the state of the random choices included.
        """
        cdef size_t most = as_u64(items, "items")
        cdef bint accept = accept_subscription
        cdef bint used = advance
        cdef Pool *pool = find_pool(&self.space, name_of(handle), length_of(handle))
        return resolution_of(&self.space, pool, most, accept, used) if pool is not NULL else None

    def connected(self, connection: object) -> list:
        """(pool handle, PE identifier) of the PEs of an association, sorted."""
        cdef uint64_t association = as_u64(connection, "connection")
        cdef size_t count = connected_to(&self.space, association, NULL) if association else 0
        cdef Names names = Names(count)
        cdef Element **found = <Element **>calloc(count + 1, sizeof(Element *))
        if found is NULL:
            raise MemoryError
        if count:
            connected_to(&self.space, association, found)
        for i in range(count):
            names.add_element(found[i])
        free(found)
        return sorted(names.pairs())

    def owned(self, home: object) -> list:
        """(pool handle, PE identifier) of all PEs of a home, pools in the order of their creation."""
        return self.owned_part(home, None, self.space.size + 1)[0]

    def owned_part(self, home: object, after: object, most: object) -> tuple:
        """Return (the next ``most`` PEs of a home, the position to continue after or None). Start with ``after`` None.

        A position stays valid when PEs are added or removed.
        """
        cdef Home *owner = find_home(&self.space, as_u32(home, "home"))
        cdef size_t limit = in_range(most, 1, 0xFFFFFFFFFFFFFFFFu, "most")
        cdef Node *at = owned_after(owner, after)
        cdef Names names = Names(min(limit, owner.size if owner is not NULL else 0))
        position = None
        while at is not NULL and names.count < limit:
            names.add_element(by_owner(at))
            if names.count == limit and next_of(at) is not NULL:
                position = (at.key0, at.key1)
                break
            at = next_of(at)
        return names.pairs(), position

    def take_over(self, home: object, new_home: object, most: object) -> list:
        """Give at most ``most`` PEs of ``home`` to ``new_home`` and return them; empty when none is left."""
        cdef uint32_t old = as_u32(home, "home")
        cdef uint32_t new = as_u32(new_home, "new_home")
        cdef size_t limit = in_range(most, 1, 0xFFFFFFFFFFFFFFFFu, "most")
        cdef Home *loser = find_home(&self.space, old)
        cdef Home *winner
        cdef Element *element
        cdef Names names
        cdef size_t count
        if old == new or loser is NULL or loser.size == 0:
            return []
        count = min(limit, loser.size)
        names = Names(count)
        winner = obtain_home(&self.space, new)
        while names.count < count:
            element = by_owner(first(&loser.owned))
            names.add_element(element)
            move_home(&self.space, element, winner)
        return names.pairs()

    def mark_home(self, home: object, after: object, most: object) -> object:
        """Mark the next ``most`` PEs of a home before its handle table is downloaded (RFC 5353 3.6.3). Returns the
        position to continue after, None at the end. Start with ``after`` None. An update or a new home removes the
        mark."""
        cdef size_t left = in_range(most, 1, 0xFFFFFFFFFFFFFFFFu, "most")
        cdef Node *at = owned_after(find_home(&self.space, as_u32(home, "home")), after)
        while at is not NULL:
            by_owner(at).flags |= MARKED
            left -= 1
            if left == 0:
                return (at.key0, at.key1) if next_of(at) is not NULL else None
            at = next_of(at)
        return None

    def sweep_marked(self, home: object, after: object, most: object) -> tuple:
        """Remove the marked PEs among the next ``most`` of a home. Returns (their pool handles and PE identifiers, the
        position to continue after or None). Start with ``after`` None."""
        cdef Home *owner = find_home(&self.space, as_u32(home, "home"))
        cdef size_t left = in_range(most, 1, 0xFFFFFFFFFFFFFFFFu, "most")
        cdef Node *at = owned_after(owner, after)
        cdef Names names = Names(min(left, owner.size if owner is not NULL else 0))
        cdef Element *element
        position = None
        if self.space.choosing:
            raise LocalProtocolError(CHOOSING)
        while at is not NULL and left:
            element = by_owner(at)
            left -= 1
            if left == 0 and next_of(at) is not NULL:
                position = (at.key0, at.key1)
            at = next_of(at)
            if element.flags & MARKED:
                names.add_element(element)
                remove_element(&self.space, element)
        return names.pairs(), position

    def checksum(self, home: object = None) -> int:
        """The PE checksum of a home (RFC 5353 3.6.2), by default of this registrar; 16 bits."""
        cdef Home *owner = self.space.own
        if home is not None:
            owner = find_home(&self.space, as_u32(home, "home"))
        return folded(owner.accumulator if owner is not NULL else 0)

    def home_size(self, home: object) -> int:
        """The number of PEs of a home."""
        cdef Home *owner = find_home(&self.space, as_u32(home, "home"))
        return owner.size if owner is not NULL else 0

    def homes(self) -> list:
        """The identifiers of all registrars that own PEs, ascending."""
        cdef list found = []
        cdef Node *at = first(&self.space.homes)
        while at is not NULL:
            if (<Home *>at).size:
                found.append(at.key0)
            at = next_of(at)
        return found

    def table(self, own_only: bool, after: object, max_octets: object, max_elements: object = 0xFFFFFFFF) -> tuple:
        """(octets of the next pool entries, the position to continue after or None). Start with ``after`` None.

        An ENRP_HANDLE_TABLE_RESPONSE carries pool entries (RFC 5353 2.3): each pool handle with its PEs. The octets
        contain at most ``max_octets`` (1..65520) and ``max_elements`` (1 or more), but at least one PE. A position is
        valid for the same ``own_only`` only, and stays valid when PEs are added or removed.
        """
        cdef bint own = own_only
        cdef size_t most = in_range(max_octets, 1, 65520, "max_octets")
        cdef size_t left = in_range(max_elements, 1, 0xFFFFFFFF, "max_elements")
        cdef Element *at = start_of_table(self, own, after)
        cdef Element *last = NULL
        cdef bint more = False
        if at is NULL:
            return b"", None
        octets = table_part(&self.space, at, own, most, left, &last, &more)
        if not more:
            return octets, None
        if own:
            return octets, (last.owned.key0, last.owned.key1)
        return octets, (<object>last.pool.handle, identifier_of(last))

    def arm(self, bytes handle not None, pe_identifier: object, which: object, deadline: object) -> None:
        """Arm or rearm one of the two timers of a PE. LocalProtocolError if there is no such PE."""
        cdef uint64_t when = as_time(deadline, "deadline")
        cdef Element *element = self.element(handle, pe_identifier)
        cdef unsigned int tag = tag_of(which)
        if element is NULL:
            raise LocalProtocolError("no such pool element")
        arm(&self.wheel.core, timer_of(element, tag), when, tag)

    def disarm(self, bytes handle not None, pe_identifier: object, which: object) -> bool:
        """Disarm one of the two timers of a PE; False if it was not armed."""
        cdef Element *element = self.element(handle, pe_identifier)
        cdef Alarm *timer
        cdef unsigned int tag = tag_of(which)
        if element is NULL:
            return False
        timer = timer_of(element, tag)
        if timer.link is NULL:
            return False
        disarm(&self.wheel.core, timer)
        return True

    def jitter(self, now: object) -> int:
        """``now`` plus the keep-alive interval, jittered by +-50 %."""
        return jittered(&self.space, as_time(now, "now"))

    def expire(self, now: object) -> list:
        """Advance the wheel to ``now`` and return everything that has expired, by deadline.

        A PE's timer is returned as (Timer, pool handle, PE identifier), an entry of Wheel.insert as its payload.
        """
        cdef uint64_t time = as_time(now, "now")
        cdef size_t count = 0
        cdef Alarm **due = take_due(&self.wheel.core, time, &count)
        cdef Names names
        try:
            names = Names(count)
            for i in range(count):
                add_timer(names, due[i])
        finally:
            free(due)
        return [expiry(self.wheel, &names.named[i]) for i in range(count)]

    def _check(self) -> None:
        """AssertionError unless every invariant of every record holds; walks everything."""
        check_invariants(&self.space)


cdef Node *owned_after(Home *home, object after) except? NULL:
    """The first PE of a home after a position."""
    if home is NULL:
        return NULL
    if after is None:
        return first(&home.owned)
    serial, identifier = after
    return above(&home.owned, as_u64(serial, "position"), as_u32(identifier, "position"))


cdef Element *start_of_table(Handlespace owner, bint own_only, object after) except? NULL:
    cdef Node *at
    cdef Pool *pool
    cdef bytes handle = b""
    if own_only:
        at = owned_after(owner.space.own, after)
        return by_owner(at) if at is not NULL else NULL
    if after is not None:
        handle, identifier = after
        if handle is None:
            raise TypeError("a position of the whole table begins with a pool handle")
        pool = find_pool(&owner.space, name_of(handle), length_of(handle))
        at = above(&pool.elements, as_u32(identifier, "position"), 0xFFFFFFFFFFFFFFFFu) if pool is not NULL else NULL
        if at is not NULL:
            return <Element *>at
    pool = pool_after(&owner.space, name_of(handle), length_of(handle))
    return <Element *>first(&pool.elements) if pool is not NULL else NULL


cdef unsigned int tag_of(object which) except 0:
    cdef uint32_t tag = as_u32(which, "which")
    if tag != KEEP_ALIVE_TAG and tag != LIFE_TAG:
        raise LocalProtocolError(f"no timer {which}")
    return tag


cdef inline Alarm *timer_of(Element *element, unsigned int tag) noexcept:
    return &element.keep_alive if tag == KEEP_ALIVE_TAG else &element.life


cdef void add_timer(Names names, Alarm *timer) noexcept:
    cdef unsigned int tag = timer.order & 3
    cdef Element *element
    if tag == ENTRY_TAG:
        names.add(<object>(<EntryAlarm *>timer).entry, 0, tag)
        return
    element = <Element *>(<char *>timer - (KEEP_ALIVE_AT if tag == KEEP_ALIVE_TAG else LIFE_AT))
    names.add(<object>element.pool.handle, identifier_of(element), tag)


cdef object expiry(Wheel wheel, const Named *named):
    cdef Entry entry
    if named.tag == ENTRY_TAG:
        entry = <Entry>named.held
        wheel.entries.discard(entry)
        return entry.payload
    return TIMERS[named.tag], <object>named.held, named.identifier

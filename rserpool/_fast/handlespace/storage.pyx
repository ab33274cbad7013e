"""The storage of a handlespace: adds, changes, finds and removes its records."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from rserpool._fast.base.rng cimport seed_rng
from rserpool._fast.base.slab cimport close_slab, give_block, open_slab, take_block
from rserpool._fast.base.wheel cimport disarm
from rserpool._fast.codec.canonical cimport HOME_OFFSET, Scan, scan_element
from rserpool._fast.codec.cursor cimport load_u16, load_u32, padded, store_u32
from rserpool._fast.handlespace.checksum cimport word_sum
from rserpool._fast.handlespace.custom_policies cimport attach_memory, release_memory
from rserpool._fast.handlespace.index cimport (
    Index, close_index, enter_slot, leave_slot, open_index, place_of, reserve_slot,
)
from rserpool._fast.handlespace.policies cimport aim_choice, leave_choice, policy_of, revise_choice
from rserpool._fast.handlespace.rbtree cimport (
    Node, Way, approach, first, insert, insert_tied, lookup, next_of, remove, way_to,
)
from rserpool._fast.handlespace.records cimport (
    CHOICE_AT, COLLECTED, DRAWN, KEEP_ALIVE_AT, LIFE_AT, MARKED, NEVER_FITS, OWNED_AT, RUN_SLABS, RUN_STEP, Policy,
    identifier_of, octets_of,
)

from rserpool.errors import LocalProtocolError

cdef enum:
    FIRST_BUCKETS = 16
    KEY_OCTETS = 14        # octets of a handle that its node's keys contain, in addition to the length


cdef int check_layout() except -1:
    cdef Element element
    cdef char *start = <char *>&element
    if (
        <char *>&element.owned - start != OWNED_AT
        or <char *>&element.choice - start != CHOICE_AT
        or <char *>&element.keep_alive - start != KEEP_ALIVE_AT
        or <char *>&element.life - start != LIFE_AT
    ):
        raise SystemError("the layout of Element is not the one that records.pxd states")
    return 0


check_layout()


cdef int open_space(Space *space, uint32_t identifier, uint64_t seed, WheelCore *wheel) except -1:
    cdef int i
    memset(space, 0, sizeof(Space))
    open_slab(&space.elements, sizeof(Element))
    open_slab(&space.pool_slab, sizeof(Pool))
    open_slab(&space.home_slab, sizeof(Home))
    for i in range(RUN_SLABS):
        open_slab(&space.runs[i], <size_t>(i * RUN_STEP) or RUN_STEP)
    seed_rng(&space.rng, seed)
    space.wheel = wheel
    space.buckets = <Element **>calloc(FIRST_BUCKETS, sizeof(Element *))
    if space.buckets is NULL:
        raise MemoryError
    space.bucket_count = FIRST_BUCKETS
    open_index(&space.index)
    space.own = obtain_home(space, identifier)
    return 0


cdef void close_space(Space *space) noexcept:
    """Free everything; also allowed after open_space has failed."""
    cdef Node *at = first(&space.pools)
    cdef Node *element
    cdef Pool *pool
    cdef int i
    while at is not NULL:
        pool = <Pool *>at
        at = next_of(at)
        element = first(&pool.elements)
        while element is not NULL:
            disarm(space.wheel, &(<Element *>element).keep_alive)
            disarm(space.wheel, &(<Element *>element).life)
            release_run(space, (<Element *>element).run)
            element = next_of(element)
        Py_DECREF(<object>pool.handle)
        if pool.memory is not NULL:
            release_memory(pool.policy, pool.memory)
    for i in range(RUN_SLABS):
        close_slab(&space.runs[i])
    close_slab(&space.home_slab)
    close_slab(&space.pool_slab)
    close_slab(&space.elements)
    close_index(&space.index)
    free(space.buckets)
    free(space.chosen)
    free(space.shares)
    memset(space, 0, sizeof(Space))


cdef Run *obtain_run(Space *space, size_t octets) except NULL:
    cdef size_t room = (sizeof(Run) + octets + RUN_STEP - 1) // RUN_STEP
    cdef Run *run
    if room < RUN_SLABS:
        return <Run *>take_block(&space.runs[room])
    run = <Run *>malloc(room * RUN_STEP)
    if run is NULL:
        raise MemoryError
    return run


cdef void release_run(Space *space, Run *run) noexcept nogil:
    cdef size_t room = (sizeof(Run) + padded(run.length) + RUN_STEP - 1) // RUN_STEP
    if room < RUN_SLABS:
        give_block(&space.runs[room], run)
    else:
        free(run)


cdef void fill_run(Run *run, const uint8_t *octets, const Scan *scan, uint32_t home) noexcept nogil:
    run.length = scan.length
    run.asap_length = scan.asap_length
    run.policy_at = scan.policy_at
    memcpy(octets_of(run), octets, padded(scan.length))
    store_u32(octets_of(run) + HOME_OFFSET, home)


# Pools by handle: first by length, then by octets.

cdef inline void set_name_keys(Node *node, const uint8_t *name, size_t length) noexcept nogil:
    """The keys of a handle: length and the first 6 octets, then 8 more; missing octets count as zero."""
    cdef uint8_t start[16]
    if length < KEY_OCTETS:
        memset(start, 0, sizeof(start))
        memcpy(start, name, length)
        name = start
    node.key0 = <uint64_t>length << 48 | <uint64_t>load_u32(name) << 16 | load_u16(name + 4)
    node.key1 = <uint64_t>load_u32(name + 6) << 32 | load_u32(name + 10)


cdef int order_of_tails(const Node *left, const Node *right) noexcept nogil:
    cdef const Pool *a = <const Pool *>left
    cdef const Pool *b = <const Pool *>right
    if a.name_length <= KEY_OCTETS:
        return 0
    return memcmp(a.name + KEY_OCTETS, b.name + KEY_OCTETS, a.name_length - KEY_OCTETS)


cdef Pool *seek_pool(Space *space, const uint8_t *name, size_t length, Pool **beyond) noexcept nogil:
    """The pool of a handle, or NULL. Sets ``beyond`` to the pool after it."""
    cdef Pool wanted
    cdef Node *at = space.pools.root
    cdef int order
    beyond[0] = NULL
    if length > 65535:
        return NULL
    wanted.name = name
    wanted.name_length = length
    set_name_keys(&wanted.node, name, length)
    while at is not NULL:
        if at.key0 != wanted.node.key0:
            order = -1 if at.key0 < wanted.node.key0 else 1
        elif at.key1 != wanted.node.key1:
            order = -1 if at.key1 < wanted.node.key1 else 1
        else:
            order = order_of_tails(at, &wanted.node)
        if order == 0:
            return <Pool *>at
        if order > 0:
            beyond[0] = <Pool *>at
        at = at.child[order < 0]
    return NULL


cdef Pool *find_pool(Space *space, const uint8_t *name, size_t length) noexcept nogil:
    cdef Pool *beyond
    return seek_pool(space, name, length, &beyond)


cdef Pool *pool_after(Space *space, const uint8_t *name, size_t length) noexcept nogil:
    """The first pool whose handle sorts after a handle, which need not exist."""
    cdef Pool *beyond
    cdef Pool *found = seek_pool(space, name, length, &beyond)
    return beyond if found is NULL else <Pool *>next_of(&found.node)


cdef Element *find_element(Space *space, const uint8_t *name, size_t length, uint32_t identifier) noexcept nogil:
    cdef Pool *pool = find_pool(space, name, length)
    return find_in(space, pool, identifier) if pool is not NULL else NULL


cdef Element *find_in(Space *space, Pool *pool, uint32_t identifier) noexcept nogil:
    """A PE of a pool, or NULL. The key contains half of the pool's serial; the element is checked for the rest."""
    cdef Index *index = &space.index
    cdef uint64_t key = index_key(pool, identifier)
    cdef size_t at = place_of(index, key)
    cdef Element *element
    while index.slots[at].element is not NULL:
        if index.slots[at].key == key:
            element = <Element *>index.slots[at].element
            if element.pool == pool:
                return element
        at = at + 1 & index.mask
    return NULL


cdef Pool *open_pool(Space *space, bytes handle, const Scan *scan) except NULL:
    cdef Pool *pool = <Pool *>take_block(&space.pool_slab)
    cdef size_t i
    memset(pool, 0, sizeof(Pool))
    pool.name = <const uint8_t *>PyBytes_AS_STRING(handle)
    pool.name_length = <size_t>PyBytes_GET_SIZE(handle)
    for i in range(pool.name_length):
        pool.name_sum += <uint32_t>pool.name[i] << (0 if i & 1 else 8)
    pool.policy = policy_of(scan.policy_type)
    try:
        attach_memory(pool)
    except MemoryError:
        give_block(&space.pool_slab, pool)
        raise
    Py_INCREF(handle)
    pool.handle = <PyObject *>handle
    pool.choice.summed = pool.policy.family == DRAWN
    pool.policy_type = scan.policy_type
    pool.transport_type = scan.transport_type
    pool.transport_use = scan.transport_use
    space.serials += 1
    pool.serial = space.serials
    set_name_keys(&pool.node, pool.name, pool.name_length)
    insert_tied(&space.pools, &pool.node, &order_of_tails)
    space.pool_count += 1
    return pool


cdef void drop_empty_pool(Space *space, Pool *pool) noexcept:
    cdef const Policy *policy
    cdef void *memory
    if pool.size:
        return
    policy = pool.policy
    memory = pool.memory
    remove(&space.pools, &pool.node)
    space.pool_count -= 1
    Py_DECREF(<object>pool.handle)
    give_block(&space.pool_slab, pool)
    if memory is not NULL:
        release_memory(policy, memory)


# Homes, and the checksum of their PEs (RFC 5353 3.6.2).

cdef Home *find_home(Space *space, uint32_t identifier) noexcept nogil:
    return <Home *>lookup(&space.homes, identifier)


cdef Home *obtain_home(Space *space, uint32_t identifier) except NULL:
    cdef Home *home = find_home(space, identifier)
    if home is NULL:
        home = <Home *>take_block(&space.home_slab)
        memset(home, 0, sizeof(Home))
        home.node.key0 = identifier
        insert(&space.homes, &home.node)
    return home


cdef void drop_empty_home(Space *space, Home *home) noexcept nogil:
    if home.size == 0 and home != space.own:
        remove(&space.homes, &home.node)
        give_block(&space.home_slab, home)


cdef void enter_home(Element *element, Home *home) noexcept nogil:
    element.home = home
    element.owned.key0 = element.pool.serial
    element.owned.key1 = identifier_of(element)
    insert(&home.owned, &element.owned)
    home.size += 1
    home.accumulator += word_sum(element)


cdef void leave_home(Space *space, Element *element) noexcept nogil:
    cdef Home *home = element.home
    remove(&home.owned, &element.owned)
    home.size -= 1
    home.accumulator -= word_sum(element)
    drop_empty_home(space, home)


cdef void move_home(Space *space, Element *element, Home *home) noexcept nogil:
    if home != element.home:
        leave_home(space, element)
        enter_home(element, home)
        element.flags &= <uint8_t>~(COLLECTED | MARKED)
        store_u32(octets_of(element.run) + HOME_OFFSET, <uint32_t>home.node.key0)


# Associations: chains of PEs, hashed by the association.

cdef inline Element **bucket_of(Space *space, uint64_t connection) noexcept nogil:
    return &space.buckets[(connection * 0x9E3779B97F4A7C15u >> 32) & (space.bucket_count - 1)]


cdef void chain(Space *space, Element *element) noexcept nogil:
    cdef Element **bucket = bucket_of(space, element.connection)
    element.last_connected = NULL
    element.next_connected = bucket[0]
    if bucket[0] is not NULL:
        bucket[0].last_connected = element
    bucket[0] = element


cdef void unchain(Space *space, Element *element) noexcept nogil:
    if element.last_connected is not NULL:
        element.last_connected.next_connected = element.next_connected
    else:
        bucket_of(space, element.connection)[0] = element.next_connected
    if element.next_connected is not NULL:
        element.next_connected.last_connected = element.last_connected


cdef void grow_buckets(Space *space) noexcept nogil:
    """Double the number of buckets. Without memory for them the chains stay longer."""
    cdef Element **old = space.buckets
    cdef size_t count = space.bucket_count
    cdef Element **buckets = <Element **>calloc(2 * count, sizeof(Element *))
    cdef Element *at
    cdef Element *following
    cdef size_t i
    if buckets is NULL:
        return
    space.buckets = buckets
    space.bucket_count = 2 * count
    for i in range(count):
        at = old[i]
        while at is not NULL:
            following = at.next_connected
            chain(space, at)
            at = following
    free(old)


cdef void set_connection(Space *space, Element *element, uint64_t connection) noexcept nogil:
    """Bind a PE to an association, 0 for none."""
    if connection == element.connection:
        return
    if element.connection:
        unchain(space, element)
        space.connected -= 1
    element.connection = connection
    if connection:
        if space.connected >= space.bucket_count:
            grow_buckets(space)
        chain(space, element)
        space.connected += 1


cdef size_t connected_to(Space *space, uint64_t connection, Element **found) noexcept nogil:
    """The number of PEs of an association. Writes them to ``found``, unless that is NULL."""
    cdef Element *at = bucket_of(space, connection)[0]
    cdef size_t count = 0
    while at is not NULL:
        if at.connection == connection:
            if found is not NULL:
                found[count] = at
            count += 1
        at = at.next_connected
    return count


# Registration and removal.

cdef int verdict_on(const Pool *pool, const Scan *scan) noexcept nogil:
    """UPDATED if a PE fits its pool (RFC 5352 3.1), or the reason why it does not."""
    if scan.transport_type != pool.transport_type:
        return INCONSISTENT_TRANSPORT
    if scan.transport_use != pool.transport_use:
        return INCONSISTENT_USE
    if scan.policy_type != pool.policy_type:
        return INCONSISTENT_POLICY
    return UPDATED


cdef int check_sizes(bytes handle, const Scan *scan) except -1:
    cdef size_t length = <size_t>PyBytes_GET_SIZE(handle)
    cdef const Policy *policy = policy_of(scan.policy_type)
    if length == 0:
        raise LocalProtocolError("a pool handle has at least one octet")
    if 16 + padded(4 + length) + padded(scan.policy_length) + padded(scan.length) >= NEVER_FITS:
        raise LocalProtocolError("the pool element does not fit into a message with its pool handle")
    if policy.type and scan.policy_length != policy.length:
        raise LocalProtocolError(f"policy 0x{scan.policy_type:08x} has no parameter of {scan.policy_length} octets")
    return 0


cdef int register_element(
    Space *space, bytes handle, const uint8_t *octets, size_t size, uint32_t home, uint64_t connection,
) except -1:
    """Add or update the PE of an encoded parameter: ADDED, UPDATED, or the reason for refusal."""
    cdef Scan scan
    cdef Pool *pool
    cdef Element *element = NULL
    cdef int verdict
    scan_element(octets, size, &scan)
    check_sizes(handle, &scan)
    pool = find_pool(space, <const uint8_t *>PyBytes_AS_STRING(handle), <size_t>PyBytes_GET_SIZE(handle))
    if pool is not NULL:
        verdict = verdict_on(pool, &scan)
        if verdict != UPDATED:
            return verdict
        element = find_in(space, pool, scan.identifier)
    if element is NULL:
        add_element(space, pool, handle, octets, &scan, home, connection)
        return ADDED
    update_element(space, element, octets, &scan, home, connection)
    return UPDATED


cdef Element *place_element(
    Space *space, Pool *pool, Element *element, bytes handle, const uint8_t *octets, const Scan *scan, uint32_t home,
    uint64_t connection,
) except NULL:
    """Add (where ``element`` is NULL) or update a PE that is known to fit its pool, which may be new."""
    if element is NULL:
        return add_element(space, pool, handle, octets, scan, home, connection)
    update_element(space, element, octets, scan, home, connection)
    return element


cdef Element *add_element(
    Space *space, Pool *pool, bytes handle, const uint8_t *octets, const Scan *scan, uint32_t home,
    uint64_t connection,
) except NULL:
    cdef Run *run = obtain_run(space, padded(scan.length))
    cdef Element *element = NULL
    cdef Home *owner = NULL
    run.length = scan.length
    try:
        reserve_slot(&space.index)
        element = <Element *>take_block(&space.elements)
        owner = obtain_home(space, home)
        if pool is NULL:
            pool = open_pool(space, handle, scan)
    except MemoryError:
        release_run(space, run)
        if element is not NULL:
            give_block(&space.elements, element)
        if owner is not NULL:
            drop_empty_home(space, owner)
        raise
    memset(element, 0, sizeof(Element))
    fill_run(run, octets, scan, home)
    space.registrations += 1
    element.node.key0 = scan.identifier
    element.node.key1 = space.registrations
    element.pool = pool
    element.run = run
    aim_choice(pool, element)
    if space.size >= 4 * space.large:                   # with fewer PEs, walking ahead costs as much as it gains
        approach_places(element, owner)
    insert(&pool.elements, &element.node)
    insert(&pool.choice, &element.choice.node)
    enter_slot(&space.index, index_key(pool, scan.identifier), element)
    pool.size += 1
    space.size += 1
    enter_home(element, owner)
    set_connection(space, element, connection)
    return element


cdef void approach_places(const Element *element, const Home *owner) noexcept nogil:
    """Link a PE into its pool, the selection and its home."""
    cdef const Pool *pool = element.pool
    cdef Way ways[3]
    ways[0] = way_to(&pool.elements, element.node.key0, element.node.key1)
    ways[1] = way_to(&pool.choice, element.choice.node.key0, element.choice.node.key1)
    ways[2] = way_to(&owner.owned, pool.serial, identifier_of(element))
    approach(ways, 3)


cdef int update_element(
    Space *space, Element *element, const uint8_t *octets, const Scan *scan, uint32_t home, uint64_t connection,
) except -1:
    cdef Run *run = element.run
    cdef Home *owner = obtain_home(space, home)
    if run.length != scan.length:
        try:
            run = obtain_run(space, padded(scan.length))
        except MemoryError:
            drop_empty_home(space, owner)
            raise
        release_run(space, element.run)
        element.run = run
    fill_run(run, octets, scan, home)
    element.flags &= <uint8_t>~MARKED
    move_home(space, element, owner)
    set_connection(space, element, connection)
    refresh_element(element)
    return 0


cdef void refresh_element(Element *element) noexcept nogil:
    """Reset the counters after a change of the encoded policy (RFC 5356 5.2.2)."""
    element.bad_reports = 0
    revise_choice(element.pool, element)


cdef void remove_element(Space *space, Element *element) noexcept:
    """Remove a PE, and its pool if it was the last one."""
    cdef Pool *pool = element.pool
    disarm(space.wheel, &element.keep_alive)
    disarm(space.wheel, &element.life)
    set_connection(space, element, 0)
    leave_home(space, element)
    leave_choice(pool, element)
    remove(&pool.elements, &element.node)
    leave_slot(&space.index, index_key(pool, identifier_of(element)), element)
    pool.size -= 1
    space.size -= 1
    release_run(space, element.run)
    element.node.key1 = 0
    give_block(&space.elements, element)
    drop_empty_pool(space, pool)

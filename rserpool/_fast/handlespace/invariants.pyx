"""The invariants of a handlespace."""

from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from rserpool._fast.codec.canonical cimport HOME_OFFSET, Scan, scan_element
from rserpool._fast.codec.cursor cimport load_u32, padded
from rserpool._fast.handlespace.policies cimport check_choice
from rserpool._fast.handlespace.rbtree cimport Node, check, first, next_of
from rserpool._fast.handlespace.records cimport (
    DRAWN, TAKEN, Element, Home, Pool, by_choice, by_owner, identifier_of, octets_of,
)
from rserpool._fast.handlespace.checksum cimport word_sum
from rserpool._fast.handlespace.storage cimport find_in


cdef int expect(bint holds, str fault) except -1:
    if not holds:
        raise AssertionError(fault)
    return 0


cdef int check_run(const Pool *pool, Element *element) except -1:
    cdef Scan scan
    scan_element(octets_of(element.run), padded(element.run.length), &scan)
    expect(scan.identifier == identifier_of(element), "a run belongs to another pool element")
    expect(load_u32(octets_of(element.run) + HOME_OFFSET) == <uint32_t>element.home.node.key0, "a run's home is stale")
    expect(scan.length == element.run.length and scan.asap_length == element.run.asap_length, "a run's lengths differ")
    expect(scan.policy_at == element.run.policy_at, "a run's policy is at another offset")
    expect(scan.policy_type == pool.policy_type, "a run's policy is not its pool's")
    expect(scan.transport_type == pool.transport_type, "a run's transport is not its pool's")
    expect(scan.transport_use == pool.transport_use, "a run's transport use is not its pool's")
    expect(not element.flags & TAKEN, "a draw has left its flag set")
    return 0


cdef int check_pool(Space *space, Pool *pool) except -1:
    cdef Node *at = first(&pool.elements)
    cdef Element *element
    cdef uint64_t idle = 0
    expect(pool.size > 0, "a pool is empty")
    expect(pool.name_length == <size_t>PyBytes_GET_SIZE(<object>pool.handle), "a pool's name is not its handle")
    expect(check(&pool.elements) == pool.size, "a pool's index and size differ")
    expect(check(&pool.choice) == pool.size, "a pool's selection and size differ")
    while at is not NULL:
        element = <Element *>at
        expect(element.pool == pool, "a pool element points to another pool")
        expect(element.node.key1 != 0, "a free record is linked")
        expect(find_in(space, pool, identifier_of(element)) == element, "the index points to another element")
        check_run(pool, element)
        check_choice(pool, element)
        if pool.policy.family == DRAWN and element.choice.node.key0:
            idle += 1
        at = next_of(at)
    expect(idle == pool.idle, "a pool's count of weights 0 is wrong")
    at = first(&pool.choice)
    while at is not NULL:
        expect(by_choice(at).pool == pool, "a selection holds another pool's element")
        at = next_of(at)
    return 0


cdef size_t check_home(Space *space, Home *home) except? 0:
    cdef Node *at = first(&home.owned)
    cdef uint32_t accumulator = 0
    expect(check(&home.owned) == home.size, "a home's index and size differ")
    expect(home.size > 0 or home == space.own, "a home owns nothing")
    while at is not NULL:
        expect(by_owner(at).home == home, "a pool element points to another home")
        expect(at.key0 == by_owner(at).pool.serial, "an ownership key is stale")
        expect(<uint32_t>at.key1 == identifier_of(by_owner(at)), "an ownership key is stale")
        accumulator += word_sum(by_owner(at))
        at = next_of(at)
    expect(accumulator == home.accumulator, "a home's checksum is wrong")
    return home.size


cdef size_t check_chains(Space *space) except? 0:
    cdef size_t i
    cdef size_t count = 0
    cdef Element *at
    cdef Element *last
    for i in range(space.bucket_count):
        at = space.buckets[i]
        last = NULL
        while at is not NULL:
            expect(at.connection != 0 and at.last_connected == last, "an association's chain is broken")
            count += 1
            last = at
            at = at.next_connected
    return count


cdef int check_invariants(Space *space) except -1:
    """Raise AssertionError with the first violated invariant."""
    cdef Node *at = first(&space.pools)
    cdef size_t elements = 0
    cdef size_t owned = 0
    expect(check(&space.pools) == space.pool_count, "the index and number of pools differ")
    while at is not NULL:
        check_pool(space, <Pool *>at)
        elements += (<Pool *>at).size
        at = next_of(at)
    expect(elements == space.size, "the number of pool elements is wrong")
    expect(space.index.used == space.size, "the index holds another number of pool elements")
    expect(space.elements.in_use == space.size, "a record of a pool element is lost")
    expect(space.pool_slab.in_use == space.pool_count, "a record of a pool is lost")
    expect(check(&space.homes) == space.home_slab.in_use, "a record of a home is lost")
    at = first(&space.homes)
    while at is not NULL:
        owned += check_home(space, <Home *>at)
        at = next_of(at)
    expect(owned == space.size, "a pool element has no home")
    expect(check_chains(space) == space.connected, "an association's chain misses pool elements")
    return 0

"""Memory fetched ahead; see ahead.pxd.

Of a million elements hardly anything is in a cache: a re-registration waits some dozen times for memory, each time at
an address that the time before has brought. Here those of up to 32 messages go side by side, and wait together. Only
addresses are followed: nothing is changed and nothing decided, and what is misjudged here is just served slower.

Measured, 32 messages at a wake-up instead of one: a re-registration costs 0.33 at 1 000 000 elements and 0.37 at
100 000, an acknowledgement 0.23 and 0.25.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from rserpool._fast.codec.cursor cimport load_u32
from rserpool._fast.handlespace.index cimport Index, place_of
from rserpool._fast.lane.messages cimport MOST_PARAMETERS, Parameter, split
from rserpool._fast.handlespace.policies cimport SORTED
from rserpool._fast.handlespace.rbtree cimport Node, Way, prefetch, side_of
from rserpool._fast.handlespace.records cimport Element, Pool, Run, Space
from rserpool._fast.codec.canonical cimport PE_IDENTIFIER, POOL_ELEMENT, POOL_HANDLE
from rserpool._fast.handlespace.storage cimport find_pool, index_key

cdef enum:
    REGISTRATION = 0x01
    ENDPOINT_KEEP_ALIVE_ACK = 0x08
    LINE = 64              # octets of a cache line
    PROBES = 8             # slots of the index: more in a row are rare


cdef struct Sight:         # what is known of one message so far
    Parameter parameters[MOST_PARAMETERS]
    bint renewal
    Pool *pool
    uint64_t key           # in the index
    Element *element
    Way old                # in the selection, to its place and on to the neighbour on the side to which it moves
    Way new
    const Node *heir       # to the neighbour on the other side
    int side


cdef bint recognize(Space *space, const Message *message, Sight *sight) noexcept nogil:
    """Whether the message is of a kind that touches an element, of a pool that there is."""
    cdef const Parameter *handle = &sight.parameters[0]
    cdef const Parameter *given = &sight.parameters[1]
    sight.renewal = message.size > 0 and message.octets[0] == REGISTRATION
    if not sight.renewal and (message.size == 0 or message.octets[0] != ENDPOINT_KEEP_ALIVE_ACK):
        return False
    if split(message.octets, message.size, sight.parameters) != 2 or handle.type != POOL_HANDLE or given.length < 8:
        return False
    if given.type != (POOL_ELEMENT if sight.renewal else PE_IDENTIFIER):
        return False
    sight.pool = find_pool(space, handle.octets + 4, handle.length - 4)
    if sight.pool is NULL:
        return False
    sight.key = index_key(sight.pool, load_u32(given.octets + 4))
    return True


cdef void seek_element(const Index *index, Sight *sight) noexcept nogil:
    cdef size_t at = place_of(index, sight.key)
    cdef int _i
    sight.element = NULL
    for _i in range(PROBES):
        if index.slots[at].key == sight.key:
            sight.element = <Element *>index.slots[at].element
            break
        at = at + 1 & index.mask
    if sight.element is not NULL:
        for _i in range(<int>sizeof(Element) // LINE):
            prefetch(<const char *>sight.element + _i * LINE)


cdef void seek_rest(const Sight *sight) noexcept nogil:
    """The element's own octets, and the timers beside its own."""
    prefetch(sight.element.run)
    prefetch(<const char *>sight.element.run + LINE)
    prefetch(sight.element.keep_alive.next)
    prefetch(sight.element.keep_alive.link)


cdef bint set_out(Sight *sight) noexcept nogil:
    """Begin the ways to the element's place in the selection and to the one that it will have. Whether it moves."""
    cdef Element *element = sight.element
    cdef const Pool *pool = sight.pool
    cdef const Run *run = element.run
    cdef size_t length = sight.parameters[1].length
    if not sight.renewal or pool.policy.family != SORTED or pool.policy.rule is not NULL or element.pool != pool:
        return False
    if length != run.asap_length and length != run.length:
        return False
    sight.old.key0 = element.choice.node.key0
    sight.old.key1 = sight.new.key1 = element.choice.node.key1
    sight.new.key0 = pool.policy.merit(sight.parameters[1].octets + run.policy_at + 8, 0)
    sight.old.at = sight.new.at = pool.choice.root
    sight.heir = NULL
    sight.side = sight.new.key0 > sight.old.key0
    return sight.new.key0 != sight.old.key0


cdef inline const Node *lower(const Node *at, int side) noexcept nogil:
    """One level down; the other child, too, is looked at where the tree is balanced anew."""
    prefetch(at.child[0])
    prefetch(at.child[1])
    return at.child[side]


cdef bint go_down(Sight *sight) noexcept nogil:
    """A level on each way; whether there is one left."""
    if sight.new.at is not NULL:
        sight.new.at = lower(sight.new.at, side_of(&sight.new))
    if sight.heir is not NULL:
        sight.heir = lower(sight.heir, sight.side)
    if sight.old.at == &sight.element.choice.node:
        sight.heir = sight.old.at.child[1 - sight.side]
        sight.old.at = lower(sight.old.at, sight.side)
    elif sight.old.at is not NULL:
        sight.old.at = lower(sight.old.at, side_of(&sight.old))
    return sight.new.at is not NULL or sight.old.at is not NULL or sight.heir is not NULL


cdef void descend(Sight **sights, int count) noexcept nogil:
    cdef int i, left
    while count:
        left = 0
        for i in range(count):
            if go_down(sights[i]):
                sights[left] = sights[i]
                left += 1
        count = left


cdef void look_ahead(Space *space, const Message *messages, int count) noexcept nogil:
    """Fetch what those messages touch, of which there are MOST_AHEAD at most. For a space that is_large()."""
    cdef Sight sights[MOST_AHEAD]
    cdef Sight *moving[MOST_AHEAD]
    cdef int i, known = 0, found = 0, moved = 0
    if count < 2:
        return
    for i in range(count):
        if recognize(space, &messages[i], &sights[known]):
            prefetch(&space.index.slots[place_of(&space.index, sights[known].key)])
            known += 1
    for i in range(known):
        seek_element(&space.index, &sights[i])
        if sights[i].element is not NULL:
            moving[found] = &sights[i]
            found += 1
    for i in range(found):
        seek_rest(moving[i])
    for i in range(found):
        if set_out(moving[i]):
            moving[moved] = moving[i]
            moved += 1
    descend(moving, moved)

"""The selection policies; see policies.pxd."""

cimport cython
from libc.limits cimport ULLONG_MAX as IDLE_KEY
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport realloc

from rserpool._fast.base.policy_types cimport (
    BUILT_IN_POLICIES, ROUND_ROBIN, WEIGHTED_ROUND_ROBIN, RANDOM, WEIGHTED_RANDOM, PRIORITY, LEAST_USED,
    LEAST_USED_WITH_DEGRADATION, PRIORITY_LEAST_USED, RANDOMIZED_LEAST_USED, RANDOMIZED_PRIORITY_LEAST_USED,
    RANDOMIZED_LEAST_USED_WITH_DEGRADATION, PRIORITY_LEAST_USED_WITH_DEGRADATION,
    RANDOMIZED_PRIORITY_LEAST_USED_WITH_DEGRADATION, WEIGHTED_RANDOM_WITH_DPF, LEAST_USED_WITH_DPF,
    LEAST_USED_WITH_DEGRADATION_AND_DPF, PRIORITY_LEAST_USED_WITH_DPF, PRIORITY_LEAST_USED_WITH_DEGRADATION_AND_DPF,
    policy_values,
)
from rserpool._fast.base.rng cimport Rng, random_below, uint128_t
from rserpool._fast.codec.cursor cimport load_u32
from rserpool._fast.handlespace.custom_policies cimport choose_custom, custom_policy
from rserpool._fast.handlespace.rbtree cimport (
    Node, draw, first, insert, move, next_of, remove, set_value, total,
)
from rserpool._fast.handlespace.records cimport (
    DRAWN, SORTED, TAKEN, TURNS, by_choice, identifier_of, merit_of, policy_data,
)

cdef enum:
    HIGHEST = 0xFFFFFFFFu
    LAST_ROUND = 0xFFFF


cdef inline uint64_t plus(uint64_t left, uint64_t right) noexcept nogil:
    """The sum, limited to 2**64-1."""
    cdef uint64_t result = left + right
    return result if result >= left else 0xFFFFFFFFFFFFFFFFu


cdef inline uint64_t load(const uint8_t *data) noexcept nogil:
    return load_u32(data)


cdef inline uint64_t degradation(const uint8_t *data) noexcept nogil:
    return load_u32(data + 4)


cdef inline uint64_t detour(const uint8_t *data) noexcept nogil:
    """Distance penalty: distance penalty factor times distance."""
    return <uint64_t>load_u32(data) * load_u32(data + 4)


cdef inline uint64_t unload(uint64_t used) noexcept nogil:
    """The unused part of 100 %, at least 1."""
    return HIGHEST - used if used < HIGHEST else 1


cdef uint64_t round_robin(const uint8_t *data, uint32_t counter) noexcept nogil:
    return 0


cdef uint64_t weight(const uint8_t *data, uint32_t counter) noexcept nogil:
    """The merit of Weighted Round Robin and Weighted Random."""
    return load_u32(data)


cdef uint64_t random(const uint8_t *data, uint32_t counter) noexcept nogil:
    return 1


cdef uint64_t priority(const uint8_t *data, uint32_t counter) noexcept nogil:
    return HIGHEST - <uint64_t>load_u32(data)


cdef uint64_t least_used(const uint8_t *data, uint32_t counter) noexcept nogil:
    return load(data)


cdef uint64_t least_used_degradation(const uint8_t *data, uint32_t counter) noexcept nogil:
    return plus(load(data), counter * degradation(data))


cdef uint64_t priority_least_used(const uint8_t *data, uint32_t counter) noexcept nogil:
    return load(data) + degradation(data)


cdef uint64_t randomized_least_used(const uint8_t *data, uint32_t counter) noexcept nogil:
    return HIGHEST - load(data)


cdef uint64_t randomized_priority_least_used(const uint8_t *data, uint32_t counter) noexcept nogil:
    return unload(load(data) + degradation(data))


cdef uint64_t randomized_least_used_degradation(const uint8_t *data, uint32_t counter) noexcept nogil:
    return unload(least_used_degradation(data, counter))


cdef uint64_t priority_least_used_degradation(const uint8_t *data, uint32_t counter) noexcept nogil:
    return plus(least_used_degradation(data, counter), degradation(data))


cdef uint64_t randomized_priority_least_used_degradation(const uint8_t *data, uint32_t counter) noexcept nogil:
    return unload(priority_least_used_degradation(data, counter))


cdef uint64_t weighted_random_dpf(const uint8_t *data, uint32_t counter) noexcept nogil:
    """The weight minus its fraction distance * factor, rounded; a weight above 0 stays above 0."""
    cdef uint64_t full = load_u32(data)
    cdef uint128_t highest = HIGHEST
    cdef uint128_t lost = (<uint128_t>full * detour(data + 4) + highest // 2) // highest
    if full == 0:
        return 0
    return full - <uint64_t>lost if lost < full else 1


cdef uint64_t least_used_dpf(const uint8_t *data, uint32_t counter) noexcept nogil:
    return plus(load(data), detour(data + 4))


cdef uint64_t least_used_degradation_dpf(const uint8_t *data, uint32_t counter) noexcept nogil:
    return plus(least_used_degradation(data, counter), detour(data + 8))


cdef uint64_t priority_least_used_dpf(const uint8_t *data, uint32_t counter) noexcept nogil:
    return plus(priority_least_used(data, counter), detour(data + 8))


cdef uint64_t priority_least_used_degradation_dpf(const uint8_t *data, uint32_t counter) noexcept nogil:
    return plus(priority_least_used_degradation(data, counter), detour(data + 8))


cdef Policy row(uint32_t type, int family, bint counts, merit_of merit) noexcept nogil:
    cdef Policy policy
    policy.type = type
    policy.length = <unsigned short>(8 + 4 * max(policy_values(type), 0))
    policy.family = <uint8_t>family
    policy.counts = counts
    policy.merit = merit
    policy.custom = NULL
    return policy


# Policy type, family, true if the counter of the head of an answer grows, merit.
cdef Policy[BUILT_IN_POLICIES] TABLE = [
    row(ROUND_ROBIN, SORTED, False, round_robin),
    row(WEIGHTED_ROUND_ROBIN, TURNS, False, weight),
    row(RANDOM, DRAWN, False, random),
    row(WEIGHTED_RANDOM, DRAWN, False, weight),
    row(PRIORITY, SORTED, False, priority),
    row(LEAST_USED, SORTED, False, least_used),
    row(LEAST_USED_WITH_DEGRADATION, SORTED, True, least_used_degradation),
    row(PRIORITY_LEAST_USED, SORTED, False, priority_least_used),
    row(RANDOMIZED_LEAST_USED, DRAWN, False, randomized_least_used),
    row(RANDOMIZED_PRIORITY_LEAST_USED, DRAWN, False, randomized_priority_least_used),
    row(RANDOMIZED_LEAST_USED_WITH_DEGRADATION, DRAWN, True, randomized_least_used_degradation),
    row(PRIORITY_LEAST_USED_WITH_DEGRADATION, SORTED, True, priority_least_used_degradation),
    row(RANDOMIZED_PRIORITY_LEAST_USED_WITH_DEGRADATION, DRAWN, True, randomized_priority_least_used_degradation),
    row(WEIGHTED_RANDOM_WITH_DPF, DRAWN, False, weighted_random_dpf),
    row(LEAST_USED_WITH_DPF, SORTED, False, least_used_dpf),
    row(LEAST_USED_WITH_DEGRADATION_AND_DPF, SORTED, True, least_used_degradation_dpf),
    row(PRIORITY_LEAST_USED_WITH_DPF, SORTED, False, priority_least_used_dpf),
    row(PRIORITY_LEAST_USED_WITH_DEGRADATION_AND_DPF, SORTED, True, priority_least_used_degradation_dpf),
]
cdef Policy UNKNOWN = row(0, SORTED, False, round_robin)


cdef const Policy *policy_of(uint32_t type) noexcept nogil:
    """The table's row or the custom policy; Round Robin of parameter length 8 and type 0 for an unknown type."""
    cdef const Policy *custom
    cdef int i
    for i in range(BUILT_IN_POLICIES):
        if TABLE[i].type == type:
            return &TABLE[i]
    custom = custom_policy(type)
    return custom if custom is not NULL else &UNKNOWN


cdef inline uint64_t merit(const Pool *pool, const Element *element) noexcept nogil:
    return pool.policy.merit(policy_data(element), element.counter)


cdef inline uint64_t next_stamp(Pool *pool) noexcept nogil:
    pool.stamps += 1
    return pool.stamps


# Weighted round robin. A PE of weight w has its turns c = 0..w-1 of each round at the times (2c + 1) / 2w, so that in
# every round each PE has exactly its weight of turns, evenly spread. Turns at equal times have the order of the PE
# identifiers in every round. The selection key is (round: 32 bits, time: 64 bits, PE identifier: 32 bits), the time in
# units of 2**-64.

@cython.cdivision(True)
cdef inline uint64_t turn_time(uint64_t turn, uint64_t weight) noexcept nogil:
    cdef uint64_t upper = (2 * turn + 1) << 31
    return (upper // weight) << 32 | ((upper % weight) << 32) // weight


cdef inline uint64_t upper_key(uint64_t turn_round, uint64_t time) noexcept nogil:
    return turn_round << 32 | time >> 32


cdef inline uint64_t lower_key(uint64_t time, const Element *element) noexcept nogil:
    return time << 32 | identifier_of(element)


cdef void join_turns(Pool *pool, Element *element, uint64_t weight) noexcept nogil:
    """Set the key to the first turn that is not before that of the present head."""
    cdef const Node *head = first(&pool.choice)
    cdef uint64_t turn_round = 0
    cdef uint64_t time = 0
    cdef uint64_t turn = 0
    if weight == 0:
        element.choice.node.key0 = IDLE_KEY
        element.choice.node.key1 = next_stamp(pool)
        return
    if head is not NULL and head.key0 != IDLE_KEY:
        turn_round = head.key0 >> 32
        time = head.key0 << 32 | head.key1 >> 32
        turn = <uint64_t>((<uint128_t>time * weight) >> 64)
        while turn < weight and turn_time(turn, weight) < time:
            turn += 1
        if turn == weight:
            turn = 0
            turn_round += 1
    element.counter = <uint32_t>turn
    time = turn_time(turn, weight)
    element.choice.node.key0 = upper_key(turn_round, time)
    element.choice.node.key1 = lower_key(time, element)


cdef void wind_back(Pool *pool, uint64_t rounds) noexcept nogil:
    """Subtract ``rounds`` from each round number; no PE is in an earlier round."""
    cdef Node *at = first(&pool.choice)
    while at is not NULL and at.key0 != IDLE_KEY:
        at.key0 -= rounds << 32
        at = next_of(at)


cdef void end_turn(Pool *pool, Element *element) noexcept nogil:
    cdef uint64_t weight = merit(pool, element)
    cdef uint64_t turn_round = element.choice.node.key0 >> 32
    cdef uint64_t time
    if weight == 0:
        move(&pool.choice, &element.choice.node, IDLE_KEY, next_stamp(pool))
        return
    element.counter += 1
    if element.counter == weight:
        element.counter = 0
        if turn_round == LAST_ROUND:
            wind_back(pool, turn_round)
            turn_round = 0
        turn_round += 1
    time = turn_time(element.counter, weight)
    move(&pool.choice, &element.choice.node, upper_key(turn_round, time), lower_key(time, element))


cdef void set_weight(Pool *pool, Element *element, uint64_t weight) noexcept nogil:
    """Sort a PE of weight 0 after the others in the drawing order, with a share of 1 in case all weights are 0."""
    element.choice.node.key0 = weight == 0
    element.choice.node.key1 = identifier_of(element)
    element.choice.value = weight if weight else 1
    pool.idle += weight == 0


cdef void aim_choice(Pool *pool, Element *element) noexcept nogil:
    """Set the key of a PE's place in the selection; its policy values are in its run."""
    element.counter = 0
    if pool.policy.family == SORTED:
        element.choice.node.key0 = merit(pool, element)
        element.choice.node.key1 = next_stamp(pool)
    elif pool.policy.family == TURNS:
        join_turns(pool, element, merit(pool, element))
    else:
        set_weight(pool, element, merit(pool, element))


cdef void leave_choice(Pool *pool, Element *element) noexcept nogil:
    remove(&pool.choice, &element.choice.node)
    if pool.policy.family == DRAWN:
        pool.idle -= element.choice.node.key0


cdef void reweigh(Pool *pool, Element *element, uint64_t weight) noexcept nogil:
    if (weight == 0) == (element.choice.node.key0 != 0):
        if weight != 0 and weight != element.choice.value:
            set_value(&element.choice.node, weight)
        return
    leave_choice(pool, element)
    set_weight(pool, element, weight)
    insert(&pool.choice, &element.choice.node)


cdef bint same_turns(const Element *element, uint64_t weight) noexcept nogil:
    """True if the key is valid for a PE of this weight."""
    cdef uint64_t time
    if weight == 0 or element.choice.node.key0 == IDLE_KEY:
        return weight == 0 and element.choice.node.key0 == IDLE_KEY
    if element.counter >= weight:
        return False
    time = turn_time(element.counter, weight)
    return time == (element.choice.node.key0 << 32 | element.choice.node.key1 >> 32)


cdef void revise_choice(Pool *pool, Element *element) noexcept nogil:
    """Revise the place of a re-registered PE: its degradation counter is 0, its policy values may have changed."""
    if pool.policy.family == TURNS:
        if not same_turns(element, merit(pool, element)):
            remove(&pool.choice, &element.choice.node)
            aim_choice(pool, element)
            insert(&pool.choice, &element.choice.node)
        return
    element.counter = 0
    if pool.policy.family == SORTED:
        move(&pool.choice, &element.choice.node, merit(pool, element), element.choice.node.key1)
    else:
        reweigh(pool, element, merit(pool, element))


cdef inline void use_head(Pool *pool, Element *element) noexcept nogil:
    if pool.policy.family == TURNS:
        end_turn(pool, element)
        return
    if pool.policy.counts and element.counter < HIGHEST:
        element.counter += 1
    if pool.policy.family == SORTED:
        move(&pool.choice, &element.choice.node, merit(pool, element), next_stamp(pool))
    elif pool.policy.counts:
        reweigh(pool, element, merit(pool, element))


cdef size_t take_first(Space *space, Pool *pool, size_t wanted) noexcept nogil:
    cdef Node *at = first(&pool.choice)
    cdef bint serving = pool.policy.family == TURNS and at.key0 != IDLE_KEY
    cdef size_t count = 0
    while count < wanted and at is not NULL:
        if serving and at.key0 == IDLE_KEY:
            break
        space.chosen[count] = by_choice(at)
        count += 1
        at = next_of(at)
    return count


cdef uint64_t withhold(Space *space, size_t i) noexcept nogil:
    """Take the share of a chosen PE out of the sums."""
    cdef Element *element = space.chosen[i]
    space.shares[i] = element.choice.value
    set_value(&element.choice.node, 0)
    return space.shares[i]


cdef size_t draw_some(Space *space, Pool *pool, size_t wanted) noexcept nogil:
    """Draw PEs one after the other without replacement.

    If a draw hits a PE that is already taken, the draw is repeated among the rest. This needs sums without the taken
    PEs: the sums are changed at the first such collision only, and restored at the end.
    """
    cdef uint64_t whole = total(&pool.choice)
    cdef bint exact = False
    cdef size_t count = 0
    cdef size_t i
    cdef Element *element
    if pool.idle < pool.size:
        whole -= pool.idle
        wanted = min(wanted, pool.size - pool.idle)
    while count < wanted:
        element = by_choice(draw(&pool.choice, random_below(&space.rng, whole)))
        if element.flags & TAKEN:
            exact = True
            for i in range(count):
                whole -= withhold(space, i)
            continue
        element.flags |= TAKEN
        space.chosen[count] = element
        if exact:
            whole -= withhold(space, count)
        count += 1
    for i in range(count):
        element = space.chosen[i]
        element.flags &= <uint8_t>~TAKEN
        if exact:
            set_value(&element.choice.node, space.shares[i])
    return count


cdef int make_room(Space *space, size_t items) except -1:
    cdef void *room
    if items <= space.chosen_room:
        return 0
    room = realloc(space.chosen, items * sizeof(Element *))
    if room is NULL:
        raise MemoryError
    space.chosen = <Element **>room
    room = realloc(space.shares, items * sizeof(uint64_t))
    if room is NULL:
        raise MemoryError
    space.shares = <uint64_t *>room
    space.chosen_room = items
    return 0


cdef void use_more(Space *space, Pool *pool, size_t count) noexcept nogil:
    cdef size_t i
    for i in range(1, count):
        use_head(pool, space.chosen[i])


cdef size_t choose(Space *space, Pool *pool, size_t items, bint advance) except? 0:
    """Put at most ``items`` PEs (0: all), each once, best first, into space.chosen; return their number, at least 1.

    With ``advance`` the first space.used_items PEs (0: one) count as used. Without it nothing changes, not even the
    state of the random generator.
    """
    cdef size_t wanted = min(items, pool.size) if items else pool.size
    cdef size_t count = 0
    cdef Rng saved
    make_room(space, wanted)
    if pool.policy.family == DRAWN:
        saved = space.rng
        count = draw_some(space, pool, wanted)
        if not advance:
            space.rng = saved
    else:
        if pool.memory is not NULL:
            count = choose_custom(space, pool, wanted, advance)
        if count == 0:
            count = take_first(space, pool, wanted)
    if advance:
        use_head(pool, space.chosen[0])
        if space.used_items > 1:
            use_more(space, pool, min(count, <size_t>space.used_items))
    return count


cdef int check_choice(Pool *pool, Element *element) except -1:
    """AssertionError unless the PE's place in the selection follows from its policy values and counter."""
    cdef uint64_t merits = merit(pool, element)
    cdef const Node *node = &element.choice.node
    cdef bint good
    if pool.policy.family == SORTED:
        good = node.key0 == merits and node.key1 <= pool.stamps
    elif pool.policy.family == TURNS:
        good = same_turns(element, merits) and (merits == 0 or <uint32_t>node.key1 == identifier_of(element))
    else:
        good = node.key0 == (merits == 0) and element.choice.value == (merits if merits else 1)
    if not good:
        raise AssertionError("a pool element's selection key is not that of its policy values")
    return 0

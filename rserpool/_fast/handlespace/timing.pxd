"""The two timers of a pool element: the next keep-alive, and the end of the registration."""

from libc.stdint cimport uint32_t, uint64_t

from rserpool._fast.base.rng cimport random_below
from rserpool._fast.base.wheel cimport arm, disarm
from rserpool._fast.codec.canonical cimport LIFE_OFFSET
from rserpool._fast.codec.cursor cimport load_u32
from rserpool._fast.handlespace.records cimport KEEP_ALIVE_TAG, LIFE_TAG, Element, Space, octets_of


cdef inline uint64_t jittered(Space *space, uint64_t now) noexcept nogil:
    """``now`` plus the keep-alive interval, jittered by +-50 %."""
    cdef uint64_t interval = space.keep_alive_interval
    return now + interval - interval // 2 + random_below(&space.rng, interval // 2 * 2 + 1)


cdef inline void restart_keep_alive(Space *space, Element *element, uint64_t now) noexcept nogil:
    """Send the element's next keep-alive a jittered interval from now."""
    arm(space.wheel, &element.keep_alive, jittered(space, now), KEEP_ALIVE_TAG)


cdef inline void restart_life(Space *space, Element *element, uint64_t now) noexcept nogil:
    """Begin the life of the registration now; the registration expires when it is over. A negative life never ends
    (RFC 5354 3.10)."""
    cdef uint32_t life = load_u32(octets_of(element.run) + LIFE_OFFSET)
    if life & 0x80000000u:
        disarm(space.wheel, &element.life)
    else:
        arm(space.wheel, &element.life, now + min(life * space.life_unit, space.life_limit), LIFE_TAG)

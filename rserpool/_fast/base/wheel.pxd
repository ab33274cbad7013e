"""A hierarchical timer wheel in integer microseconds: 7 levels of 1024 slots, so any u64 deadline has its slot.

A level is a ring of slots from the time's own on; a slot of the next level is as long as the whole ring. A timer
stands on the lowest level whose ring reaches its deadline, never in the slot of the time itself, and comes down when
its slot's time comes. A timer that was put off may stand in an earlier slot than its own.

The third level has slots of 1.05 s for the next 18 minutes: keep-alive timers come down a second's worth at a time.
With 64 slots a level they came down 17 seconds' worth at a time, which for a million stopped everything for 0.3 s.
"""

from cpython.ref cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

cdef enum:
    LEVELS = 7
    DIGIT_BITS = 10
    SLOTS = 1024
    WORDS = 16

cdef enum:
    ENTRY_TAG = 0          # a Python Entry; the tags of embedded timers are 1, 2 and 3


cdef struct Alarm:
    Alarm *next
    Alarm **link           # the pointer that points here; NULL while the timer is not armed
    uint64_t deadline
    uint64_t order         # arming number << 2 | tag


cdef struct WheelCore:
    uint64_t now
    uint64_t told          # what next_expiry has said last; 0 before
    bint early             # since then a timer was armed before that
    uint64_t armings
    size_t armed
    Alarm *due
    uint64_t inhabited                 # a bit per level
    uint64_t occupied[LEVELS][WORDS]   # a bit per slot; both may still be set after the last timer was disarmed
    Alarm *slots[LEVELS][SLOTS]


cdef void arm(WheelCore *wheel, Alarm *timer, uint64_t deadline, unsigned int tag) noexcept nogil
cdef Alarm **take_due(WheelCore *wheel, uint64_t now, size_t *count) except? NULL


cdef inline void disarm(WheelCore *wheel, Alarm *timer) noexcept nogil:
    if timer.link is NULL:
        return
    timer.link[0] = timer.next
    if timer.next is not NULL:
        timer.next.link = timer.link
    timer.link = NULL
    wheel.armed -= 1


cdef struct EntryAlarm:
    Alarm timer            # first, so that its pointer is an EntryAlarm pointer
    PyObject *entry        # borrowed: the wheel's set holds it while it is armed


cdef class Wheel:
    cdef WheelCore core
    cdef bint shared       # a Handlespace has embedded timers here
    cdef set entries

    cdef object earliest(self)


cdef class Entry:
    cdef EntryAlarm own
    cdef Wheel wheel
    cdef readonly object payload

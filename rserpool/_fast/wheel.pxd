"""A hierarchical timer wheel in integer microseconds: 11 levels of 64 slots, so any u64 deadline has its slot.

A timer stands on the level of the highest 6-bit digit in which its deadline differs from the wheel's time, so each
level lies before the next one, and nothing is due before the first occupied slot of the lowest occupied level. A timer
that was put off may stand in an earlier slot than its own.
"""

from cpython.ref cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

cdef enum:
    LEVELS = 11
    DIGIT_BITS = 6
    SLOTS = 64

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
    uint64_t occupied[LEVELS]          # a bit per slot; may still be set after the last timer was disarmed
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

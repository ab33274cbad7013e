"""A hierarchical timer wheel in integer microseconds: 7 levels of 1024 slots, so any u64 deadline has its slot.

A level is a ring of slots that starts at the current time; one slot of the next level covers the whole ring. A timer is
in the lowest level whose ring reaches its deadline, never in the slot of the current time. When time reaches its slot,
the timer moves to a lower level. A postponed timer may remain in a slot before the slot of its deadline.

The third level has slots of 1.05 s for the next 18 minutes, so only the keep-alive timers of about one second move down
together. With 64 slots per level, the timers of 17 seconds moved together, and a million timers blocked the loop for
0.3 s.
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
    ENTRY_TAG = 0          # a Python Entry; timers embedded in a Handlespace have the tags 1, 2 and 3


cdef struct Alarm:
    Alarm *next
    Alarm **link           # the pointer that points here; NULL while the timer is not armed
    uint64_t deadline
    uint64_t order         # arming number << 2 | tag


cdef struct WheelCore:
    uint64_t now
    uint64_t announced     # last result of next_expiry; 0 before the first
    bint early             # a timer was armed for a time before ``announced``
    uint64_t armings
    size_t armed
    Alarm *due
    uint64_t inhabited                 # a bit per level
    uint64_t occupied[LEVELS][WORDS]   # a bit per slot; both kinds of bits may outlast the last timer
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
    Alarm timer            # first, so that an Alarm pointer is an EntryAlarm pointer
    PyObject *entry        # borrowed; while armed, the wheel's set holds the reference


cdef class Wheel:
    cdef WheelCore core
    cdef bint shared       # a Handlespace arms its embedded timers in this wheel
    cdef set entries

    cdef object earliest(self)


cdef class Entry:
    cdef EntryAlarm own
    cdef Wheel wheel
    cdef readonly object payload

"""The timer wheel; see wheel.pxd."""

cimport cython
from cpython.ref cimport PyObject
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memset

from rserpool._fast.base.args cimport as_u64

from rserpool.errors import LocalProtocolError

cdef extern from *:
    int first_bit "__builtin_ctzll"(unsigned long long bits) noexcept nogil
    int leading_zeros "__builtin_clzll"(unsigned long long bits) noexcept nogil

cdef enum:
    EXACT_WALK = 16        # timers of one slot that next_expiry examines before it returns the slot's start


cdef inline void hang(Alarm **head, Alarm *timer) noexcept nogil:
    timer.next = head[0]
    timer.link = head
    if head[0] is not NULL:
        head[0].link = &timer.next
    head[0] = timer


@cython.cdivision(True)
cdef inline void place(WheelCore *wheel, Alarm *timer) noexcept nogil:
    cdef int level, slot
    if timer.deadline <= wheel.now:
        hang(&wheel.due, timer)
        return
    level = (63 - leading_zeros(timer.deadline - wheel.now)) // <int>DIGIT_BITS
    if (timer.deadline >> (DIGIT_BITS * level)) - (wheel.now >> (DIGIT_BITS * level)) == SLOTS:
        level += 1
    slot = <int>((timer.deadline >> (DIGIT_BITS * level)) & (SLOTS - 1))
    wheel.inhabited |= <uint64_t>1 << level
    wheel.occupied[level][slot >> 6] |= <uint64_t>1 << (slot & 63)
    hang(&wheel.slots[level][slot], timer)


cdef void arm(WheelCore *wheel, Alarm *timer, uint64_t deadline, unsigned int tag) noexcept nogil:
    """Arm or re-arm a timer. A deadline in the past is due at the next take_due.

    A postponed timer remains in its slot and moves on when time reaches the slot. So no other timer is touched, and an
    acknowledgement at a million elements costs 20 % less.
    """
    timer.order = (wheel.armings << 2) | tag
    wheel.armings += 1
    if timer.link is not NULL and wheel.now < timer.deadline <= deadline:
        timer.deadline = deadline
        return
    disarm(wheel, timer)
    timer.deadline = deadline
    if deadline < wheel.announced:
        wheel.early = True
    wheel.armed += 1
    place(wheel, timer)


cdef int seek(WheelCore *wheel, int level, uint64_t base, int offset, int last) noexcept nogil:
    """Find the first occupied slot of a level from ``base + offset`` to ``base + last``. Return its offset, or more
    than ``last`` if all are free."""
    cdef uint64_t bits
    cdef int slot
    while offset <= last:
        slot = <int>((base + <uint64_t>offset) & (SLOTS - 1))
        bits = wheel.occupied[level][slot >> 6] >> (slot & 63)
        if bits == 0:
            offset += 64 - (slot & 63)
            continue
        offset += first_bit(bits)
        slot += first_bit(bits)
        if wheel.slots[level][slot] is not NULL:
            return offset
        wheel.occupied[level][slot >> 6] &= ~(<uint64_t>1 << (slot & 63))
    return offset


cdef void empty(WheelCore *wheel, Alarm **slot) noexcept nogil:
    """Move the timers of a slot to where they belong now."""
    cdef Alarm *timer = slot[0]
    cdef Alarm *following
    slot[0] = NULL
    while timer is not NULL:
        following = timer.next
        place(wheel, timer)
        timer = following


cdef void advance(WheelCore *wheel, uint64_t now) noexcept nogil:
    """Advance the time, and move the timers that are due into wheel.due. A time in the past changes nothing."""
    cdef uint64_t before = wheel.now
    cdef uint64_t base, passed
    cdef int level, last, offset
    if now <= before:
        return
    wheel.now = now
    for level in range(LEVELS):
        base = before >> (DIGIT_BITS * level)
        passed = (now >> (DIGIT_BITS * level)) - base
        if passed == 0:
            return
        if not wheel.inhabited >> level & 1:
            continue
        last = <int>min(passed, <uint64_t>(SLOTS - 1))
        offset = seek(wheel, level, base, 1, last)
        while offset <= last:
            empty(wheel, &wheel.slots[level][(base + <uint64_t>offset) & (SLOTS - 1)])
            offset = seek(wheel, level, base, offset + 1, last)


cdef int earlier(const void *left, const void *right) noexcept nogil:
    cdef const Alarm *a = (<const Alarm *const *>left)[0]
    cdef const Alarm *b = (<const Alarm *const *>right)[0]
    if a.deadline != b.deadline:
        return -1 if a.deadline < b.deadline else 1
    return -1 if a.order < b.order else 1


cdef Alarm **take_due(WheelCore *wheel, uint64_t now, size_t *count) except? NULL:
    """Disarm the timers that are due and return them by deadline, then by arming; NULL if there are none. The caller
    frees the array."""
    cdef Alarm **found
    cdef Alarm *timer
    cdef size_t due = 0
    advance(wheel, now)
    timer = wheel.due
    while timer is not NULL:
        due += 1
        timer = timer.next
    count[0] = due
    if due == 0:
        return NULL
    found = <Alarm **>malloc(due * sizeof(Alarm *))
    if found is NULL:
        raise MemoryError
    for i in range(due):
        found[i] = wheel.due
        disarm(wheel, wheel.due)
    if due > 1:
        qsort(found, due, sizeof(Alarm *), &earlier)
    return found


@cython.no_gc_clear
@cython.freelist(64)
cdef class Entry:
    """One deadline of a Wheel; Wheel.insert creates it."""

    def __dealloc__(self):
        if self.wheel is not None:
            disarm(&self.wheel.core, &self.own.timer)

    @property
    def deadline(self) -> int:
        """The time at which it is due, in microseconds."""
        return self.own.timer.deadline

    @property
    def armed(self) -> bool:
        """False after the entry fired or was cancelled."""
        return self.own.timer.link is not NULL


cdef class Wheel:
    """A set of deadlines, in integer microseconds of any clock that starts at ``now``.

    No entry fires before its deadline. insert and cancel are O(1), and so is a jump of the clock by days. Times are
    0..2**64-1: LocalProtocolError for others, TypeError for values that are not integers.
    """

    def __cinit__(self, now: object):
        memset(&self.core, 0, sizeof(WheelCore))
        self.core.now = as_u64(now, "now")
        self.entries = set()

    def __len__(self) -> int:
        """The number of armed timers, including those of a Handlespace."""
        return <Py_ssize_t>self.core.armed

    @property
    def now(self) -> int:
        """The latest time that the wheel was advanced to."""
        return self.core.now

    def insert(self, deadline: object, payload: object) -> Entry:
        """Arm a new entry. An entry whose deadline has passed fires at the next expire."""
        cdef uint64_t when = as_u64(deadline, "deadline")
        cdef Entry entry = Entry.__new__(Entry)
        entry.wheel = self
        entry.payload = payload
        entry.own.entry = <PyObject *>entry
        self.entries.add(entry)
        arm(&self.core, &entry.own.timer, when, ENTRY_TAG)
        return entry

    def cancel(self, Entry entry not None) -> bool:
        """Disarm an entry. False if it has fired or was cancelled before."""
        if entry.wheel is not self:
            raise LocalProtocolError("the entry belongs to another wheel")
        if entry.own.timer.link is NULL:
            return False
        disarm(&self.core, &entry.own.timer)
        self.entries.discard(entry)
        return True

    def next_expiry(self) -> object:
        """A time before which no timer is due; None if no timer is armed.

        This is the earliest deadline, or slightly earlier if many timers are close or the first ones were postponed. A
        caller that sleeps until then, calls expire and asks again never fires late and rarely wakes up without a timer
        to fire.
        """
        expiry = self.earliest()
        self.core.announced = expiry if expiry is not None else 0xFFFFFFFFFFFFFFFFu
        self.core.early = False
        return expiry

    cdef object earliest(self):
        cdef uint64_t least = 0xFFFFFFFFFFFFFFFFu
        cdef uint64_t best = 0, others = 0xFFFFFFFFFFFFFFFFu
        cdef uint64_t base, start, end = 0
        cdef Alarm **slot = NULL
        cdef Alarm *timer
        cdef int level, offset, walked = 0
        if self.core.due is not NULL:
            return self.core.now
        for level in range(LEVELS):
            if not self.core.inhabited >> level & 1:
                continue
            base = self.core.now >> (DIGIT_BITS * level)
            offset = seek(&self.core, level, base, 1, SLOTS - 1)
            if offset >= SLOTS:
                self.core.inhabited &= ~(<uint64_t>1 << level)
                continue
            start = (base + <uint64_t>offset) << (DIGIT_BITS * level)
            if slot is not NULL and start >= best:
                others = min(others, start)
                continue
            if slot is not NULL:
                others = best
            best = start
            end = start | ((<uint64_t>1 << (DIGIT_BITS * level)) - 1)
            slot = &self.core.slots[level][(base + <uint64_t>offset) & (SLOTS - 1)]
        if slot is NULL:
            return None
        timer = slot[0]
        while timer is not NULL and walked < EXACT_WALK:
            least = min(least, timer.deadline)
            timer = timer.next
            walked += 1
        return min(least, others) if timer is NULL and least <= end else best

    def expire(self, now: object) -> list:
        """Advance to ``now`` and return the payloads of the entries that fire, by deadline, then by insertion.

        LocalProtocolError if a Handlespace shares the wheel: then call the Handlespace's expire, which serves both.
        """
        if self.shared:
            raise LocalProtocolError("expire the handlespace, which shares this wheel")
        cdef size_t count = 0
        cdef uint64_t time = as_u64(now, "now")
        cdef Alarm **due = take_due(&self.core, time, &count)
        try:
            return [collect_entry(self, due[i]) for i in range(count)]
        finally:
            free(due)


cdef object collect_entry(Wheel wheel, Alarm *timer):
    """Release an entry that has fired and return its payload."""
    cdef Entry entry = <Entry>(<EntryAlarm *>timer).entry
    wheel.entries.discard(entry)
    return entry.payload

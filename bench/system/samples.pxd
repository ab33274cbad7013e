"""Clock, pace and samples of the load generators, in nanoseconds."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef enum:
    MOST_SAMPLES = 1 << 22

cdef struct Samples:
    uint32_t *taken
    uint64_t count


cdef inline uint64_t now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <uint64_t>t.tv_sec * 1000000000u + <uint64_t>t.tv_nsec


cdef inline int open_samples(Samples *samples) except -1:
    samples.count = 0
    samples.taken = <uint32_t *>malloc(MOST_SAMPLES * sizeof(uint32_t))
    if samples.taken is NULL:
        raise MemoryError
    return 0


cdef inline void close_samples(Samples *samples) noexcept:
    free(samples.taken)
    samples.taken = NULL


cdef inline void take(Samples *samples, uint64_t nanoseconds) noexcept nogil:
    """Add a sample, unless there are MOST_SAMPLES."""
    if samples.count < MOST_SAMPLES:
        samples.taken[samples.count] = <uint32_t>min(nanoseconds, <uint64_t>0xFFFFFFFF)
        samples.count += 1


cdef inline int by_size(const void *a, const void *b) noexcept nogil:
    cdef uint32_t x = (<const uint32_t *>a)[0]
    cdef uint32_t y = (<const uint32_t *>b)[0]
    return (x > y) - (x < y)


cdef inline void sort(Samples *samples) noexcept nogil:
    qsort(samples.taken, samples.count, sizeof(uint32_t), by_size)


cdef inline double percentile(const Samples *samples, double part) noexcept:
    """A percentile of sorted samples in seconds; 0 without samples."""
    if not samples.count:
        return 0.0
    return <double>samples.taken[<uint64_t>(part * <double>(samples.count - 1))] / 1e9


cdef struct Pace:
    uint64_t began
    uint64_t deadline                 # end of sending
    uint64_t finish                   # end of waiting for answers
    double interval
    uint64_t turn
    uint64_t sent


cdef inline Pace pace_of(double rate, double seconds) noexcept:
    """A pace that begins now, with a second at the end to wait for outstanding answers."""
    cdef Pace pace
    pace.began = now()
    pace.deadline = pace.began + <uint64_t>(seconds * 1e9)
    pace.finish = pace.deadline + 1000000000u
    pace.interval = 1e9 / rate
    pace.turn = pace.sent = 0
    return pace


cdef inline uint64_t due_at(const Pace *pace) noexcept nogil:
    """The scheduled time of the next message."""
    return pace.began + <uint64_t>(<double>pace.turn * pace.interval)

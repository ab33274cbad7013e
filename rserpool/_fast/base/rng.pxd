"""xoshiro256** with its splitmix64 seeding (Blackman and Vigna), and unbiased draws below a bound."""

from libc.stdint cimport uint64_t


cdef extern from *:
    ctypedef unsigned long long uint128_t "unsigned __int128"


cdef struct Rng:
    uint64_t state[4]


cdef inline uint64_t rotated(uint64_t value, int by) noexcept nogil:
    return (value << by) | (value >> (64 - by))


cdef inline void seed_rng(Rng *rng, uint64_t seed) noexcept nogil:
    cdef uint64_t mixed
    cdef int i
    for i in range(4):
        seed += 0x9E3779B97F4A7C15u
        mixed = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9u
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu
        rng.state[i] = mixed ^ (mixed >> 31)


cdef inline uint64_t random_u64(Rng *rng) noexcept nogil:
    cdef uint64_t result = rotated(rng.state[1] * 5, 7) * 9
    cdef uint64_t shifted = rng.state[1] << 17
    rng.state[2] ^= rng.state[0]
    rng.state[3] ^= rng.state[1]
    rng.state[1] ^= rng.state[2]
    rng.state[0] ^= rng.state[3]
    rng.state[2] ^= shifted
    rng.state[3] = rotated(rng.state[3], 45)
    return result


cdef inline uint64_t random_below(Rng *rng, uint64_t bound) noexcept nogil:
    """Draw uniformly from [0, bound), bound > 0. The result is the high half of a 128-bit product. If the low half
    would bias the result, draw again."""
    cdef uint128_t product = <uint128_t>random_u64(rng) * bound
    cdef uint64_t least
    if <uint64_t>product < bound:
        least = (0 - bound) % bound
        while <uint64_t>product < least:
            product = <uint128_t>random_u64(rng) * bound
    return <uint64_t>(product >> 64)

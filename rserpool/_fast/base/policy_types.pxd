"""The table of pool member selection policies: numbers, names and values (RFC 5356 4 and 5; rsplib's own).

The codec reads from it how many values a policy has; the handlespace reads its rows, and Python reads its names. A
custom policy is in the table while it is installed.
"""

from libc.stdint cimport uint32_t

cdef enum PolicyNumber:
    ROUND_ROBIN = 0x00000001
    WEIGHTED_ROUND_ROBIN = 0x00000002
    RANDOM = 0x00000003
    WEIGHTED_RANDOM = 0x00000004
    PRIORITY = 0x00000005
    LEAST_USED = 0x40000001
    LEAST_USED_WITH_DEGRADATION = 0x40000002
    PRIORITY_LEAST_USED = 0x40000003
    RANDOMIZED_LEAST_USED = 0x40000004
    RANDOMIZED_PRIORITY_LEAST_USED = 0xB0001001u
    RANDOMIZED_LEAST_USED_WITH_DEGRADATION = 0xB0001002u
    PRIORITY_LEAST_USED_WITH_DEGRADATION = 0xB0001003u
    RANDOMIZED_PRIORITY_LEAST_USED_WITH_DEGRADATION = 0xB0001004u
    WEIGHTED_RANDOM_WITH_DPF = 0xB0002001u
    LEAST_USED_WITH_DPF = 0xB0002002u
    LEAST_USED_WITH_DEGRADATION_AND_DPF = 0xB0002003u
    PRIORITY_LEAST_USED_WITH_DPF = 0xB0002004u
    PRIORITY_LEAST_USED_WITH_DEGRADATION_AND_DPF = 0xB0002005u

cdef enum:
    BUILT_IN_POLICIES = 18
    CUSTOM_POLICIES = 64                # at most
    CUSTOM_POLICY_VALUES = 16           # at most, of one custom policy
    FIRST_PRIVATE_POLICY = 0x80000000u  # RFC 5356 7
    FIRST_RSPLIB_POLICY = 0xB0000000u
    LAST_RSPLIB_POLICY = 0xB000FFFFu


# The number of 32-bit values after the type of a built-in or installed custom policy; -1 for an unknown type.
cdef int policy_values(uint32_t policy_type) noexcept nogil

# Add the number of values of a custom policy. Raises LocalProtocolError if the type is not private or in use, if the
# policy has too many values, or if there are too many policies.
cdef int add_policy(uint32_t policy_type, uint32_t values) except -1

# Remove a custom policy. False if there is none of that type.
cdef bint remove_policy(uint32_t policy_type) noexcept


cdef inline bint is_reserved_policy(uint32_t policy_type) noexcept nogil:
    """True for the types that no policy may have (RFC 5356 3.1)."""
    return policy_type == 0x00000000 or policy_type == 0x40000000

"""The table of pool member selection policies; see policy_types.pxd."""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

import enum

from rserpool.errors import LocalProtocolError

cdef enum:
    SLOT_BITS = 8
    SLOTS = 1 << SLOT_BITS     # over twice as many as there can be policies

cdef struct Row:
    uint32_t policy_type
    int values                 # -1 in a free row

# A hash table with linear probing: each decoded policy is looked up.
cdef Row TABLE[SLOTS]
cdef int COUNT = 0

_LOAD = ("load",)
_LOAD_AND_DEGRADATION = ("load", "load_degradation")
_LOAD_AND_DISTANCE = ("load", "load_degradation", "load_dpf", "distance")

# Number, name and names of the 32-bit values in the order of the wire.
_POLICIES = (
    (ROUND_ROBIN, "ROUND_ROBIN", ()),
    (WEIGHTED_ROUND_ROBIN, "WEIGHTED_ROUND_ROBIN", ("weight",)),
    (RANDOM, "RANDOM", ()),
    (WEIGHTED_RANDOM, "WEIGHTED_RANDOM", ("weight",)),
    (PRIORITY, "PRIORITY", ("priority",)),
    (LEAST_USED, "LEAST_USED", _LOAD),
    (LEAST_USED_WITH_DEGRADATION, "LEAST_USED_WITH_DEGRADATION", _LOAD_AND_DEGRADATION),
    (PRIORITY_LEAST_USED, "PRIORITY_LEAST_USED", _LOAD_AND_DEGRADATION),
    (RANDOMIZED_LEAST_USED, "RANDOMIZED_LEAST_USED", _LOAD),
    (RANDOMIZED_PRIORITY_LEAST_USED, "RANDOMIZED_PRIORITY_LEAST_USED", _LOAD_AND_DEGRADATION),
    (RANDOMIZED_LEAST_USED_WITH_DEGRADATION, "RANDOMIZED_LEAST_USED_WITH_DEGRADATION", _LOAD_AND_DEGRADATION),
    (PRIORITY_LEAST_USED_WITH_DEGRADATION, "PRIORITY_LEAST_USED_WITH_DEGRADATION", _LOAD_AND_DEGRADATION),
    (
        RANDOMIZED_PRIORITY_LEAST_USED_WITH_DEGRADATION,
        "RANDOMIZED_PRIORITY_LEAST_USED_WITH_DEGRADATION",
        _LOAD_AND_DEGRADATION,
    ),
    (WEIGHTED_RANDOM_WITH_DPF, "WEIGHTED_RANDOM_WITH_DPF", ("weight", "weight_dpf", "distance")),
    (LEAST_USED_WITH_DPF, "LEAST_USED_WITH_DPF", ("load", "load_dpf", "distance")),
    (LEAST_USED_WITH_DEGRADATION_AND_DPF, "LEAST_USED_WITH_DEGRADATION_AND_DPF", _LOAD_AND_DISTANCE),
    (PRIORITY_LEAST_USED_WITH_DPF, "PRIORITY_LEAST_USED_WITH_DPF", _LOAD_AND_DISTANCE),
    (
        PRIORITY_LEAST_USED_WITH_DEGRADATION_AND_DPF,
        "PRIORITY_LEAST_USED_WITH_DEGRADATION_AND_DPF",
        _LOAD_AND_DISTANCE,
    ),
)

MAX_CUSTOM_POLICIES = CUSTOM_POLICIES
MAX_CUSTOM_POLICY_VALUES = CUSTOM_POLICY_VALUES
FIRST_PRIVATE = <uint32_t>FIRST_PRIVATE_POLICY

PolicyType = enum.IntEnum("PolicyType", [(name, number) for number, name, _ in _POLICIES], module=__name__)
PolicyType.__doc__ = "Pool member selection policies: RFC 5356 4 and 5; from 0xb0000000 on, rsplib's own."

POLICY_VALUES = {PolicyType(number): names for number, _, names in _POLICIES}


cdef Row *find(uint32_t policy_type) noexcept nogil:
    """The row of a policy, or the free row where it belongs."""
    cdef size_t at = (policy_type * <uint32_t>0x9E3779B1) >> (32 - SLOT_BITS)
    while TABLE[at].values >= 0 and TABLE[at].policy_type != policy_type:
        at = (at + 1) % SLOTS
    return &TABLE[at]


cdef void append(uint32_t policy_type, int values) noexcept:
    global COUNT
    cdef Row *row = find(policy_type)
    row.policy_type = policy_type
    row.values = values
    COUNT += 1


cdef void clear() noexcept:
    cdef int i
    for i in range(SLOTS):
        TABLE[i].values = -1


clear()
for policy_type, value_names in POLICY_VALUES.items():
    append(policy_type, <int>len(value_names))
del policy_type, value_names


cdef int policy_values(uint32_t policy_type) noexcept nogil:
    return find(policy_type).values


cdef bint is_private(uint32_t policy_type) noexcept nogil:
    """True for the types that a custom policy may have."""
    return policy_type >= FIRST_PRIVATE_POLICY and not FIRST_RSPLIB_POLICY <= policy_type <= LAST_RSPLIB_POLICY


cdef int add_policy(uint32_t policy_type, uint32_t values) except -1:
    if not is_private(policy_type):
        raise LocalProtocolError(f"policy type 0x{policy_type:08x} is not for private use")
    if values > CUSTOM_POLICY_VALUES:
        raise LocalProtocolError(f"a policy has at most {CUSTOM_POLICY_VALUES} values")
    if policy_values(policy_type) >= 0:
        raise LocalProtocolError(f"policy type 0x{policy_type:08x} is taken")
    if COUNT == BUILT_IN_POLICIES + CUSTOM_POLICIES:
        raise LocalProtocolError(f"there are {CUSTOM_POLICIES} custom policies already")
    append(policy_type, <int>values)
    return 0


cdef bint remove_policy(uint32_t policy_type) noexcept:
    global COUNT
    cdef Row *row = find(policy_type)
    cdef Row moved
    cdef size_t at
    if row.values < 0 or not is_private(policy_type):
        return False
    row.values = -1
    COUNT -= 1
    # The rows after the free one may have been put there because it was taken.
    at = (<size_t>(row - TABLE) + 1) % SLOTS
    while TABLE[at].values >= 0:
        moved = TABLE[at]
        TABLE[at].values = -1
        find(moved.policy_type)[0] = moved
        at = (at + 1) % SLOTS
    return True

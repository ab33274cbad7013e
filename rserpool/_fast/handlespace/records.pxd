"""The C records of a handlespace. An Element fills four cache lines, one for each way to reach it."""

from cpython.ref cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from rserpool._fast.handlespace.index cimport Index
from rserpool._fast.handlespace.rbtree cimport Node, SumNode, Tree
from rserpool._fast.base.rng cimport Rng
from rserpool._fast.base.slab cimport Slab
from rserpool._fast.base.wheel cimport Alarm, WheelCore

cdef enum:
    OWNED_AT = 64          # offsets in Element; storage.pyx checks them at import
    CHOICE_AT = 128
    KEEP_ALIVE_AT = 192
    LIFE_AT = 224

cdef enum:
    KEEP_ALIVE_TAG = 1     # tags of embedded timers
    LIFE_TAG = 2

cdef enum:
    MARKED = 1             # flags of an Element
    PROBED = 2
    TAKEN = 4              # set only during a draw
    COLLECTED = 8          # taken over, and already collected for a keep-alive

cdef enum:
    SORTED = 0             # families of policies, see policies.pxd
    TURNS = 1
    DRAWN = 2

cdef enum:
    RUN_STEP = 8           # octets between the size classes of the run slabs
    RUN_SLABS = 65
    NEVER_FITS = 65536     # the smallest message size that does not fit into 16 bits


cdef struct Run:
    # The encoded Pool Element parameter (ENRP form, padded) follows this head.
    uint16_t length        # the parameter's Length field
    uint16_t asap_length   # the Length without the ASAP transport
    uint16_t policy_at     # offset of the policy parameter
    uint16_t spare


cdef struct Element:
    Node node              # in Pool.elements by PE identifier (key0); key1 is unique to this registration, 0 if free
    Pool *pool
    Home *home
    Run *run
    Node owned             # in Home.owned by (pool serial, PE identifier)
    Element *next_connected
    Element *last_connected
    uint64_t connection    # 0: none
    SumNode choice         # in Pool.choice, by a key that the policy determines
    uint32_t counter       # degradation counter, or the turn within the round (weighted round robin)
    uint16_t bad_reports
    uint8_t flags          # not in the run, so that an acknowledgement does not read the run (20 % cheaper at 1 M PEs)
    Alarm keep_alive
    Alarm life


# The rank of a PE under its policy. In the SORTED family a smaller rank is better; in the others the rank is a weight.
# ``data`` points to its policy values; ``counter`` counts how often it was used since it registered.
ctypedef uint64_t (*merit_of)(const uint8_t *data, uint32_t counter) noexcept nogil


cdef struct Policy:
    uint32_t type
    uint16_t length        # of the policy parameter
    uint8_t family
    bint counts            # a PE is degraded when it is the first in an answer
    merit_of merit
    PyObject *custom       # the CustomPolicy object that contains this record; NULL for a built-in policy


cdef struct Pool:
    Node node              # in Space.pools by (length, the handle's first 14 octets), then its other octets
    Tree elements
    Tree choice
    const Policy *policy
    PyObject *handle       # the bytes object, owned
    const uint8_t *name
    size_t name_length
    uint64_t serial
    uint64_t stamps        # number of selections and registrations so far
    uint64_t idle          # number of PEs of weight 0
    size_t size
    PyObject *memory       # the dict of a custom policy, owned; else NULL
    uint32_t name_sum
    uint32_t policy_type
    uint16_t transport_type
    uint16_t transport_use


cdef struct Home:
    Node node              # in Space.homes by identifier
    Tree owned
    size_t size
    uint32_t accumulator   # sum for the checksum (RFC 5353 3.6.2), modulo 2**32


cdef struct Space:
    Tree pools
    Tree homes
    Home *own
    size_t pool_count
    size_t size
    uint64_t serials
    uint64_t registrations
    Element **buckets      # chains of PEs, hashed by connection
    size_t bucket_count    # a power of two
    size_t connected
    WheelCore *wheel
    Rng rng
    Element **chosen
    uint64_t *shares       # weights of chosen PEs during a draw
    size_t chosen_room
    uint64_t keep_alive_interval
    uint64_t life_unit
    uint64_t life_limit
    uint32_t default_items  # PEs in an answer to a request that names no number; 0: as many as fit
    uint32_t used_items    # PEs of an answer that count as used; 0 means 1
    Index index            # the PEs by pool and identifier
    size_t max_candidates  # number of PEs among which a custom policy may choose
    size_t large           # number of PEs from which memory is prefetched
    PyObject *on_policy_failure    # called when a custom policy fails; the owner's, or NULL
    bint choosing          # a custom policy is running
    Slab elements
    Slab pool_slab
    Slab home_slab
    Slab runs[RUN_SLABS]


cdef inline uint8_t *octets_of(Run *run) noexcept nogil:
    return <uint8_t *>run + sizeof(Run)


cdef inline Element *by_choice(const Node *node) noexcept nogil:
    return <Element *>(<char *>node - CHOICE_AT)


cdef inline Element *by_owner(const Node *node) noexcept nogil:
    return <Element *>(<char *>node - OWNED_AT)


cdef inline uint32_t identifier_of(const Element *element) noexcept nogil:
    return <uint32_t>element.node.key0


cdef inline const uint8_t *policy_data(const Element *element) noexcept nogil:
    return octets_of(element.run) + element.run.policy_at + 8

"""The table of custom policies, and the calls of their functions."""

from cpython.number cimport PyIndex_Check, PyNumber_AsSsize_t
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport uint8_t, uint64_t

from rserpool._fast.base.args cimport as_u32
from rserpool._fast.base.policy_types cimport CUSTOM_POLICIES, add_policy, remove_policy
from rserpool._fast.base.rng cimport Rng, random_u64
from rserpool._fast.codec.cursor cimport load_u32
from rserpool._fast.handlespace.rbtree cimport Node, first, lookup, next_of
from rserpool._fast.handlespace.records cimport SORTED, Element, by_choice, identifier_of, policy_data

cdef enum:
    MAX_REASON = 200            # characters of the reason of a failure


cdef uint64_t alike(const uint8_t *data, uint32_t counter) noexcept nogil:
    return 0


cdef class CustomPolicy:
    """One custom policy. The table and each pool of the policy hold a reference to it."""
    cdef Policy policy
    cdef object choose


cdef PyObject *INSTALLED[CUSTOM_POLICIES]
cdef int COUNT = 0


cdef const Policy *custom_policy(uint32_t type) noexcept nogil:
    """The policy of that type, or NULL."""
    cdef int i
    for i in range(COUNT):
        if (<CustomPolicy>INSTALLED[i]).policy.type == type:
            return &(<CustomPolicy>INSTALLED[i]).policy
    return NULL


def install(policy_type: object, values: object, choose: object) -> None:
    """Install a custom policy with ``values`` 32-bit values for pools that are created from now on.

    ``choose`` is called with the candidates in round robin order, each (PE identifier, values, number of answers that
    it has headed since it registered); the number of PEs wanted; the pool's dict; a random u64; and True if it may
    change the dict. It returns indices of candidates, best first. LocalProtocolError if the type is not private, is in
    use, or if 64 policies are installed.
    """
    global COUNT
    cdef uint32_t kind = as_u32(policy_type, "policy_type")
    cdef uint32_t count = as_u32(values, "values")
    cdef CustomPolicy custom
    add_policy(kind, count)
    custom = CustomPolicy.__new__(CustomPolicy)
    custom.choose = choose
    custom.policy.type = kind
    custom.policy.length = <unsigned short>(8 + 4 * count)
    custom.policy.family = SORTED
    custom.policy.counts = True
    custom.policy.merit = alike
    custom.policy.custom = <PyObject *>custom
    Py_INCREF(custom)
    INSTALLED[COUNT] = <PyObject *>custom
    COUNT += 1


def uninstall(policy_type: object) -> bool:
    """Remove a custom policy; existing pools keep it. False if there is none of that type."""
    global COUNT
    cdef uint32_t kind = as_u32(policy_type, "policy_type")
    cdef PyObject *gone
    cdef int i
    for i in range(COUNT):
        if (<CustomPolicy>INSTALLED[i]).policy.type == kind:
            gone = INSTALLED[i]
            remove_policy(kind)
            COUNT -= 1
            INSTALLED[i] = INSTALLED[COUNT]
            Py_DECREF(<object>gone)
            return True
    return False


cdef int attach_memory(Pool *pool) except -1:
    """Give a new pool its memory and a reference to its policy, if that is a custom policy."""
    cdef dict memory
    if pool.policy.custom is NULL:
        return 0
    memory = {}
    Py_INCREF(memory)
    pool.memory = <PyObject *>memory
    Py_INCREF(<object>pool.policy.custom)
    return 0


cdef void release_memory(const Policy *policy, void *memory) noexcept:
    """Undo attach_memory. This must be the last step of freeing a pool, because it may run Python code."""
    cdef PyObject *custom = policy.custom
    Py_DECREF(<object>memory)
    Py_DECREF(<object>custom)


cdef list candidates_of(Space *space, Pool *pool):
    """The candidates that round robin would take first, at most space.max_candidates."""
    cdef list found = []
    cdef Node *at = first(&pool.choice)
    cdef const uint8_t *data
    cdef size_t words = words_of(pool.policy)
    cdef size_t i
    while at is not NULL and <size_t>len(found) < space.max_candidates:
        data = policy_data(by_choice(at))
        found.append((
            identifier_of(by_choice(at)),
            tuple([load_u32(data + 4 * i) for i in range(words)]),
            by_choice(at).counter,
        ))
        at = next_of(at)
    return found


cdef list checked(object listed, Py_ssize_t count, size_t wanted):
    """The first ``wanted`` indices. TypeError or ValueError unless each names a different one of ``count``
    candidates."""
    cdef list indices = []
    cdef set seen = set()
    cdef Py_ssize_t index
    for item in listed:
        if isinstance(item, bool) or not PyIndex_Check(item):
            raise TypeError(f"{type(item).__name__} is no index of a candidate")
        index = PyNumber_AsSsize_t(item, IndexError)
        if index < 0 or index >= count:
            raise ValueError(f"there is no candidate {index} of {count}")
        if index in seen:
            raise ValueError(f"candidate {index} is listed twice")
        seen.add(index)
        indices.append(index)
        if <size_t>len(indices) == wanted:
            break
    if not indices:
        raise ValueError("no candidate is listed")
    return indices


cdef str reason(object error):
    try:
        return " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]
    except Exception:
        return type(error).__name__


cdef int report_failure(Space *space, Pool *pool, object error) except -1:
    if space.on_policy_failure is not NULL:
        (<object>space.on_policy_failure)(<object>pool.handle, pool.policy_type, reason(error))
    return 0


def failure(error: object) -> str:
    """The reason of a custom policy's failure, in one line."""
    return reason(error)


def choose_indices(
    policy_type: object, list candidates not None, wanted: object, dict memory not None, seed: object,
) -> list:
    """Let a custom policy choose for a pool user: 1 to ``wanted`` indices; None if no such policy is installed.

    Raises any exception of the policy's function, and TypeError or ValueError for an invalid result.
    """
    cdef const Policy *policy = custom_policy(as_u32(policy_type, "policy_type"))
    cdef size_t most = as_u32(wanted, "wanted")
    if policy is NULL:
        return None
    return checked((<CustomPolicy>policy.custom).choose(candidates, most, memory, seed, True), len(candidates), most)


cdef size_t choose_custom(Space *space, Pool *pool, size_t wanted, bint advance) except? 0:
    """Let the pool's custom policy put at most ``wanted`` PEs into space.chosen; 0 if it fails.

    Without ``advance`` nothing changes, not even the state of the random generator. While the policy runs, no PE can
    be removed.
    """
    cdef list candidates = candidates_of(space, pool)
    cdef list indices
    cdef CustomPolicy custom = <CustomPolicy>pool.policy.custom
    cdef Rng saved = space.rng
    cdef uint64_t seed = random_u64(&space.rng)
    cdef bint was_choosing = space.choosing
    cdef Py_ssize_t i
    if not advance:
        space.rng = saved
    space.choosing = True
    try:
        listed = custom.choose(candidates, wanted, <object>pool.memory, seed, advance)
        indices = checked(listed, len(candidates), wanted)
    except (Exception, SystemExit) as error:
        report_failure(space, pool, error)
        return 0
    finally:
        space.choosing = was_choosing
    for i in range(len(indices)):
        space.chosen[i] = <Element *>lookup(&pool.elements, candidates[indices[i]][0])
    return <size_t>len(indices)

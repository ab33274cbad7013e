"""The rules that are plugged in; see rules.pxd."""

from cpython.number cimport PyIndex_Check, PyNumber_AsSsize_t
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport uint8_t, uint64_t

from rserpool._fast.base.args cimport as_u32
from rserpool._fast.codec.cursor cimport load_u32
from rserpool._fast.handlespace.policies cimport SORTED
from rserpool._fast.handlespace.rbtree cimport Node, first, lookup, next_of
from rserpool._fast.handlespace.records cimport Element, by_choice, identifier_of, policy_data
from rserpool._fast.base.rng cimport Rng, random_u64

from rserpool.errors import LocalProtocolError

cdef enum:
    MOST_RULES = 64
    MOST_VALUES = 16
    PRIVATE = 0x80000000u
    FIRST_OF_RSPLIB = 0xB0000000u
    LAST_OF_RSPLIB = 0xB000FFFFu
    MOST_TEXT = 200            # characters of a failure's reason

MAX_RULES = MOST_RULES
MAX_VALUES = MOST_VALUES
FIRST_PRIVATE = PRIVATE


cdef uint64_t alike(const uint8_t *data, uint32_t counter) noexcept nogil:
    return 0


cdef class Rule:
    """One plugged-in policy. The table holds it, and so does each pool of it."""
    cdef Policy policy
    cdef object choose


cdef PyObject *RULES[MOST_RULES]
cdef int COUNT = 0


cdef const Policy *rule_of(uint32_t type) noexcept nogil:
    """The policy of that type, or NULL."""
    cdef int i
    for i in range(COUNT):
        if (<Rule>RULES[i]).policy.type == type:
            return &(<Rule>RULES[i]).policy
    return NULL


def install(policy_type: object, words: object, rule: object) -> None:
    """Plug in a policy of so many 32-bit values. Pools of it that are opened from now on follow its rule.

    The rule is called with the candidates in the order of round robin, each (PE identifier, values, answers headed
    since it registered), how many are wanted, the pool's dict, a random u64, and whether the dict may be changed; it
    returns indices of candidates, best first. LocalProtocolError for a type that is not private or is taken, and where
    there are 64 already.
    """
    global COUNT
    cdef uint32_t kind = as_u32(policy_type, "policy_type")
    cdef uint32_t count = as_u32(words, "words")
    cdef Rule plugged
    if kind < PRIVATE or FIRST_OF_RSPLIB <= kind <= LAST_OF_RSPLIB:
        raise LocalProtocolError(f"policy type 0x{kind:08x} is not for private use")
    if count > MOST_VALUES:
        raise LocalProtocolError(f"a policy has at most {MOST_VALUES} values")
    if rule_of(kind) is not NULL:
        raise LocalProtocolError(f"policy type 0x{kind:08x} is taken")
    if COUNT == MOST_RULES:
        raise LocalProtocolError(f"there are {MOST_RULES} policies plugged in already")
    plugged = Rule.__new__(Rule)
    plugged.choose = rule
    plugged.policy.type = kind
    plugged.policy.length = <unsigned short>(8 + 4 * count)
    plugged.policy.family = SORTED
    plugged.policy.counts = True
    plugged.policy.merit = alike
    plugged.policy.rule = <PyObject *>plugged
    Py_INCREF(plugged)
    RULES[COUNT] = <PyObject *>plugged
    COUNT += 1


def uninstall(policy_type: object) -> bool:
    """Pools that exist keep the rule; False if there is none of that type."""
    global COUNT
    cdef uint32_t kind = as_u32(policy_type, "policy_type")
    cdef PyObject *gone
    cdef int i
    for i in range(COUNT):
        if (<Rule>RULES[i]).policy.type == kind:
            gone = RULES[i]
            COUNT -= 1
            RULES[i] = RULES[COUNT]
            Py_DECREF(<object>gone)
            return True
    return False


cdef int open_rule(Pool *pool) except -1:
    """Give a new pool the memory of its rule, if its policy has one."""
    cdef dict memory
    if pool.policy.rule is NULL:
        return 0
    memory = {}
    Py_INCREF(memory)
    pool.memory = <PyObject *>memory
    Py_INCREF(<object>pool.policy.rule)
    return 0


cdef void close_rule(const Policy *policy, void *memory) noexcept:
    """What open_rule did; the last thing that is done to a pool, for what is freed may run Python."""
    cdef PyObject *rule = policy.rule
    Py_DECREF(<object>memory)
    Py_DECREF(<object>rule)


cdef list candidates_of(Space *space, Pool *pool):
    """Those that round robin would take first, at most as many as a rule is shown."""
    cdef list found = []
    cdef Node *at = first(&pool.choice)
    cdef const uint8_t *data
    cdef size_t words = words_of(pool.policy)
    cdef size_t i
    while at is not NULL and <size_t>len(found) < space.most_candidates:
        data = policy_data(by_choice(at))
        found.append((
            identifier_of(by_choice(at)),
            tuple([load_u32(data + 4 * i) for i in range(words)]),
            by_choice(at).counter,
        ))
        at = next_of(at)
    return found


cdef list checked(object listed, Py_ssize_t count, size_t wanted):
    """The first ``wanted`` indices, if they are different ones of ``count`` candidates. Raises TypeError or ValueError.
    """
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
        return " ".join(f"{type(error).__name__}: {error}".split())[:MOST_TEXT]
    except Exception:
        return type(error).__name__


cdef int complain(Space *space, Pool *pool, object error) except -1:
    if space.complain is not NULL:
        (<object>space.complain)(<object>pool.handle, pool.policy_type, reason(error))
    return 0


def failure(error: object) -> str:
    """What is said of a rule that failed, in one line."""
    return reason(error)


def follow(
    policy_type: object, list candidates not None, wanted: object, dict memory not None, seed: object,
) -> list:
    """The indices that a policy's rule chooses for a pool that a pool user keeps: at most ``wanted``, at least one;
    None for a policy that is not plugged in. Raises whatever the rule raises, TypeError or ValueError for nonsense.
    """
    cdef const Policy *policy = rule_of(as_u32(policy_type, "policy_type"))
    cdef size_t most = as_u32(wanted, "wanted")
    if policy is NULL:
        return None
    return checked((<Rule>policy.rule).choose(candidates, most, memory, seed, True), len(candidates), most)


cdef size_t ask_rule(Space *space, Pool *pool, size_t wanted, bint advance) except? 0:
    """Let the pool's rule put at most ``wanted`` PEs into space.chosen, which has the room; 0 if it fails.

    Without ``advance`` nothing changes, the generator's state included. While a rule runs no PE can be removed.
    """
    cdef list candidates = candidates_of(space, pool)
    cdef list indices
    cdef Rule rule = <Rule>pool.policy.rule
    cdef Rng saved = space.rng
    cdef uint64_t seed = random_u64(&space.rng)
    cdef bint was_choosing = space.choosing
    cdef Py_ssize_t i
    if not advance:
        space.rng = saved
    space.choosing = True
    try:
        listed = rule.choose(candidates, wanted, <object>pool.memory, seed, advance)
        indices = checked(listed, len(candidates), wanted)
    except (Exception, SystemExit) as error:
        complain(space, pool, error)
        return 0
    finally:
        space.choosing = was_choosing
    for i in range(len(indices)):
        space.chosen[i] = <Element *>lookup(&pool.elements, candidates[indices[i]][0])
    return <size_t>len(indices)

"""An intrusive red-black tree. Each node holds its key: two u64, compared inline. Equal keys keep the order of
insertion.

A tree made with ``summed`` holds only SumNodes. Each knows the sum of the values in its subtree, so a node can be drawn
by value in O(log n). Nodes belong to their owner; a tree never allocates.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t, uintptr_t

from rserpool._fast.base.rng cimport uint128_t

cdef extern from *:
    void prefetch "__builtin_prefetch"(const void *place) noexcept nogil


cdef struct Node:
    Node *child[2]
    uintptr_t up       # the parent's address; bit 0 is set in a red node
    uint64_t key0
    uint64_t key1


cdef struct SumNode:
    Node node          # first, so that a Node pointer is a SumNode pointer
    uint64_t value
    uint64_t sum


cdef struct Tree:
    Node *root
    Node *least
    Node *greatest
    bint summed


cdef struct Way:
    const Node *at     # the node that the way has reached; NULL at the end
    uint64_t key0      # of the place that the way leads to
    uint64_t key1


# Orders two nodes of equal keys: negative if the left one comes first, positive if the right one does, else zero.
ctypedef int (*tie_order)(const Node *left, const Node *right) noexcept nogil


cdef void link_node(Tree *tree, Node *node, Node *parent, int side) noexcept nogil
cdef void remove(Tree *tree, Node *node) noexcept nogil
cdef void insert_tied(Tree *tree, Node *node, tie_order tie) noexcept nogil
cdef void approach(Way *ways, int count) noexcept nogil
cdef void set_value(Node *node, uint64_t value) noexcept nogil
cdef Node *draw(const Tree *tree, uint64_t at) noexcept nogil
cdef size_t check(const Tree *tree) except? 0


cdef inline Node *parent_of(const Node *node) noexcept nogil:
    return <Node *>(node.up & ~<uintptr_t>1)


cdef inline bint before(const Node *left, const Node *right) noexcept nogil:
    return left.key0 < right.key0 or (left.key0 == right.key0 and left.key1 < right.key1)


cdef inline Node *step(const Node *node, int side) noexcept nogil:
    """The in-order neighbour: the next one for side 1, the previous one for side 0; NULL at the end."""
    cdef Node *at = node.child[side]
    if at is not NULL:
        while at.child[1 - side] is not NULL:
            at = at.child[1 - side]
        return at
    at = parent_of(node)
    while at is not NULL and node == at.child[side]:
        node = at
        at = parent_of(at)
    return at


cdef inline Node *first(const Tree *tree) noexcept nogil:
    return tree.least


cdef inline Node *next_of(const Node *node) noexcept nogil:
    return step(node, 1)


cdef inline void insert(Tree *tree, Node *node) noexcept nogil:
    """Insert after all nodes of an equal key. A node that belongs at the end needs no search: this halves the cost of a
    resolution by round robin."""
    cdef Node *parent = NULL
    cdef Node *at = tree.root
    cdef int side = 0
    if at is not NULL and not before(node, tree.greatest):
        link_node(tree, node, tree.greatest, 1)
        return
    while at is not NULL:
        parent = at
        side = not before(node, at)
        at = at.child[side]
    link_node(tree, node, parent, side)


cdef inline Way way_to(const Tree *tree, uint64_t key0, uint64_t key1) noexcept nogil:
    """The way that insert() would search; empty if the node belongs at the end, which needs no search."""
    cdef Way way
    cdef Node wanted
    wanted.key0 = way.key0 = key0
    wanted.key1 = way.key1 = key1
    way.at = tree.root if tree.root is not NULL and before(&wanted, tree.greatest) else NULL
    return way


cdef inline int side_of(const Way *way) noexcept nogil:
    """The side on which the way continues. Has no branch: half of the predictions would be wrong."""
    cdef uint128_t wanted = <uint128_t>way.key0 << 64 | way.key1
    cdef uint128_t found = <uint128_t>way.at.key0 << 64 | way.at.key1
    return wanted >= found


cdef inline Node *lookup(const Tree *tree, uint64_t key0) noexcept nogil:
    """The node of ``key0`` in a tree whose key0 are unique."""
    cdef Node *at = tree.root
    while at is not NULL and at.key0 != key0:
        at = at.child[key0 > at.key0]
    return at


cdef inline Node *above(const Tree *tree, uint64_t key0, uint64_t key1) noexcept nogil:
    """The first node whose key is greater than (key0, key1)."""
    cdef Node *at = tree.root
    cdef Node *found = NULL
    while at is not NULL:
        if at.key0 > key0 or (at.key0 == key0 and at.key1 > key1):
            found = at
            at = at.child[0]
        else:
            at = at.child[1]
    return found


cdef inline void move(Tree *tree, Node *node, uint64_t key0, uint64_t key1) noexcept nogil:
    """Change the key of ``node``. It stays linked at its place if its neighbour on that side allows it."""
    cdef Node *neighbour
    cdef Node wanted
    cdef int side
    if node.key0 == key0 and node.key1 == key1:  # reading a neighbour may be a cache miss
        return
    wanted.key0 = key0
    wanted.key1 = key1
    side = before(node, &wanted)
    neighbour = step(node, side)
    if neighbour is NULL or (before(&wanted, neighbour) if side else before(neighbour, &wanted)):
        node.key0 = key0
        node.key1 = key1
        return
    remove(tree, node)
    node.key0 = key0
    node.key1 = key1
    insert(tree, node)


cdef inline uint64_t total(const Tree *tree) noexcept nogil:
    return (<const SumNode *>tree.root).sum if tree.root is not NULL else 0

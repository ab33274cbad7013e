"""The rebalancing half of the red-black tree."""


cdef inline bint is_red(const Node *node) noexcept nogil:
    return node is not NULL and (node.up & 1) != 0


cdef inline void redden(Node *node) noexcept nogil:
    node.up |= 1


cdef inline void blacken(Node *node) noexcept nogil:
    node.up &= ~<uintptr_t>1


cdef inline void set_parent(Node *node, Node *parent) noexcept nogil:
    node.up = <uintptr_t>parent | (node.up & 1)


cdef inline void copy_colour(Node *node, const Node *source) noexcept nogil:
    node.up = (node.up & ~<uintptr_t>1) | (source.up & 1)


cdef inline void put_in_place(Tree *tree, const Node *old, Node *new) noexcept nogil:
    """Let the parent of ``old`` point to ``new``, which may be NULL."""
    cdef Node *parent = parent_of(old)
    if parent is NULL:
        tree.root = new
    else:
        parent.child[parent.child[1] == old] = new
    if new is not NULL:
        set_parent(new, parent)


cdef inline uint64_t sum_of(const Node *node) noexcept nogil:
    return (<const SumNode *>node).sum if node is not NULL else 0


cdef inline void sum_up(Node *node) noexcept nogil:
    cdef SumNode *at = <SumNode *>node
    at.sum = at.value + sum_of(node.child[0]) + sum_of(node.child[1])


cdef void rotate(Tree *tree, Node *node, int side) noexcept nogil:
    """Rotate ``node`` down to ``side``; its child on the other side moves up."""
    cdef Node *riser = node.child[1 - side]
    node.child[1 - side] = riser.child[side]
    if riser.child[side] is not NULL:
        set_parent(riser.child[side], node)
    put_in_place(tree, node, riser)
    riser.child[side] = node
    set_parent(node, riser)
    if tree.summed:
        (<SumNode *>riser).sum = (<SumNode *>node).sum
        sum_up(node)


cdef void link_node(Tree *tree, Node *node, Node *parent, int side) noexcept nogil:
    """Link ``node`` as a leaf under ``parent`` (NULL: into the empty tree) and rebalance."""
    cdef Node *at
    node.child[0] = NULL
    node.child[1] = NULL
    node.up = <uintptr_t>parent | 1
    if parent is NULL:
        tree.root = node
        tree.least = node
        tree.greatest = node
    else:
        parent.child[side] = node
        if side == 0 and parent == tree.least:
            tree.least = node
        elif side == 1 and parent == tree.greatest:
            tree.greatest = node
    if tree.summed:
        (<SumNode *>node).sum = (<SumNode *>node).value
        at = parent
        while at is not NULL:
            (<SumNode *>at).sum += (<SumNode *>node).value
            at = parent_of(at)
    settle(tree, node)


cdef void approach(Way *ways, int count) noexcept nogil:
    """Walk all ways down side by side, so that the nodes which insert() will visit are in the caches: the waits for
    memory overlap. At 100 000 elements a registration, which searches three trees, gets 20 % cheaper."""
    cdef const Node *at
    cdef int i
    cdef bint going = True
    while going:
        going = False
        for i in range(count):
            if ways[i].at is not NULL:
                at = ways[i].at.child[side_of(&ways[i])]
                prefetch(at)
                ways[i].at = at
                going = True


cdef void settle(Tree *tree, Node *node) noexcept nogil:
    """Repair a red node under a red parent."""
    cdef Node *parent = parent_of(node)
    cdef Node *grand
    cdef Node *uncle
    cdef int side
    while is_red(parent):
        grand = parent_of(parent)
        side = parent == grand.child[1]
        uncle = grand.child[1 - side]
        if is_red(uncle):
            blacken(parent)
            blacken(uncle)
            redden(grand)
            node = grand
            parent = parent_of(node)
            continue
        if node == parent.child[1 - side]:
            rotate(tree, parent, side)
            parent = node
        blacken(parent)
        redden(grand)
        rotate(tree, grand, 1 - side)
        break
    blacken(tree.root)


cdef void insert_tied(Tree *tree, Node *node, tie_order tie) noexcept nogil:
    """Insert where ``tie`` decides between nodes of equal keys."""
    cdef Node *parent = NULL
    cdef Node *at = tree.root
    cdef int side = 0
    while at is not NULL:
        parent = at
        if at.key0 == node.key0 and at.key1 == node.key1:
            side = tie(at, node) <= 0
        else:
            side = before(at, node)
        at = at.child[side]
    link_node(tree, node, parent, side)


cdef void remove(Tree *tree, Node *node) noexcept nogil:
    cdef Node *heir
    cdef Node *short_side
    cdef Node *parent
    cdef Node *at
    cdef bint was_red
    if node == tree.least:
        tree.least = next_of(node)
    if node == tree.greatest:
        tree.greatest = step(node, 0)
    if node.child[0] is not NULL and node.child[1] is not NULL:
        heir = next_of(node)
        was_red = is_red(heir)
        short_side = heir.child[1]
        parent = parent_of(heir)
        if parent == node:
            parent = heir
        else:
            put_in_place(tree, heir, short_side)
            heir.child[1] = node.child[1]
            set_parent(heir.child[1], heir)
        put_in_place(tree, node, heir)
        heir.child[0] = node.child[0]
        set_parent(heir.child[0], heir)
        copy_colour(heir, node)
    else:
        was_red = is_red(node)
        parent = parent_of(node)
        short_side = node.child[0] if node.child[0] is not NULL else node.child[1]
        put_in_place(tree, node, short_side)
    if tree.summed:
        at = parent
        while at is not NULL:
            sum_up(at)
            at = parent_of(at)
    if not was_red:
        restore_black(tree, short_side, parent)


cdef void restore_black(Tree *tree, Node *node, Node *parent) noexcept nogil:
    """Repair the subtree at ``node`` (NULL: empty), which lacks one black node on all its paths."""
    cdef Node *sibling
    cdef int side
    while node != tree.root and not is_red(node):
        side = node == parent.child[1]
        sibling = parent.child[1 - side]
        if is_red(sibling):
            blacken(sibling)
            redden(parent)
            rotate(tree, parent, side)
            sibling = parent.child[1 - side]
        if not is_red(sibling.child[0]) and not is_red(sibling.child[1]):
            redden(sibling)
            node = parent
            parent = parent_of(node)
            continue
        if not is_red(sibling.child[1 - side]):
            blacken(sibling.child[side])
            redden(sibling)
            rotate(tree, sibling, 1 - side)
            sibling = parent.child[1 - side]
        copy_colour(sibling, parent)
        blacken(parent)
        blacken(sibling.child[1 - side])
        rotate(tree, parent, side)
        node = tree.root
    if node is not NULL:
        blacken(node)


cdef void set_value(Node *node, uint64_t value) noexcept nogil:
    """Change the value of a linked SumNode."""
    cdef uint64_t change = value - (<SumNode *>node).value    # modulo 2**64, as the sums
    (<SumNode *>node).value = value
    while node is not NULL:
        (<SumNode *>node).sum += change
        node = parent_of(node)


cdef Node *draw(const Tree *tree, uint64_t at) noexcept nogil:
    """The node whose share of the total contains ``at``, with shares in order of keys; ``at`` < total(tree)."""
    cdef Node *node = tree.root
    cdef uint64_t left
    while node is not NULL:
        left = sum_of(node.child[0])
        if at < left:
            node = node.child[0]
            continue
        at -= left
        if at < (<SumNode *>node).value:
            break
        at -= (<SumNode *>node).value
        node = node.child[1]
    return node


cdef size_t black_height(const Tree *tree, const Node *node, size_t *count) except? 0:
    cdef size_t left, right
    if node is NULL:
        return 1
    for side in range(2):
        if node.child[side] is not NULL and parent_of(node.child[side]) != node:
            raise AssertionError("a child does not know its parent")
        if is_red(node) and is_red(node.child[side]):
            raise AssertionError("a red node has a red child")
    if node.child[0] is not NULL and before(node, node.child[0]):
        raise AssertionError("a left child sorts after its parent")
    if node.child[1] is not NULL and before(node.child[1], node):
        raise AssertionError("a right child sorts before its parent")
    if tree.summed and sum_of(node) != (
        (<const SumNode *>node).value + sum_of(node.child[0]) + sum_of(node.child[1])
    ):
        raise AssertionError("a subtree's sum is wrong")
    left = black_height(tree, node.child[0], count)
    right = black_height(tree, node.child[1], count)
    if left != right:
        raise AssertionError("the black heights differ")
    count[0] += 1
    return left + (not is_red(node))


cdef const Node *rightmost(const Node *at) noexcept nogil:
    while at is not NULL and at.child[1] is not NULL:
        at = at.child[1]
    return at


cdef size_t check(const Tree *tree) except? 0:
    """The number of nodes; AssertionError unless the tree is a red-black tree with correct sums and order."""
    cdef size_t count = 0
    cdef size_t walked = 0
    cdef const Node *at = tree.root
    cdef const Node *last = NULL
    if is_red(tree.root) or (tree.root is not NULL and parent_of(tree.root) is not NULL):
        raise AssertionError("the root is red or has a parent")
    black_height(tree, tree.root, &count)
    while at is not NULL and at.child[0] is not NULL:
        at = at.child[0]
    if at != tree.least:
        raise AssertionError("the least node is not the leftmost")
    if rightmost(tree.root) != tree.greatest:
        raise AssertionError("the greatest node is not the rightmost")
    while at is not NULL:
        if last is not NULL and before(at, last):
            raise AssertionError("the nodes are out of order")
        walked += 1
        last = at
        at = next_of(at)
    if walked != count:
        raise AssertionError("the walk misses nodes")
    return count

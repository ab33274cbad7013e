"""The table of SCTP peers: a chained hash table over slots, and a list of the unused ones by their last use."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uintptr_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

cdef enum:
    FIRST_ROOM = 64
    PORTS = 1 << 16


cdef int peers_init(Peers *peers, uint32_t seed) except -1:
    memset(peers, 0, sizeof(Peers))
    peers.seed = seed | 1
    peers.slots = <Peer *>calloc(FIRST_ROOM, sizeof(Peer))
    peers.buckets = <uint32_t *>calloc(FIRST_ROOM, sizeof(uint32_t))
    peers.shared = <uint32_t *>calloc(SHARED * PORTS, sizeof(uint32_t))
    if peers.slots == NULL or peers.buckets == NULL or peers.shared == NULL:
        peers_clear(peers)
        raise MemoryError
    peers.capacity = FIRST_ROOM
    return 0


cdef void peers_clear(Peers *peers) noexcept:
    free(peers.slots)
    free(peers.buckets)
    free(peers.shared)
    memset(peers, 0, sizeof(Peers))


cdef uint32_t bucket_of(
    const Peers *peers, int fd, const uint8_t *address, socklen_t length, uint16_t port
) noexcept nogil:
    cdef uint32_t mixed = peers.seed ^ <uint32_t>fd ^ <uint32_t>port << 16
    cdef socklen_t i
    for i in range(length):
        mixed = (mixed ^ address[i]) * <uint32_t>0x01000193
    mixed ^= mixed >> 15
    return mixed & (peers.capacity - 1)


cdef void chain_in(Peers *peers, uint32_t index) noexcept nogil:
    cdef Peer *peer = &peers.slots[index]
    cdef uint32_t bucket = bucket_of(peers, peer.fd, peer.address, peer.length, peer.port)
    peer.chain = peers.buckets[bucket]
    peers.buckets[bucket] = index + 1


cdef void chain_out(Peers *peers, uint32_t index) noexcept nogil:
    cdef Peer *peer = &peers.slots[index]
    cdef uint32_t *link = &peers.buckets[bucket_of(peers, peer.fd, peer.address, peer.length, peer.port)]
    while link[0] != index + 1:
        link = &peers.slots[link[0] - 1].chain
    link[0] = peer.chain


cdef void unused_in(Peers *peers, uint32_t index) noexcept nogil:
    cdef Peer *peer = &peers.slots[index]
    peer.newer = 0
    peer.older = peers.newest
    if peers.newest:
        peers.slots[peers.newest - 1].newer = index + 1
    else:
        peers.oldest = index + 1
    peers.newest = index + 1
    peers.unused += 1


cdef void unused_out(Peers *peers, uint32_t index) noexcept nogil:
    cdef Peer *peer = &peers.slots[index]
    if peer.newer:
        peers.slots[peer.newer - 1].older = peer.older
    else:
        peers.newest = peer.older
    if peer.older:
        peers.slots[peer.older - 1].newer = peer.newer
    else:
        peers.oldest = peer.newer
    peers.unused -= 1


cdef inline uint32_t *place_of(Peers *peers, uint32_t alias, uint16_t port) noexcept nogil:
    """Return where the handle of a shared alias and a port is kept."""
    return &peers.shared[(alias - 1) * PORTS + port]


cdef uint32_t alias_for(Peers *peers, uint32_t link, uint16_t port) noexcept nogil:
    """Return an alias that no other peer of that port has."""
    cdef uint32_t alias
    for alias in range(1, SHARED + 1):
        if not place_of(peers, alias, port)[0]:
            place_of(peers, alias, port)[0] = link
            return alias
    return SHARED + link


cdef void drop(Peers *peers, uint32_t index) noexcept nogil:
    """Free a slot."""
    cdef Peer *peer = &peers.slots[index]
    chain_out(peers, index)
    if peer.alias <= SHARED:
        place_of(peers, peer.alias, peer.port)[0] = 0
    if not peer.uses:
        unused_out(peers, index)
    peer.uses = 0
    peer.fd = -1
    peer.chain = peers.free
    peers.free = index + 1


cdef bint grow(Peers *peers) noexcept nogil:
    cdef uint32_t capacity = peers.capacity * 2
    cdef Peer *slots = <Peer *>realloc(peers.slots, capacity * sizeof(Peer))
    cdef uint32_t *buckets
    cdef uint32_t index
    if slots == NULL:
        return False
    peers.slots = slots
    buckets = <uint32_t *>realloc(peers.buckets, capacity * sizeof(uint32_t))
    if buckets == NULL:
        return False
    memset(&slots[peers.capacity], 0, peers.capacity * sizeof(Peer))
    memset(buckets, 0, capacity * sizeof(uint32_t))
    peers.buckets = buckets
    peers.capacity = capacity
    for index in range(peers.count):
        if slots[index].fd >= 0:
            chain_in(peers, index)
    return True


cdef uint32_t vacant(Peers *peers) noexcept nogil:
    """Return the link of a free slot, or 0 if all PEER_LIMIT peers have associations."""
    cdef uint32_t link
    if not peers.free and peers.unused >= UNUSED_LIMIT:
        drop(peers, peers.oldest - 1)
    if peers.free:
        link = peers.free
        peers.free = peers.slots[link - 1].chain
        return link
    if peers.count >= PEER_LIMIT or (peers.count == peers.capacity and not grow(peers)):
        return 0
    peers.count += 1
    return peers.count


cdef uintptr_t peers_find(
    Peers *peers, int fd, const sockaddr *address, socklen_t length, uint16_t port
) noexcept nogil:
    """Return the handle of a peer, which is added if it is new; 0 if there is no room."""
    cdef uint32_t link
    cdef Peer *peer
    if length > ADDRESS_ROOM:
        return 0
    link = peers.buckets[bucket_of(peers, fd, <const uint8_t *>address, length, port)]
    while link:
        peer = &peers.slots[link - 1]
        if (
            peer.fd == fd and peer.port == port and peer.length == length
            and memcmp(peer.address, address, length) == 0
        ):
            if not peer.uses and peers.newest != link:
                unused_out(peers, link - 1)
                unused_in(peers, link - 1)
            return link
        link = peer.chain
    link = vacant(peers)
    if not link:
        return 0
    peer = &peers.slots[link - 1]
    memcpy(peer.address, address, length)
    peer.length = length
    peer.port = port
    peer.alias = alias_for(peers, link, port)
    peer.fd = fd
    peer.uses = 0
    peer.token = 0
    chain_in(peers, link - 1)
    unused_in(peers, link - 1)
    return link


cdef uintptr_t peers_by_alias(Peers *peers, uintptr_t alias, uint16_t port) noexcept nogil:
    """Return the handle of the peer with that alias and port, or 0 if it is gone."""
    cdef uintptr_t handle
    cdef Peer *peer
    if alias > SHARED:
        handle = alias - SHARED
    else:
        handle = place_of(peers, <uint32_t>alias, port)[0] if alias else 0
    peer = peers_get(peers, handle)
    return handle if peer != NULL and peer.alias == alias and peer.port == port else 0


cdef Peer *peers_get(Peers *peers, uintptr_t handle) noexcept nogil:
    """Return the peer of a handle, or NULL. The pointer is valid until the next peers_find()."""
    if handle - 1 >= peers.count or peers.slots[handle - 1].fd < 0:
        return NULL
    return &peers.slots[handle - 1]


cdef bint peers_is_loopback(const Peer *peer) noexcept nogil:
    """Return True for a loopback address: 127.0.0.0/8, mapped or not, or ::1."""
    cdef int i
    if peer.length == 16:
        return peer.address[4] == 127
    for i in range(8, 18):
        if peer.address[i]:
            return False
    if peer.address[18] == 255 and peer.address[19] == 255:
        return peer.address[20] == 127
    for i in range(18, 23):
        if peer.address[i]:
            return False
    return peer.address[23] == 1


cdef void peers_use(Peers *peers, uintptr_t handle) noexcept nogil:
    """Count an association with a peer, which keeps the peer in the table."""
    cdef Peer *peer = peers_get(peers, handle)
    if peer != NULL:
        if not peer.uses:
            unused_out(peers, <uint32_t>(peer - peers.slots))
        peer.uses += 1


cdef void peers_release(Peers *peers, uintptr_t handle) noexcept nogil:
    """Discount an association with a peer."""
    cdef Peer *peer = peers_get(peers, handle)
    if peer != NULL and peer.uses:
        peer.uses -= 1
        if not peer.uses:
            unused_in(peers, <uint32_t>(peer - peers.slots))


cdef void peers_forget(Peers *peers, int fd) noexcept nogil:
    """Drop every peer of a UDP socket that is about to be closed."""
    cdef uint32_t index
    for index in range(peers.count):
        if peers.slots[index].fd == fd:
            drop(peers, index)


cdef void peers_disown(Peers *peers) noexcept nogil:
    """Forget every peer in a forked child, without reusing their handles and aliases."""
    cdef uint32_t index
    for index in range(peers.count):
        peers.slots[index].fd = -1
        peers.slots[index].uses = 0
    memset(peers.buckets, 0, peers.capacity * sizeof(uint32_t))
    peers.free = peers.unused = peers.newest = peers.oldest = 0

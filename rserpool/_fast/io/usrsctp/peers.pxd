"""The table of SCTP peers' UDP addresses, found by address or by handle, limited in number.

A handle, never 0, stands for one (own socket, address, UDP port, SCTP port). The stack knows a peer by its SCTP port
and an alias. Each alias is also a local address of the stack, which walks through all of these for each packet. So
peers of different SCTP ports share aliases, to keep them few.

A handle or alias of a peer without association may later stand for another peer. A holder of an old one (such as an
SCTP cookie) must compare it with the source of the packet.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uintptr_t

from rserpool._fast.io.sockets cimport sockaddr, socklen_t


cdef enum:
    ADDRESS_ROOM = 28          # a sockaddr_in6
    # Forged source addresses could otherwise fill the memory. At UNUSED_LIMIT peers without associations, a new peer
    # replaces the oldest of them. At PEER_LIMIT peers with associations, packets of new peers are dropped.
    UNUSED_LIMIT = 1 << 14
    PEER_LIMIT = 1 << 17
    SHARED = 8                 # aliases that peers share; further peers of one SCTP port have an alias of their own


cdef struct Peer:
    uint8_t address[28]
    socklen_t length
    uint16_t port              # of SCTP
    bint known                 # this slot's own alias is registered with the stack
    uint32_t alias
    int fd                     # -1: free
    uint32_t uses              # associations that need it
    uint32_t token             # of the last packet sent there (packets.token_of)
    uint32_t chain             # next in its bucket; all links are index + 1, 0 ends
    uint32_t newer             # among the unused
    uint32_t older


cdef struct Peers:
    Peer *slots
    uint32_t *buckets          # as many as capacity
    uint32_t *shared           # handles by shared alias and port
    uint32_t capacity
    uint32_t count             # slots ever used
    uint32_t free              # chained
    uint32_t unused
    uint32_t newest
    uint32_t oldest
    uint32_t seed


cdef int peers_init(Peers *peers, uint32_t seed) except -1
cdef void peers_clear(Peers *peers) noexcept
cdef uintptr_t peers_find(
    Peers *peers, int fd, const sockaddr *address, socklen_t length, uint16_t port
) noexcept nogil
cdef uintptr_t peers_by_alias(Peers *peers, uintptr_t alias, uint16_t port) noexcept nogil
cdef Peer *peers_get(Peers *peers, uintptr_t handle) noexcept nogil
cdef bint peers_is_loopback(const Peer *peer) noexcept nogil
cdef void peers_use(Peers *peers, uintptr_t handle) noexcept nogil
cdef void peers_release(Peers *peers, uintptr_t handle) noexcept nogil
cdef void peers_forget(Peers *peers, int fd) noexcept nogil
cdef void peers_disown(Peers *peers) noexcept nogil

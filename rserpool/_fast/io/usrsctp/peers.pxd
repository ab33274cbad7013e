"""UDP addresses of SCTP peers, found by address or by handle, bounded in number.

A handle, never 0, stands for one (own socket, address, UDP port, SCTP port). The stack knows the peer by its SCTP port
and an alias, which it takes for an address of its own too: it walks through all of those for each packet. So peers of
different SCTP ports share aliases, and there are few.

Handle and alias of a peer without association may later stand for another: whoever remembers one (SCTP's cookie does)
must compare it with where the packet came from.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uintptr_t

from rserpool._fast.io.sockets cimport sockaddr, socklen_t


cdef enum:
    ADDRESS_ROOM = 28          # a sockaddr_in6
    # Forged sources could otherwise fill the memory. Beyond the first the oldest peer without association makes room
    # for the next; beyond the second, all with associations, a new peer is not heard.
    UNUSED_LIMIT = 1 << 14
    PEER_LIMIT = 1 << 17
    SHARED = 8                 # aliases that peers share; more of one SCTP port have one each


cdef struct Peer:
    uint8_t address[28]
    socklen_t length
    uint16_t port              # of SCTP
    bint known                 # the stack knows the alias that this slot's peers do not share
    uint32_t alias
    int fd                     # -1: free
    uint32_t uses              # associations that need it
    uint32_t token             # of the packet that went there last (packets.token_of)
    uint32_t chain             # next in its bucket; all links are index + 1, 0 ends
    uint32_t newer             # among the unused
    uint32_t older


cdef struct Peers:
    Peer *slots
    uint32_t *buckets          # as many as capacity
    uint32_t *shared           # handles by alias and port, of aliases that are shared
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
cdef uintptr_t peers_behind(Peers *peers, uintptr_t alias, uint16_t port) noexcept nogil
cdef Peer *peers_get(Peers *peers, uintptr_t handle) noexcept nogil
cdef bint peers_near(const Peer *peer) noexcept nogil
cdef void peers_use(Peers *peers, uintptr_t handle) noexcept nogil
cdef void peers_release(Peers *peers, uintptr_t handle) noexcept nogil
cdef void peers_forget(Peers *peers, int fd) noexcept nogil
cdef void peers_disown(Peers *peers) noexcept nogil

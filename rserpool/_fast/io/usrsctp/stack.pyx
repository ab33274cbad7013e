# cython: freethreading_compatible=False
"""The one libusrsctp of this process. It is single-threaded: call it with the GIL held, and never from one of its
callbacks.
"""

import os

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

from rserpool._fast.io.usrsctp.events cimport events_disown
from rserpool._fast.io.usrsctp.libusrsctp cimport *
from rserpool._fast.io.usrsctp.outbox cimport outbox_close, outbox_disown, outbox_open, outbox_put
from rserpool._fast.io.usrsctp.packets cimport is_heartbeat, target_of, token_of
from rserpool._fast.io.usrsctp.peers cimport (
    SHARED, Peer, peers_by_alias, peers_clear, peers_disown, peers_find, peers_get, peers_init,
)
from rserpool._fast.io.sockets cimport sockaddr, socklen_t, timespec

cdef enum:
    MAX_CHUNKS = 1 << 14             # queued per association, further ones are dropped; usually the window is the limit
    LONGEST = 1000                   # milliseconds that a tick may advance the timers

cdef uint64_t _ticked = 0


cdef class Pace:
    """See stack.pxd."""

    def hurry(self) -> None:
        """Tick often: there is traffic again."""


cdef void note_packet(const void *packet, size_t length) noexcept nogil:
    """Count a packet as traffic, unless it is a heartbeat: the timers of heartbeats may be late."""
    stack.traffic += not is_heartbeat(<const uint8_t *>packet, length)


cdef int output(void *address, void *packet, size_t length, uint8_t tos, uint8_t whole) noexcept nogil:
    """The stack's callback that sends a packet."""
    cdef uint16_t port = target_of(<const uint8_t *>packet, length)
    cdef Peer *peer = peers_get(&stack.peers, peers_by_alias(&stack.peers, <uintptr_t>address, port))
    if peer == NULL:
        return 0
    note_packet(packet, length)
    peer.token = token_of(<const uint8_t *>packet, length) or peer.token
    outbox_put(peer.fd, <const sockaddr *>peer.address, peer.length, packet, length)
    return 0


cdef int start() except -1:
    """Start the stack unless it runs."""
    global _ticked
    cdef uintptr_t alias
    if stack.running:
        return 0
    peers_init(&stack.peers, <uint32_t>int.from_bytes(os.urandom(4), "big"))
    usrsctp_init_nothreads(0, output, NULL)
    usrsctp_sysctl_set_sctp_no_csum_on_loopback(0)      # a kernel peer checks the CRC, on loopback too
    usrsctp_sysctl_set_sctp_ecn_enable(0)               # UDP does not carry it
    usrsctp_sysctl_set_sctp_asconf_enable(0)
    usrsctp_sysctl_set_sctp_auto_asconf(0)
    usrsctp_sysctl_set_sctp_auth_enable(0)
    usrsctp_sysctl_set_sctp_blackhole(0)                # abort unknown associations: peers notice a restart at once
    usrsctp_sysctl_set_sctp_max_chunks_on_queue(MAX_CHUNKS)
    usrsctp_sysctl_set_sctp_recvspace(SPACE)
    usrsctp_sysctl_set_sctp_sendspace(SPACE)
    for alias in range(SHARED, 0, -1):                  # the stack searches the last one first
        usrsctp_register_address(<void *>alias)
    stack.running = True
    _ticked = now_us()
    return 0


cdef uintptr_t find_peer(int fd, const sockaddr *address, socklen_t length, uint16_t port) noexcept:
    """Return the handle of a peer, or 0. Its alias becomes a local address of the stack, which needs it for packets."""
    cdef uintptr_t handle = peers_find(&stack.peers, fd, address, length, port)
    cdef Peer *peer = peers_get(&stack.peers, handle)
    if peer != NULL and peer.alias > SHARED and not peer.known:
        peer.known = True
        usrsctp_register_address(<void *><uintptr_t>peer.alias)
    return handle


cdef uintptr_t alias_of(uintptr_t peer) noexcept:
    """Return the alias by which, together with the port, the stack knows a peer; 0 if there is no such peer."""
    cdef Peer *found = peers_get(&stack.peers, peer)
    return found.alias if found != NULL else 0


def finish() -> bool:
    """Free the stack. False if it still has a socket or an association: call tick() and try again."""
    if not stack.running:
        return True
    if usrsctp_finish() != 0:
        return False
    peers_clear(&stack.peers)
    stack.running = False
    return True


cdef uint64_t now_us() noexcept:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * 1000000 + <uint64_t>(now.tv_nsec // 1000)


def remembered() -> int:
    """Return the number of peers in the table, with and without associations."""
    return stack.peers.count


def traffic() -> int:
    """Return the number of packets sent and received, without heartbeats."""
    return stack.traffic


cpdef void tick() noexcept:
    """Advance the stack's timers by the time since the last call."""
    global _ticked
    cdef uint64_t passed
    if not stack.running:
        return
    passed = (now_us() - _ticked) // 1000
    if passed:
        _ticked += passed * 1000
        outbox_open()
        usrsctp_handle_timers(<uint32_t>min(passed, <uint64_t>LONGEST))
        outbox_close()


def _after_fork() -> None:
    """Disown the parent's sockets in a forked child: they stay in memory, but neither send nor receive."""
    if not stack.running:
        return
    stack.forks += 1
    peers_disown(&stack.peers)
    events_disown()
    outbox_disown()


os.register_at_fork(after_in_child=_after_fork)

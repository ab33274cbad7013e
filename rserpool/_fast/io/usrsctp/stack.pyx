# cython: freethreading_compatible=False
"""The one libusrsctp of this process. It is single-threaded: every call comes with the GIL held, so from one thread at
a time, and none comes from within a callback of the stack.
"""

import os

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

from rserpool._fast.io.usrsctp.events cimport events_disown
from rserpool._fast.io.usrsctp.libusrsctp cimport *
from rserpool._fast.io.usrsctp.outbox cimport outbox_close, outbox_disown, outbox_open, outbox_put
from rserpool._fast.io.usrsctp.packets cimport is_heartbeat, target_of, token_of
from rserpool._fast.io.usrsctp.peers cimport (
    SHARED, Peer, peers_behind, peers_clear, peers_disown, peers_find, peers_get, peers_init,
)
from rserpool._fast.io.sockets cimport sockaddr, socklen_t, timespec

cdef enum:
    MAX_CHUNKS = 1 << 14             # kept per association; the window bounds them first. Beyond, they are dropped
    LONGEST = 1000                   # milliseconds that may pass at once

cdef uint64_t _ticked = 0


cdef class Pace:
    """See stack.pxd."""

    def hurry(self) -> None:
        """There is traffic again."""


cdef void note_packet(const void *packet, size_t length) noexcept nogil:
    """Count what sets timers for which it matters when they expire."""
    stack.traffic += not is_heartbeat(<const uint8_t *>packet, length)


cdef int output(void *address, void *packet, size_t length, uint8_t tos, uint8_t whole) noexcept nogil:
    """The stack has a packet for a peer."""
    cdef uint16_t port = target_of(<const uint8_t *>packet, length)
    cdef Peer *peer = peers_get(&stack.peers, peers_behind(&stack.peers, <uintptr_t>address, port))
    if peer == NULL:
        return 0
    note_packet(packet, length)
    peer.token = token_of(<const uint8_t *>packet, length) or peer.token
    outbox_put(peer.fd, <const sockaddr *>peer.address, peer.length, packet, length)
    return 0


cdef int start() except -1:
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
    usrsctp_sysctl_set_sctp_blackhole(0)                # an unknown association is told so: restarts are seen at once
    usrsctp_sysctl_set_sctp_max_chunks_on_queue(MAX_CHUNKS)
    usrsctp_sysctl_set_sctp_recvspace(SPACE)
    usrsctp_sysctl_set_sctp_sendspace(SPACE)
    for alias in range(SHARED, 0, -1):                  # the stack looks at the last first
        usrsctp_register_address(<void *>alias)
    stack.running = True
    _ticked = now_us()
    return 0


cdef uintptr_t find_peer(int fd, const sockaddr *address, socklen_t length, uint16_t port) noexcept:
    """The handle of a peer. The stack knows its alias as an address of its own too: that is how it takes in packets."""
    cdef uintptr_t handle = peers_find(&stack.peers, fd, address, length, port)
    cdef Peer *peer = peers_get(&stack.peers, handle)
    if peer != NULL and peer.alias > SHARED and not peer.known:
        peer.known = True
        usrsctp_register_address(<void *><uintptr_t>peer.alias)
    return handle


cdef uintptr_t alias_of(uintptr_t peer) noexcept:
    """What the stack knows a peer by, beside its port; 0 where it does not."""
    cdef Peer *found = peers_get(&stack.peers, peer)
    return found.alias if found != NULL else 0


def finish() -> bool:
    """Free the stack. False where a socket or an association still lives: turn the timers and try again."""
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
    """How many UDP addresses of peers are remembered, with or without association."""
    return stack.peers.count


def traffic() -> int:
    """How many packets have gone each way, heartbeats not counted."""
    return stack.traffic


cpdef void tick() noexcept:
    """Let the stack's timers run for the time that has passed since the last call."""
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
    """In the child: what the stack holds is the parent's. It stays, but hears nothing and is heard by nobody; only what
    is opened from now on lives."""
    if not stack.running:
        return
    stack.forks += 1
    peers_disown(&stack.peers)
    events_disown()
    outbox_disown()


os.register_at_fork(after_in_child=_after_fork)

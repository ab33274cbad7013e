# cython: freethreading_compatible=False
"""Sets options of libusrsctp's sockets (time-outs, streams, buffers, events), fills their addresses, closes them."""

import os

from libc.errno cimport errno
from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uintptr_t
from libc.string cimport memset

from rserpool._fast.io.usrsctp.libusrsctp cimport *
from rserpool._fast.io.sockets cimport *

cdef enum:
    STREAMS = 32                     # incoming streams that a peer can make us reserve
    NEAR_MTU = 33000                 # octets of SCTP in a datagram on the loopback; its buffers hold few larger ones
    SACK_DELAY = 20                  # milliseconds, if the tuning leaves it open

    GET_SNDBUF_USE = 0x1101          # not in the stack's public header

cdef struct sndbuf_use:
    uint32_t assoc
    uint32_t sending
    uint32_t received

cdef tuple EVENTS = (SCTP_ASSOC_CHANGE, SCTP_SHUTDOWN_EVENT)


cdef int check(int result) except -1:
    """Raise OSError if a call of the stack has failed."""
    if result < 0:
        raise OSError(errno, os.strerror(errno))
    return 0


cdef int set_buffers(usocket *so, uint32_t octets) except -1:
    """Set the buffers to this size. The stack then delivers messages of up to half of this size as a whole."""
    cdef int space = <int>octets
    cdef uint32_t whole = octets >> 1
    check(usrsctp_setsockopt(so, SOL_SOCKET, SO_SNDBUF, &space, sizeof(space)))
    check(usrsctp_setsockopt(so, SOL_SOCKET, SO_RCVBUF, &space, sizeof(space)))
    return set_option(so, SCTP_PARTIAL_DELIVERY_POINT, &whole, sizeof(whole))


cdef int set_option(usocket *so, int option, const void *value, size_t length) except -1:
    return check(usrsctp_setsockopt(so, IPPROTO_SCTP, option, value, <socklen_t>length))


cdef int set_flag(usocket *so, int option, int value) except -1:
    return set_option(so, option, &value, sizeof(value))


cdef int delay_small_messages(usocket *so, bint on) except -1:
    """Let small messages wait while others are unacknowledged, so that they share a packet with those that follow."""
    return set_flag(so, SCTP_NODELAY, not on)


cdef int subscribe(usocket *so, int kind) except -1:
    cdef sctp_event event
    memset(&event, 0, sizeof(event))
    event.se_type = <uint16_t>kind
    event.se_on = 1
    return set_option(so, SCTP_EVENT, &event, sizeof(event))


cdef int apply_tuning(usocket *so, object tuning) except -1:
    """Set streams, events, and the time-outs of an interface.Tuning."""
    cdef sctp_initmsg init
    cdef sctp_rtoinfo rto
    cdef sctp_assocparams patience
    cdef sctp_paddrparams path
    cdef sctp_sack_info sack
    memset(&init, 0, sizeof(init))
    memset(&rto, 0, sizeof(rto))
    memset(&patience, 0, sizeof(patience))
    memset(&path, 0, sizeof(path))
    memset(&sack, 0, sizeof(sack))
    set_flag(so, SCTP_NODELAY, 1)
    set_flag(so, SCTP_RECVRCVINFO, 1)
    for kind in EVENTS:
        subscribe(so, kind)
    init.sinit_num_ostreams = 1
    init.sinit_max_instreams = STREAMS
    init.sinit_max_attempts = tuning.init_retransmissions
    init.sinit_max_init_timeo = int(tuning.rto_max * 1000)
    set_option(so, SCTP_INITMSG, &init, sizeof(init))
    rto.srto_initial = int(tuning.rto_initial * 1000)
    rto.srto_min = int(tuning.rto_min * 1000)
    rto.srto_max = int(tuning.rto_max * 1000)
    set_option(so, SCTP_RTOINFO, &rto, sizeof(rto))
    patience.sasoc_asocmaxrxt = tuning.association_retransmissions
    set_option(so, SCTP_ASSOCINFO, &patience, sizeof(patience))
    path.spp_hbinterval = int(tuning.heartbeat * 1000)
    path.spp_flags = <uint32_t>(SPP_HB_ENABLE if tuning.heartbeat else SPP_HB_DISABLE)
    path.spp_pathmaxrxt = tuning.association_retransmissions      # the only path
    set_option(so, SCTP_PEER_ADDR_PARAMS, &path, sizeof(path))
    sack.sack_delay = SACK_DELAY if tuning.sack_delay is None else int(tuning.sack_delay * 1000)
    sack.sack_freq = 2 if sack.sack_delay else 1
    return set_option(so, SCTP_DELAYED_SACK, &sack, sizeof(sack))


cdef int allow_large_packets(usocket *so, uint32_t assoc, uintptr_t peer, uint16_t port) noexcept:
    """Let packets to a peer be as large as a datagram on the loopback may be."""
    cdef sctp_paddrparams path
    memset(&path, 0, sizeof(path))
    fill_address(<sockaddr_conn *>&path.spp_address, peer, port)
    path.spp_assoc_id = assoc
    path.spp_pathmtu = NEAR_MTU
    path.spp_flags = <uint32_t>SPP_PMTUD_DISABLE
    return usrsctp_setsockopt(so, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof(path))


cdef int send_heartbeat(usocket *so, uint32_t assoc, uintptr_t peer, uint16_t port) noexcept:
    """Send a heartbeat to a peer at once."""
    cdef sctp_paddrparams path
    memset(&path, 0, sizeof(path))
    fill_address(<sockaddr_conn *>&path.spp_address, peer, port)
    path.spp_assoc_id = assoc
    path.spp_flags = <uint32_t>SPP_HB_DEMAND
    usrsctp_setsockopt(so, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof(path))
    return 0


cdef bint get_status(usocket *so, uint32_t assoc, sctp_status *status) noexcept:
    """Get SCTP_STATUS of an association; False if the stack does not know it."""
    cdef socklen_t length = sizeof(sctp_status)
    memset(status, 0, length)
    status.sstat_assoc_id = assoc
    return usrsctp_getsockopt(so, IPPROTO_SCTP, SCTP_STATUS, status, &length) >= 0


cdef uint32_t unsent_octets(usocket *so, uint32_t assoc) noexcept:
    """Return the octets that an association's peer has not acknowledged; 0 if the stack does not know it."""
    cdef sndbuf_use use
    cdef socklen_t length = sizeof(use)
    memset(&use, 0, length)
    use.assoc = assoc
    return use.sending if usrsctp_getsockopt(so, IPPROTO_SCTP, GET_SNDBUF_USE, &use, &length) >= 0 else 0


cdef void fill_address(sockaddr_conn *name, uintptr_t peer, uint16_t port) noexcept:
    """Fill the stack's address of a peer: its alias and its SCTP port."""
    memset(name, 0, sizeof(sockaddr_conn))
    name.sconn_family = <uint16_t>AF_CONN
    name.sconn_port = htons(port)
    name.sconn_addr = <void *>peer


cdef void abort_and_close(usocket *so) noexcept:
    """Close a socket of the stack, and abort its associations."""
    cdef linger_t linger
    linger.l_onoff = 1
    linger.l_linger = 0
    usrsctp_setsockopt(so, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger))
    usrsctp_close(so)

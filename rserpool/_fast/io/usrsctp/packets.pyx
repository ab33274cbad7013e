"""Reads SCTP packets that pass through, and the ICMP messages that quote refused ones."""

from libc.errno cimport ECONNREFUSED
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from rserpool._fast.io.sockets cimport (
    CMSG_DATA, CMSG_FIRSTHDR, CMSG_NXTHDR, MSG_DONTWAIT, MSG_ERRQUEUE, cmsghdr, iovec, msghdr, recvmsg,
)

cdef extern from *:
    """
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <linux/errqueue.h>
    """
    struct sock_extended_err:
        uint32_t ee_errno
        uint8_t ee_origin
    int IPPROTO_IP, IPPROTO_IPV6, IP_RECVERR, IPV6_RECVERR
    int SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6

cdef enum:
    DATA = 0                         # chunk types (RFC 9260 3.2)
    INIT = 1
    HEARTBEAT = 4
    HEARTBEAT_ACK = 5
    COOKIE_ECHO = 10
    INITIATE_TAG = 16                # its offset in a packet that begins with an INIT chunk
    QUOTED = 576                     # octets of a quoted packet that are read
    CONTROL = 256


cdef inline uint32_t u32(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]


cdef uint32_t window_of(const uint8_t *packet, size_t size) noexcept nogil:
    """Return the window in a packet that begins with a SACK chunk (RFC 9260 3.3.4); 0xFFFFFFFF for others."""
    if size < SACK_RWND + 4 or packet[COMMON_HEADER] != SACK_CHUNK:
        return 0xFFFFFFFF
    return u32(packet + SACK_RWND)


cdef uint16_t target_of(const uint8_t *packet, size_t size) noexcept nogil:
    """Return the destination port of a packet, or 0 if it has none."""
    return <uint16_t>(<uint16_t>packet[2] << 8 | packet[3]) if size >= 4 else 0


cdef uint32_t token_of(const uint8_t *packet, size_t size) noexcept nogil:
    """Return a number of a packet of ours that an off-path attacker cannot know: its verification tag, or the initiate
    tag of an INIT. 0 for packets whose tag an attacker may have chosen: answers outside of an association."""
    cdef uint8_t kind
    if size <= COMMON_HEADER:
        return 0
    kind = packet[COMMON_HEADER]
    if kind == INIT:
        return u32(packet + INITIATE_TAG) if size >= INITIATE_TAG + 4 else 0
    if kind == DATA or kind == SACK_CHUNK or kind == HEARTBEAT or kind == COOKIE_ECHO:
        return u32(packet + 4)
    return 0


cdef bint is_heartbeat(const uint8_t *packet, size_t size) noexcept nogil:
    """Return True for a packet that begins with a heartbeat or its acknowledgement. It contains nothing else that
    matters."""
    return size > COMMON_HEADER and (packet[COMMON_HEADER] == HEARTBEAT or packet[COMMON_HEADER] == HEARTBEAT_ACK)


cdef bint is_refusal(msghdr *header) noexcept nogil:
    """Return True if a message of the error queue is an ICMP port unreachable."""
    cdef cmsghdr *control = CMSG_FIRSTHDR(header)
    cdef sock_extended_err *error
    while control != NULL:
        if (control.cmsg_level == IPPROTO_IP and control.cmsg_type == IP_RECVERR) or (
            control.cmsg_level == IPPROTO_IPV6 and control.cmsg_type == IPV6_RECVERR
        ):
            error = <sock_extended_err *>CMSG_DATA(control)
            return error.ee_errno == ECONNREFUSED and (
                error.ee_origin == SO_EE_ORIGIN_ICMP or error.ee_origin == SO_EE_ORIGIN_ICMP6
            )
        control = CMSG_NXTHDR(header, control)
    return False


cdef bint next_refusal(int fd, Refusal *refusal) noexcept nogil:
    """Read the next error of a UDP socket (ip(7), IP_RECVERR); False if there is none. The token is 0 if the error is
    not a port unreachable, or quotes too little of the packet."""
    cdef uint8_t quoted[QUOTED]
    cdef uint8_t control[CONTROL]
    cdef iovec part
    cdef msghdr header
    cdef ssize_t size
    memset(&header, 0, sizeof(header))
    part.iov_base = quoted
    part.iov_len = QUOTED
    header.msg_name = refusal.address
    header.msg_namelen = sizeof(refusal.address)
    header.msg_iov = &part
    header.msg_iovlen = 1
    header.msg_control = control
    header.msg_controllen = CONTROL
    size = recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT)
    if size < 0:
        return False
    refusal.length = header.msg_namelen
    refusal.port = target_of(quoted, <size_t>size)
    refusal.token = token_of(quoted, <size_t>size) if is_refusal(&header) else 0
    return True

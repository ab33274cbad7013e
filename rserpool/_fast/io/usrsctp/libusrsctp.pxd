"""C declarations of the calls of libusrsctp, clocks and byte orders in use."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from rserpool._fast.io.sockets cimport sockaddr, socklen_t, timespec

cdef extern from "<time.h>" nogil:
    int clock_gettime(int clock, timespec *now)
    int CLOCK_MONOTONIC

cdef extern from "<arpa/inet.h>" nogil:
    uint16_t htons(uint16_t)
    uint16_t ntohs(uint16_t)
    uint32_t htonl(uint32_t)
    uint32_t ntohl(uint32_t)

cdef extern from *:
    """
    #include <usrsctp.h>
    /* Exported, but not declared in the header. */
    extern int register_recv_cb(struct socket *, void *) __attribute__((weak));
    static inline int may_stop_callback(void) { return register_recv_cb != NULL; }
    static inline void stop_callback(struct socket *so) { register_recv_cb(so, NULL); }
    """
    bint may_stop_callback() nogil
    void stop_callback(usocket *so) nogil

cdef extern from "<usrsctp.h>" nogil:
    struct usocket "socket":
        pass
    struct sockaddr_conn:
        uint16_t sconn_family
        uint16_t sconn_port
        void *sconn_addr
    union sctp_sockstore:
        sockaddr_conn sconn
        sockaddr sa
    struct sctp_rcvinfo:
        uint16_t rcv_sid
        uint32_t rcv_ppid
        uint32_t rcv_assoc_id
    struct sctp_sndinfo:
        uint16_t snd_flags
        uint32_t snd_ppid
        uint32_t snd_assoc_id
    struct sctp_assoc_change:
        uint32_t sac_length
        uint16_t sac_state
        uint32_t sac_assoc_id
    struct sctp_shutdown_event:
        uint32_t sse_assoc_id
    struct sctp_tlv:
        uint16_t sn_type
    union sctp_notification:
        sctp_tlv sn_header
        sctp_assoc_change sn_assoc_change
        sctp_shutdown_event sn_shutdown_event
    struct sctp_event:
        uint32_t se_assoc_id
        uint16_t se_type
        uint8_t se_on
    struct sctp_initmsg:
        uint16_t sinit_num_ostreams
        uint16_t sinit_max_instreams
        uint16_t sinit_max_attempts
        uint16_t sinit_max_init_timeo
    struct sctp_rtoinfo:
        uint32_t srto_initial
        uint32_t srto_max
        uint32_t srto_min
    struct sctp_assocparams:
        uint16_t sasoc_asocmaxrxt
    struct sctp_paddrparams:
        sockaddr_conn spp_address
        uint32_t spp_assoc_id
        uint32_t spp_hbinterval
        uint32_t spp_pathmtu
        uint32_t spp_flags
        uint16_t spp_pathmaxrxt
    struct sctp_sack_info:
        uint32_t sack_delay
        uint32_t sack_freq
    struct sctp_paddrinfo:
        uint32_t spinfo_srtt
    struct sctp_status:
        uint32_t sstat_assoc_id
        uint32_t sstat_rwnd
        sctp_paddrinfo sstat_primary
    int AF_CONN, IPPROTO_SCTP, MSG_NOTIFICATION, SPP_HB_ENABLE, SPP_HB_DISABLE, SPP_HB_DEMAND, SPP_PMTUD_DISABLE
    int SCTP_NODELAY, SCTP_RECVRCVINFO, SCTP_EVENT, SCTP_INITMSG, SCTP_RTOINFO, SCTP_ASSOCINFO, SCTP_PEER_ADDR_PARAMS
    int SCTP_DELAYED_SACK, SCTP_STATUS, SCTP_PARTIAL_DELIVERY_POINT, SCTP_EOF, SCTP_ABORT
    unsigned int SCTP_SENDV_SNDINFO
    int SCTP_ASSOC_CHANGE, SCTP_SHUTDOWN_EVENT
    int SCTP_COMM_UP, SCTP_COMM_LOST, SCTP_RESTART, SCTP_SHUTDOWN_COMP, SCTP_CANT_STR_ASSOC
    ctypedef int (*receive_t)(usocket *, sctp_sockstore, void *, size_t, sctp_rcvinfo, int, void *) noexcept nogil
    ctypedef void (*upcall_t)(usocket *, void *, int) noexcept nogil
    ctypedef int (*output_t)(void *, void *, size_t, uint8_t, uint8_t) noexcept nogil
    void usrsctp_init_nothreads(uint16_t port, output_t output, void *debug)
    int usrsctp_finish()
    void usrsctp_register_address(void *address)
    void usrsctp_deregister_address(void *address)
    void usrsctp_conninput(void *address, const void *packet, size_t length, uint8_t ecn)
    void usrsctp_handle_timers(uint32_t milliseconds)
    usocket *usrsctp_socket(int domain, int kind, int protocol, receive_t receive, void *send, uint32_t threshold,
                            void *info)
    int usrsctp_set_non_blocking(usocket *so, int on)
    int usrsctp_setsockopt(usocket *so, int level, int option, const void *value, socklen_t length)
    int usrsctp_getsockopt(usocket *so, int level, int option, void *value, socklen_t *length)
    int usrsctp_bind(usocket *so, sockaddr *name, socklen_t length)
    int usrsctp_listen(usocket *so, int backlog)
    int usrsctp_connect(usocket *so, sockaddr *name, socklen_t length)
    uint32_t usrsctp_getassocid(usocket *so, sockaddr *name)
    ssize_t usrsctp_sendv(usocket *so, const void *data, size_t length, sockaddr *to, int count, void *info,
                          socklen_t infolen, unsigned int infotype, int flags)
    ssize_t usrsctp_recvv(usocket *so, void *data, size_t length, sockaddr *source, socklen_t *source_length,
                          void *info, socklen_t *info_length, unsigned int *kind, int *flags)
    usocket *usrsctp_peeloff(usocket *head, uint32_t assoc)
    int usrsctp_set_upcall(usocket *so, upcall_t upcall, void *info)
    void usrsctp_close(usocket *so)
    int usrsctp_sysctl_set_sctp_no_csum_on_loopback(uint32_t value)
    int usrsctp_sysctl_set_sctp_ecn_enable(uint32_t value)
    int usrsctp_sysctl_set_sctp_asconf_enable(uint32_t value)
    int usrsctp_sysctl_set_sctp_auto_asconf(uint32_t value)
    int usrsctp_sysctl_set_sctp_auth_enable(uint32_t value)
    int usrsctp_sysctl_set_sctp_recvspace(uint32_t value)
    int usrsctp_sysctl_set_sctp_sendspace(uint32_t value)
    int usrsctp_sysctl_set_sctp_blackhole(uint32_t value)
    int usrsctp_sysctl_set_sctp_max_chunks_on_queue(uint32_t value)

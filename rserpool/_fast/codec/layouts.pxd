"""The layouts of the records of rserpool.messages: the decoder creates records without importing their classes."""

cdef enum Kind:
    K_DCCP_TRANSPORT
    K_SCTP_TRANSPORT
    K_TCP_TRANSPORT
    K_UDP_TRANSPORT
    K_UDP_LITE_TRANSPORT
    K_OPAQUE_TRANSPORT
    K_POLICY
    K_POOL_ELEMENT
    K_SERVER_INFORMATION
    K_ERROR_CAUSE
    K_POOL_ENTRY
    K_REGISTRATION
    K_DEREGISTRATION
    K_REGISTRATION_RESPONSE
    K_DEREGISTRATION_RESPONSE
    K_HANDLE_RESOLUTION
    K_HANDLE_RESOLUTION_RESPONSE
    K_ENDPOINT_KEEP_ALIVE
    K_ENDPOINT_KEEP_ALIVE_ACK
    K_ENDPOINT_UNREACHABLE
    K_SERVER_ANNOUNCE
    K_COOKIE
    K_COOKIE_ECHO
    K_BUSINESS_CARD
    K_ASAP_ERROR
    K_PRESENCE
    K_HANDLE_TABLE_REQUEST
    K_HANDLE_TABLE_RESPONSE
    K_HANDLE_UPDATE
    K_LIST_REQUEST
    K_LIST_RESPONSE
    K_INIT_TAKEOVER
    K_INIT_TAKEOVER_ACK
    K_TAKEOVER_SERVER
    K_ENRP_ERROR
    KINDS


# Create a record and set its fields in the order of layouts.pyx. Arguments beyond its fields are ignored.
cdef object make(Kind kind, object a, object b=*, object c=*, object d=*, object e=*, object f=*, object g=*)

# The Kind of a record. Raises LocalProtocolError for anything else.
cdef int kind_of(object record) except -1

# The Kind of a record class. Raises LocalProtocolError for anything else.
cdef int kind_of_class(object record_class) except -1

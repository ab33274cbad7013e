"""Message types and flags (RFC 5352 2.2, RFC 5353 2), and the head of a message."""

from libc.stdint cimport uint8_t, uint16_t

from rserpool._fast.codec.cursor cimport load_u16

cdef enum AsapNumber:
    ASAP_REGISTRATION = 0x01
    ASAP_DEREGISTRATION = 0x02
    ASAP_REGISTRATION_RESPONSE = 0x03
    ASAP_DEREGISTRATION_RESPONSE = 0x04
    ASAP_HANDLE_RESOLUTION = 0x05
    ASAP_HANDLE_RESOLUTION_RESPONSE = 0x06
    ASAP_ENDPOINT_KEEP_ALIVE = 0x07
    ASAP_ENDPOINT_KEEP_ALIVE_ACK = 0x08
    ASAP_ENDPOINT_UNREACHABLE = 0x09
    ASAP_SERVER_ANNOUNCE = 0x0A
    ASAP_COOKIE = 0x0B
    ASAP_COOKIE_ECHO = 0x0C
    ASAP_BUSINESS_CARD = 0x0D
    ASAP_ERROR = 0x0E

cdef enum EnrpNumber:
    ENRP_PRESENCE = 0x01
    ENRP_HANDLE_TABLE_REQUEST = 0x02
    ENRP_HANDLE_TABLE_RESPONSE = 0x03
    ENRP_HANDLE_UPDATE = 0x04
    ENRP_LIST_REQUEST = 0x05
    ENRP_LIST_RESPONSE = 0x06
    ENRP_INIT_TAKEOVER = 0x07
    ENRP_INIT_TAKEOVER_ACK = 0x08
    ENRP_TAKEOVER_SERVER = 0x09
    ENRP_ERROR = 0x0A

cdef enum MessageFlag:
    # Bit 0: reject, subscribe, accept subscription, home, reply required, own only or takeover suggested, by message.
    FLAG_FIRST = 0x01
    FLAG_MORE = 0x02        # ENRP_HANDLE_TABLE_RESPONSE

cdef enum:
    MESSAGE_HEADER = 4      # type, flags and Message Length (RFC 5354 4)
    ENRP_IDENTIFIERS = 8    # sender's and receiver's, in every ENRP message
    MAX_MESSAGE_LENGTH = 0xFFFF


# The head of a message. The caller has checked that its octets are there.

cdef inline uint8_t type_at(const uint8_t *message) noexcept nogil:
    return message[0]


cdef inline uint8_t flags_at(const uint8_t *message) noexcept nogil:
    return message[1]


cdef inline uint16_t length_at(const uint8_t *message) noexcept nogil:
    return load_u16(message + 2)

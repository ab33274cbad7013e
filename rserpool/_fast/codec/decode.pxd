"""Message types and flags (RFC 5352 2.2, RFC 5353 2)."""

cdef enum AsapType:
    A_REGISTRATION = 0x01
    A_DEREGISTRATION = 0x02
    A_REGISTRATION_RESPONSE = 0x03
    A_DEREGISTRATION_RESPONSE = 0x04
    A_HANDLE_RESOLUTION = 0x05
    A_HANDLE_RESOLUTION_RESPONSE = 0x06
    A_ENDPOINT_KEEP_ALIVE = 0x07
    A_ENDPOINT_KEEP_ALIVE_ACK = 0x08
    A_ENDPOINT_UNREACHABLE = 0x09
    A_SERVER_ANNOUNCE = 0x0A
    A_COOKIE = 0x0B
    A_COOKIE_ECHO = 0x0C
    A_BUSINESS_CARD = 0x0D
    A_ERROR = 0x0E

cdef enum EnrpType:
    E_PRESENCE = 0x01
    E_HANDLE_TABLE_REQUEST = 0x02
    E_HANDLE_TABLE_RESPONSE = 0x03
    E_HANDLE_UPDATE = 0x04
    E_LIST_REQUEST = 0x05
    E_LIST_RESPONSE = 0x06
    E_INIT_TAKEOVER = 0x07
    E_INIT_TAKEOVER_ACK = 0x08
    E_TAKEOVER_SERVER = 0x09
    E_ERROR = 0x0A

cdef enum Flag:
    # Bit 0: reject, subscribe, accept subscription, home, reply required, own only or takeover suggested, by message.
    FLAG_FIRST = 0x01
    FLAG_MORE = 0x02        # ENRP_HANDLE_TABLE_RESPONSE

cdef enum:
    MESSAGE_HEADER = 4
    ENRP_IDENTIFIERS = 8    # sender's and receiver's, in every ENRP message
    MAX_MESSAGE = 0xFFFF

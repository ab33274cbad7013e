"""Type-length-value scanning (RFC 5354 3), with the action bits of unrecognised types."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t

from rserpool._fast.codec.cursor cimport Cursor

cdef enum ParameterType:
    T_IPV4_ADDRESS = 0x0001
    T_IPV6_ADDRESS = 0x0002
    T_DCCP_TRANSPORT = 0x0003
    T_SCTP_TRANSPORT = 0x0004
    T_TCP_TRANSPORT = 0x0005
    T_UDP_TRANSPORT = 0x0006
    T_UDP_LITE_TRANSPORT = 0x0007
    T_POLICY = 0x0008
    T_POOL_HANDLE = 0x0009
    T_POOL_ELEMENT = 0x000A
    T_SERVER_INFORMATION = 0x000B
    T_OPERATION_ERROR = 0x000C
    T_COOKIE = 0x000D
    T_PE_IDENTIFIER = 0x000E
    T_PE_CHECKSUM = 0x000F
    T_OPAQUE_TRANSPORT = 0x0010
    T_HANDLE_RESOLUTION_OPTION = 0x803F     # rsplib's number of wanted pool elements; no RFC

cdef enum:
    TLV_HEADER = 4
    # More unrecognised parameters than this in one message, and it is discarded: they cost work and answers.
    MAX_UNKNOWN_PARAMETERS = 16
    # What one Operation Error can carry in the longest-headed message, ENRP_ERROR: 65535 - 12 - 4, in whole words.
    MAX_ERROR_OCTETS = 65516


cdef struct Tlv:
    const uint8_t *at       # the first octet of the header
    size_t length           # header and value, without padding; the octets are all there
    uint16_t type


# What has been skipped in one message.
cdef class Skipped:
    cdef int count
    cdef size_t octets      # of the Operation Error that would report ``reported``
    cdef list reported      # complete TLVs of action class 11, or None
    cdef bint option        # T_HANDLE_RESOLUTION_OPTION is a known type in this message

    cdef tuple tlvs(self)


# The next recognised TLV and 1, or 0 where the octets end. Unrecognised ones are skipped or raise, by action bits.
cdef int next_tlv(Cursor *c, Tlv *t, Skipped skipped) except -1

# The next recognised TLV, which has to be of this type.
cdef int expect(Cursor *c, Tlv *t, Skipped skipped, ParameterType wanted) except -1

# Raises where a recognised TLV follows.
cdef int finish(Cursor *c, Tlv *t, Skipped skipped) except -1

# Raises RemoteProtocolError (Invalid Values) with the TLV as information.
cdef int invalid(const Tlv *t, str reason) except -1

# A Cursor over the value.
cdef Cursor value_of(const Tlv *t) noexcept

# The octets of the whole TLV, without padding.
cdef bytes octets_of(const Tlv *t)

"""Reading of type-length-value parameters (RFC 5354 3), with the action bits of unrecognised types."""

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
    # A message with more unrecognised parameters is discarded: each costs work, and perhaps an answer.
    MAX_UNKNOWN_PARAMETERS = 16
    # Room for causes in one Operation Error of ENRP_ERROR, the message with the longest head: 65535 - 12 - 4, rounded
    # down to a multiple of 4.
    MAX_ERROR_OCTETS = 65516


cdef struct Tlv:
    const uint8_t *at       # first octet of the header
    size_t length           # header and value without padding; all octets are present
    uint16_t type


# The unrecognised parameters that were skipped in one message.
cdef class Skipped:
    cdef int count
    cdef size_t octets      # length of the Operation Error that reports ``reported``
    cdef list reported      # complete TLVs of action class 11, or None
    cdef bint option        # this message may contain T_HANDLE_RESOLUTION_OPTION

    cdef tuple tlvs(self)


# Take the next recognised TLV: 1, or 0 at the end of the octets. An unrecognised one is skipped or raises
# RemoteProtocolError, as its action bits say.
cdef int next_tlv(Cursor *c, Tlv *t, Skipped skipped) except -1

# Take the next recognised TLV. Raises RemoteProtocolError if it is missing or not of the wanted type.
cdef int expect(Cursor *c, Tlv *t, Skipped skipped, ParameterType wanted) except -1

# Take the unrecognised TLVs at the end. Raises RemoteProtocolError if a recognised TLV follows.
cdef int finish(Cursor *c, Tlv *t, Skipped skipped) except -1

# Raise RemoteProtocolError (Invalid Values) with the TLV as information.
cdef int invalid(const Tlv *t, str reason) except -1

# A Cursor over the value.
cdef Cursor value_of(const Tlv *t) noexcept

# The octets of the whole TLV, without padding.
cdef bytes octets_of(const Tlv *t)

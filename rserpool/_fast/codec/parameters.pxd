"""Decoding of RFC 5354 parameters into records. Each function takes one TLV whose octets are all present."""

from libc.stdint cimport uint32_t

from rserpool._fast.handlespace.custom_policies cimport custom_policy_words
from rserpool._fast.codec.tlv cimport Skipped, Tlv

cdef enum:
    MAX_ADDRESSES = 32          # per transport parameter
    MAX_OPAQUE_TRANSPORT = 1024

cdef object read_transport(const Tlv *t, Skipped skipped)
cdef object read_policy(const Tlv *t)
cdef object read_pool_element(const Tlv *t, Skipped skipped)
cdef object read_server_information(const Tlv *t, Skipped skipped)
cdef tuple read_operation_error(const Tlv *t)
cdef bytes read_octets(const Tlv *t)        # pool handle or cookie: at least one octet
cdef object read_u32(const Tlv *t)   # a PE identifier or handle resolution option


cdef inline int policy_words(uint32_t policy_type) noexcept:
    """How many 32-bit words follow the type of a policy (RFC 5356 4-5, rsplib's own); -1: an unknown type.
    Those of plugged-in policies are known."""
    if policy_type == 0x00000001 or policy_type == 0x00000003:
        return 0
    if policy_type in (0x00000002, 0x00000004, 0x00000005, 0x40000001, 0x40000004):
        return 1
    if policy_type in (0x40000002, 0x40000003) or 0xB0001001 <= policy_type <= 0xB0001004:
        return 2
    if policy_type in (0xB0002001, 0xB0002002):
        return 3
    if 0xB0002003 <= policy_type <= 0xB0002005:
        return 4
    return custom_policy_words(policy_type)


cdef inline bint is_reserved_policy(uint32_t policy_type) noexcept:
    """Types that RFC 5356 3.1 rules out."""
    return policy_type == 0x00000000 or policy_type == 0x40000000

"""Decoding of RFC 5354 parameters into records. Each function takes one TLV whose octets are all present."""

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

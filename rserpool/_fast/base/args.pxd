"""Python integers into C ones: TypeError for what is no integer, LocalProtocolError for one that is out of range."""

from libc.stdint cimport uint32_t, uint64_t


cdef uint32_t as_u32(object value, str name) except? 0xFFFFFFFFu
cdef uint64_t as_u64(object value, str name) except? 0xFFFFFFFFFFFFFFFFu

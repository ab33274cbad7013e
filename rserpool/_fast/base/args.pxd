"""Checked conversion of Python integers into C integers.

Raises TypeError for a value that is not an integer, LocalProtocolError for an integer out of range.
"""

from libc.stdint cimport uint32_t, uint64_t


cdef uint32_t as_u32(object value, str name) except? 0xFFFFFFFFu
cdef uint64_t as_u64(object value, str name) except? 0xFFFFFFFFFFFFFFFFu

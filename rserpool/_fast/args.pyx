"""Checked conversion of arguments; see args.pxd."""

from cpython.number cimport PyNumber_Index

from rserpool.errors import LocalProtocolError


cdef uint64_t as_u64(object value, str name) except? 0xFFFFFFFFFFFFFFFFu:
    if not isinstance(value, int):
        value = PyNumber_Index(value)
    try:
        return value
    except OverflowError:
        raise LocalProtocolError(f"{name} is not in 0..2**64-1: {value}") from None


cdef uint32_t as_u32(object value, str name) except? 0xFFFFFFFFu:
    if not isinstance(value, int):
        value = PyNumber_Index(value)
    try:
        return value
    except OverflowError:
        raise LocalProtocolError(f"{name} is not in 0..2**32-1: {value}") from None

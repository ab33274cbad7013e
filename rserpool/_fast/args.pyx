"""Checked conversion of arguments; see args.pxd."""

from rserpool.errors import LocalProtocolError


cdef uint64_t as_u64(object value, str name) except? 0xFFFFFFFFFFFFFFFFu:
    try:
        return value
    except OverflowError:
        raise LocalProtocolError(f"{name} is not in 0..2**64-1: {value}") from None


cdef uint32_t as_u32(object value, str name) except? 0xFFFFFFFFu:
    try:
        return value
    except OverflowError:
        raise LocalProtocolError(f"{name} is not in 0..2**32-1: {value}") from None

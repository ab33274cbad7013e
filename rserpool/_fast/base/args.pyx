"""Checked conversion of Python integers into C integers; see args.pxd."""

from cpython.number cimport PyNumber_Index

from rserpool.errors import LocalProtocolError

cdef extern from "Python.h":
    long PyLong_AsLongAndOverflow(object value, int *overflow) noexcept


cdef uint64_t as_u64(object value, str name) except? 0xFFFFFFFFFFFFFFFFu:
    cdef int overflow = 0
    cdef long number
    if not isinstance(value, int):
        value = PyNumber_Index(value)
    number = PyLong_AsLongAndOverflow(value, &overflow)
    if overflow > 0 and value <= 0xFFFFFFFFFFFFFFFF:
        return value
    if overflow or number < 0:
        raise LocalProtocolError(f"{name} is not in 0..2**64-1: {value}")
    return <uint64_t>number


cdef uint32_t as_u32(object value, str name) except? 0xFFFFFFFFu:
    cdef int overflow = 0
    cdef long number
    if not isinstance(value, int):
        value = PyNumber_Index(value)
    number = PyLong_AsLongAndOverflow(value, &overflow)
    if overflow or <uint64_t>number > 0xFFFFFFFFu:
        raise LocalProtocolError(f"{name} is not in 0..2**32-1: {value}")
    return <uint32_t>number

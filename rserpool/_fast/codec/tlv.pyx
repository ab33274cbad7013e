"""Reading of type-length-value parameters; see tlv.pxd."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint16_t

from rserpool._fast.codec.cursor cimport Cursor, left, load_u16, padded, reading

from rserpool.errors import Cause, RemoteProtocolError


@cython.final
@cython.freelist(4)
cdef class Skipped:
    """The unrecognised parameters that were skipped in one message."""

    cdef tuple tlvs(self):
        return () if self.reported is None else tuple(self.reported)


cdef bytes octets_of(const Tlv *t):
    return PyBytes_FromStringAndSize(<const char *>t.at, <Py_ssize_t>t.length)


cdef Cursor value_of(const Tlv *t) noexcept:
    return reading(t.at + TLV_HEADER, t.length - TLV_HEADER)


cdef int invalid(const Tlv *t, str reason) except -1:
    information = octets_of(t) if TLV_HEADER + padded(t.length) <= MAX_ERROR_OCTETS else b""
    raise RemoteProtocolError(reason, cause=Cause.INVALID_VALUES, information=information)


cdef int unknown(const Tlv *t, Skipped skipped) except -1:
    """Apply the action bits of an unrecognised type (RFC 5354 3): return if it is to be skipped, else raise."""
    cdef bint report = (t.type & 0x4000) != 0
    cdef size_t cost = TLV_HEADER + padded(t.length)
    if not t.type & 0x8000:
        raise RemoteProtocolError(
            f"unrecognized parameter 0x{t.type:04x}",
            cause=Cause.UNRECOGNIZED_PARAMETER,
            information=octets_of(t) if report and cost <= MAX_ERROR_OCTETS else b"",
            report=report,
        )
    skipped.count += 1
    if skipped.count > MAX_UNKNOWN_PARAMETERS:
        raise RemoteProtocolError("too many unrecognized parameters", cause=Cause.INVALID_VALUES, report=False)
    if report and skipped.octets + cost <= MAX_ERROR_OCTETS:
        skipped.octets += cost
        if skipped.reported is None:
            skipped.reported = []
        skipped.reported.append(octets_of(t))
    return 0


cdef inline bint is_known(uint16_t kind, Skipped skipped) noexcept:
    if T_IPV4_ADDRESS <= kind <= T_OPAQUE_TRANSPORT:
        return True
    return kind == T_HANDLE_RESOLUTION_OPTION and skipped.option


cdef int next_tlv(Cursor *c, Tlv *t, Skipped skipped) except -1:
    cdef size_t step
    while left(c):
        if left(c) < TLV_HEADER:
            raise RemoteProtocolError("the octets end inside a parameter header", cause=Cause.INVALID_VALUES)
        t.at = c.at
        t.type = load_u16(c.at)
        t.length = load_u16(c.at + 2)
        if t.length < TLV_HEADER or t.length > left(c):
            raise RemoteProtocolError(
                f"parameter 0x{t.type:04x} has the impossible length {t.length}", cause=Cause.INVALID_VALUES
            )
        step = padded(t.length)
        c.at += step if step <= left(c) else left(c)
        if is_known(t.type, skipped):
            return 1
        unknown(t, skipped)
    return 0


cdef int expect(Cursor *c, Tlv *t, Skipped skipped, ParameterType wanted) except -1:
    if not next_tlv(c, t, skipped):
        raise RemoteProtocolError(f"parameter 0x{<int>wanted:04x} is missing", cause=Cause.INVALID_VALUES)
    if t.type != <uint16_t>wanted:
        invalid(t, f"parameter 0x{t.type:04x} where 0x{<int>wanted:04x} is expected")
    return 0


cdef int finish(Cursor *c, Tlv *t, Skipped skipped) except -1:
    if next_tlv(c, t, skipped):
        invalid(t, f"parameter 0x{t.type:04x} where none is expected")
    return 0

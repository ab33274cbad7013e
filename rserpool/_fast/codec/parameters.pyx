"""Decoding of RFC 5354 parameters into records; see parameters.pxd."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.ref cimport Py_INCREF
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint16_t, uint32_t

from rserpool._fast.base.policy_types cimport is_reserved_policy, policy_values
from rserpool._fast.codec.cursor cimport Cursor, left, load_u32, padded, take_octets, take_u16, take_u32
from rserpool._fast.codec.layouts cimport (
    K_DCCP_TRANSPORT, K_ERROR_CAUSE, K_OPAQUE_TRANSPORT, K_POLICY, K_POOL_ELEMENT, K_SCTP_TRANSPORT,
    K_SERVER_INFORMATION, K_TCP_TRANSPORT, K_UDP_LITE_TRANSPORT, K_UDP_TRANSPORT, Kind, make
)
from rserpool._fast.codec.tlv cimport (
    T_DCCP_TRANSPORT, T_IPV4_ADDRESS, T_IPV6_ADDRESS, T_OPAQUE_TRANSPORT, T_POLICY, T_SCTP_TRANSPORT,
    T_TCP_TRANSPORT, T_UDP_LITE_TRANSPORT, T_UDP_TRANSPORT, TLV_HEADER, Skipped, Tlv, finish, invalid, next_tlv,
    value_of
)

from ipaddress import IPv4Address, IPv6Address

cdef enum:
    # Entries of the cache: every message about a pool element repeats its addresses. A peer that keeps sending new
    # addresses only empties the cache.
    ADDRESS_CACHE = 4096

cdef dict known_addresses = {}


cdef object read_address(const Tlv *t):
    cdef object key
    cdef object address
    if t.type == T_IPV4_ADDRESS and t.length == 8:
        key = load_u32(t.at + TLV_HEADER)
    elif t.type == T_IPV6_ADDRESS and t.length == 20:
        key = PyBytes_FromStringAndSize(<const char *>(t.at + TLV_HEADER), 16)
    else:
        invalid(t, "an address of the wrong type or length")
    address = known_addresses.get(key)
    if address is None:
        address = IPv4Address(key) if t.type == T_IPV4_ADDRESS else IPv6Address(key)
        if len(known_addresses) >= ADDRESS_CACHE:
            known_addresses.clear()
        known_addresses[key] = address
    return address


cdef object read_one_address(Cursor *c, const Tlv *transport, Skipped skipped):
    cdef Tlv t
    cdef object address
    if not next_tlv(c, &t, skipped):
        invalid(transport, "transport without an address")
    address = read_address(&t)
    if next_tlv(c, &t, skipped):
        invalid(transport, "more than one address in a transport that is not SCTP")
    return address


cdef object read_sctp_transport(const Tlv *transport, Skipped skipped):
    cdef Cursor c = value_of(transport)
    cdef Tlv t
    if left(&c) < 4:
        invalid(transport, "SCTP transport without port and use")
    port = take_u16(&c)
    use = take_u16(&c)
    found = []
    while next_tlv(&c, &t, skipped):
        if len(found) == MAX_ADDRESSES:
            invalid(transport, "too many addresses in one transport")
        found.append(read_address(&t))
    if not found:
        invalid(transport, "transport without an address")
    return make(K_SCTP_TRANSPORT, port, use, tuple(found))


cdef object read_plain_transport(const Tlv *transport, Kind kind, Skipped skipped):
    """TCP, UDP or UDP-Lite: port, reserved, exactly one address (RFC 5354 3.5-3.7)."""
    cdef Cursor c = value_of(transport)
    if left(&c) < 4:
        invalid(transport, "transport without a port")
    port = take_u16(&c)
    reserved = take_u16(&c)
    return make(kind, port, read_one_address(&c, transport, skipped), reserved)


cdef object read_dccp_transport(const Tlv *transport, Skipped skipped):
    cdef Cursor c = value_of(transport)
    if left(&c) < 8:
        invalid(transport, "DCCP transport without port and service code")
    port = take_u16(&c)
    reserved = take_u16(&c)
    service_code = take_u32(&c)
    return make(K_DCCP_TRANSPORT, port, service_code, read_one_address(&c, transport, skipped), reserved)


cdef object read_opaque_transport(const Tlv *transport):
    cdef size_t length = transport.length - TLV_HEADER
    if length > MAX_OPAQUE_TRANSPORT:
        invalid(transport, "opaque transport that is too long")
    return make(K_OPAQUE_TRANSPORT, PyBytes_FromStringAndSize(<const char *>(transport.at + TLV_HEADER),
                                                              <Py_ssize_t>length))


cdef inline bint is_transport(uint16_t kind) noexcept:
    return T_DCCP_TRANSPORT <= kind <= T_UDP_LITE_TRANSPORT or kind == T_OPAQUE_TRANSPORT


cdef object read_transport(const Tlv *t, Skipped skipped):
    if t.type == T_SCTP_TRANSPORT:
        return read_sctp_transport(t, skipped)
    if t.type == T_TCP_TRANSPORT:
        return read_plain_transport(t, K_TCP_TRANSPORT, skipped)
    if t.type == T_UDP_TRANSPORT:
        return read_plain_transport(t, K_UDP_TRANSPORT, skipped)
    if t.type == T_UDP_LITE_TRANSPORT:
        return read_plain_transport(t, K_UDP_LITE_TRANSPORT, skipped)
    if t.type == T_DCCP_TRANSPORT:
        return read_dccp_transport(t, skipped)
    if t.type == T_OPAQUE_TRANSPORT:
        return read_opaque_transport(t)
    invalid(t, f"parameter 0x{t.type:04x} where a transport is expected")


cdef object read_policy(const Tlv *t):
    cdef Cursor c = value_of(t)
    cdef uint32_t policy_type
    cdef int count
    cdef int index
    cdef object value
    cdef tuple values
    if left(&c) < 4:
        invalid(t, "policy without a type")
    policy_type = take_u32(&c)
    if is_reserved_policy(policy_type):
        invalid(t, "reserved policy type")
    count = policy_values(policy_type)
    if count < 0:
        return make(K_POLICY, policy_type, (),
                    PyBytes_FromStringAndSize(<const char *>c.at, <Py_ssize_t>left(&c)))
    if left(&c) < 4 * <size_t>count:
        invalid(t, "policy with too little data for its type")
    values = PyTuple_New(count)
    for index in range(count):
        value = take_u32(&c)
        Py_INCREF(value)
        PyTuple_SET_ITEM(values, index, value)
    return make(K_POLICY, policy_type, values, b"")


cdef object read_pool_element(const Tlv *element, Skipped skipped):
    """Decode a Pool Element, with transports and policy in any order.

    The ASAP transport is the second of two SCTP transports, or the only one if the user transport is of another kind.
    """
    cdef Cursor c = value_of(element)
    cdef Tlv t
    cdef object user = None
    cdef object first_sctp = None
    cdef object second_sctp = None
    cdef object policy = None
    if left(&c) < 12:
        invalid(element, "pool element without its fixed fields")
    identifier = take_u32(&c)
    home = take_u32(&c)
    life = <int32_t>take_u32(&c)
    while next_tlv(&c, &t, skipped):
        if t.type == T_POLICY and policy is None:
            policy = read_policy(&t)
        elif t.type == T_SCTP_TRANSPORT and first_sctp is None:
            first_sctp = read_sctp_transport(&t, skipped)
        elif t.type == T_SCTP_TRANSPORT and second_sctp is None:
            second_sctp = read_sctp_transport(&t, skipped)
        elif t.type != T_SCTP_TRANSPORT and is_transport(t.type) and user is None:
            user = read_transport(&t, skipped)
        else:
            invalid(&t, f"parameter 0x{t.type:04x} is misplaced in a pool element")
    if policy is None:
        invalid(element, "pool element without a policy")
    if user is None:
        user, first_sctp = first_sctp, second_sctp
    elif second_sctp is not None:
        invalid(element, "pool element with three transports")
    if user is None:
        invalid(element, "pool element without a user transport")
    return make(K_POOL_ELEMENT, identifier, home, life, user, policy, first_sctp)


cdef object read_server_information(const Tlv *information, Skipped skipped):
    cdef Cursor c = value_of(information)
    cdef Tlv t
    if left(&c) < 4:
        invalid(information, "server information without an identifier")
    identifier = take_u32(&c)
    if not next_tlv(&c, &t, skipped) or t.type != T_SCTP_TRANSPORT:
        invalid(information, "server information without an SCTP transport")
    transport = read_sctp_transport(&t, skipped)
    finish(&c, &t, skipped)
    return make(K_SERVER_INFORMATION, identifier, transport)


cdef tuple read_operation_error(const Tlv *t):
    cdef Cursor c = value_of(t)
    cdef size_t length
    cdef size_t pad
    cdef list causes = []
    while left(&c):
        if left(&c) < TLV_HEADER:
            invalid(t, "the octets end inside an error cause")
        code = take_u16(&c)
        length = take_u16(&c)
        if length < TLV_HEADER or length - TLV_HEADER > left(&c):
            invalid(t, "error cause of impossible length")
        length -= TLV_HEADER
        information = PyBytes_FromStringAndSize(<const char *>take_octets(&c, length), <Py_ssize_t>length)
        pad = padded(length) - length
        take_octets(&c, pad if pad <= left(&c) else left(&c))
        causes.append(make(K_ERROR_CAUSE, code, information))
    if not causes:
        invalid(t, "operation error without a cause")
    return tuple(causes)


cdef bytes read_octets(const Tlv *t):
    if t.length == TLV_HEADER:
        invalid(t, f"empty parameter 0x{t.type:04x}")
    return PyBytes_FromStringAndSize(<const char *>(t.at + TLV_HEADER), <Py_ssize_t>(t.length - TLV_HEADER))


cdef object read_u32(const Tlv *t):
    if t.length != TLV_HEADER + 4:
        invalid(t, f"parameter 0x{t.type:04x} is not 8 octets long")
    return load_u32(t.at + TLV_HEADER)

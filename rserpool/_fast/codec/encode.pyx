"""Encoding of the records of rserpool.messages: RFC 5354 parameters, ASAP and ENRP messages.

Lengths follow RFC 5354 2, 3 and 4: no length counts the padding after its last value, but the padding is sent.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLong
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from rserpool._fast.base.policy_types cimport is_reserved_policy, policy_values
from rserpool._fast.codec.cursor cimport (
    Pen, put_octets, put_padding, put_u8, put_u16, put_u32, store_u16, writing
)
from rserpool._fast.codec.layouts cimport (
    K_ASAP_ERROR, K_BUSINESS_CARD, K_COOKIE, K_COOKIE_ECHO, K_DCCP_TRANSPORT, K_DEREGISTRATION_RESPONSE,
    K_ENDPOINT_KEEP_ALIVE, K_ENRP_ERROR, K_ERROR_CAUSE, K_HANDLE_RESOLUTION, K_HANDLE_RESOLUTION_RESPONSE,
    K_HANDLE_TABLE_REQUEST, K_HANDLE_TABLE_RESPONSE, K_HANDLE_UPDATE, K_INIT_TAKEOVER, K_INIT_TAKEOVER_ACK,
    K_LIST_RESPONSE, K_OPAQUE_TRANSPORT, K_POLICY, K_POOL_ELEMENT, K_POOL_ENTRY, K_PRESENCE, K_REGISTRATION,
    K_REGISTRATION_RESPONSE, K_SCTP_TRANSPORT, K_SERVER_ANNOUNCE, K_SERVER_INFORMATION, K_TAKEOVER_SERVER,
    K_TCP_TRANSPORT, K_UDP_LITE_TRANSPORT, K_UDP_TRANSPORT, kind_of
)
from rserpool._fast.codec.message_types cimport (
    ENRP_HANDLE_TABLE_RESPONSE, ENRP_HANDLE_UPDATE, FLAG_FIRST, FLAG_MORE, MAX_MESSAGE_LENGTH
)
from rserpool._fast.codec.parameters cimport MAX_ADDRESSES, MAX_OPAQUE_TRANSPORT
from rserpool._fast.codec.tlv cimport (
    T_COOKIE, T_DCCP_TRANSPORT, T_HANDLE_RESOLUTION_OPTION, T_IPV4_ADDRESS, T_IPV6_ADDRESS, T_OPAQUE_TRANSPORT,
    T_OPERATION_ERROR, T_PE_CHECKSUM, T_PE_IDENTIFIER, T_POLICY, T_POOL_ELEMENT, T_POOL_HANDLE, T_SCTP_TRANSPORT,
    T_SERVER_INFORMATION, T_TCP_TRANSPORT, T_UDP_LITE_TRANSPORT, T_UDP_TRANSPORT, ParameterType
)

from ipaddress import IPv4Address, IPv6Address

from rserpool.errors import LocalProtocolError


cdef enum:
    ROOM = MAX_MESSAGE_LENGTH + 4


# A Pen, and the end of the last value before its padding.
cdef struct Writer:
    Pen pen
    uint8_t *value_end


cdef int64_t integer(object value, int64_t lowest, int64_t highest, str name) except? -1:
    cdef int64_t number
    if not isinstance(value, int):
        raise LocalProtocolError(f"{name} is not an integer: {value!r}")
    try:
        number = PyLong_AsLongLong(value)
    except OverflowError:
        raise LocalProtocolError(f"{name} is out of range") from None
    if not lowest <= number <= highest:
        raise LocalProtocolError(f"{name} is out of range: {number}")
    return number


cdef int write_u32(Writer *w, object value, str name) except -1:
    put_u32(&w.pen, <uint32_t>integer(value, 0, 0xFFFFFFFF, name))
    w.value_end = w.pen.at
    return 0


cdef int write_u16(Writer *w, object value, str name) except -1:
    put_u16(&w.pen, <uint16_t>integer(value, 0, 0xFFFF, name))
    w.value_end = w.pen.at
    return 0


cdef int write_octets(Writer *w, object octets, size_t least, size_t most, str name) except -1:
    cdef size_t length
    if not isinstance(octets, bytes):
        raise LocalProtocolError(f"{name} is not bytes: {octets!r}")
    length = <size_t>PyBytes_GET_SIZE(octets)
    if not least <= length <= most:
        raise LocalProtocolError(f"{name} of {length} octets; {least} to {most} are allowed")
    put_octets(&w.pen, <const uint8_t *>PyBytes_AS_STRING(octets), length)
    w.value_end = w.pen.at
    return 0


cdef uint8_t *open_tlv(Writer *w, uint16_t code) except NULL:
    """Write a header; close_tlv sets its length."""
    cdef uint8_t *start = w.pen.at
    put_u16(&w.pen, code)
    put_u16(&w.pen, 0)
    w.value_end = w.pen.at
    return start


cdef int close_tlv(Writer *w, uint8_t *start) except -1:
    cdef size_t length = <size_t>(w.value_end - start)
    if length > MAX_MESSAGE_LENGTH:
        raise LocalProtocolError(f"a parameter of {length} octets")
    store_u16(start + 2, <uint16_t>length)
    if w.pen.at == w.value_end:
        put_padding(&w.pen, length)
    return 0


cdef int write_address(Writer *w, object address) except -1:
    cdef uint8_t *start
    if type(address) is IPv4Address:
        start = open_tlv(w, T_IPV4_ADDRESS)
        write_u32(w, int(address), "address")
    elif type(address) is IPv6Address:
        if address.scope_id is not None:
            raise LocalProtocolError(f"an address with a zone cannot be sent: {address}")
        start = open_tlv(w, T_IPV6_ADDRESS)
        write_octets(w, address.packed, 16, 16, "address")
    else:
        raise LocalProtocolError(f"not an IPv4Address or IPv6Address: {address!r}")
    return close_tlv(w, start)


cdef int write_sctp_transport(Writer *w, object transport) except -1:
    cdef uint8_t *start = open_tlv(w, T_SCTP_TRANSPORT)
    cdef tuple addresses = as_tuple(transport.addresses, "addresses")
    if not 1 <= len(addresses) <= MAX_ADDRESSES:
        raise LocalProtocolError(f"{len(addresses)} addresses in an SCTP transport; 1 to {MAX_ADDRESSES} are allowed")
    write_u16(w, transport.port, "port")
    write_u16(w, transport.transport_use, "transport_use")
    for address in addresses:
        write_address(w, address)
    return close_tlv(w, start)


cdef int write_plain_transport(Writer *w, ParameterType code, object transport) except -1:
    cdef uint8_t *start = open_tlv(w, <uint16_t>code)
    write_u16(w, transport.port, "port")
    write_u16(w, transport.reserved, "reserved")
    if code == T_DCCP_TRANSPORT:
        write_u32(w, transport.service_code, "service_code")
    write_address(w, transport.address)
    return close_tlv(w, start)


cdef int write_transport(Writer *w, object transport) except -1:
    cdef int kind = kind_of(transport)
    if kind == K_SCTP_TRANSPORT:
        return write_sctp_transport(w, transport)
    if kind == K_TCP_TRANSPORT:
        return write_plain_transport(w, T_TCP_TRANSPORT, transport)
    if kind == K_UDP_TRANSPORT:
        return write_plain_transport(w, T_UDP_TRANSPORT, transport)
    if kind == K_UDP_LITE_TRANSPORT:
        return write_plain_transport(w, T_UDP_LITE_TRANSPORT, transport)
    if kind == K_DCCP_TRANSPORT:
        return write_plain_transport(w, T_DCCP_TRANSPORT, transport)
    if kind == K_OPAQUE_TRANSPORT:
        return write_octets_tlv(w, T_OPAQUE_TRANSPORT, transport.value, 0, MAX_OPAQUE_TRANSPORT, "opaque transport")
    raise LocalProtocolError(f"not a transport: {transport!r}")


cdef int write_octets_tlv(Writer *w, ParameterType code, object octets, size_t least, size_t most, str name) except -1:
    cdef uint8_t *start = open_tlv(w, <uint16_t>code)
    write_octets(w, octets, least, most, name)
    return close_tlv(w, start)


cdef int write_u32_tlv(Writer *w, ParameterType code, object value, str name) except -1:
    cdef uint8_t *start = open_tlv(w, <uint16_t>code)
    write_u32(w, value, name)
    return close_tlv(w, start)


cdef tuple as_tuple(object values, str name):
    if not isinstance(values, tuple):
        raise LocalProtocolError(f"{name} is not a tuple: {values!r}")
    return values


cdef int need(object record, int kind, str name) except -1:
    if kind_of(record) != kind:
        raise LocalProtocolError(f"{type(record).__name__} as {name}")
    return 0


cdef int write_policy(Writer *w, object policy) except -1:
    cdef uint8_t *start = open_tlv(w, T_POLICY)
    cdef uint32_t policy_type = <uint32_t>integer(policy.policy_type, 0, 0xFFFFFFFF, "policy_type")
    cdef int count = policy_values(policy_type)
    cdef tuple values = as_tuple(policy.values, "values")
    if is_reserved_policy(policy_type):
        raise LocalProtocolError(f"reserved policy type 0x{policy_type:08x}")
    if len(values) != max(count, 0):
        raise LocalProtocolError(f"policy 0x{policy_type:08x} with {len(values)} values")
    write_u32(w, policy.policy_type, "policy_type")
    for value in values:
        write_u32(w, value, "policy value")
    write_octets(w, policy.data, 0, 0 if count >= 0 else MAX_MESSAGE_LENGTH, "data of a policy")
    return close_tlv(w, start)


cdef int write_pool_element(Writer *w, object element) except -1:
    cdef uint8_t *start = open_tlv(w, T_POOL_ELEMENT)
    need(element, K_POOL_ELEMENT, "pool_element")
    need(element.policy, K_POLICY, "policy")
    write_u32(w, element.identifier, "identifier")
    write_u32(w, element.home_identifier, "home_identifier")
    put_u32(&w.pen, <uint32_t>integer(element.registration_life, -0x80000000, 0x7FFFFFFF, "registration_life"))
    write_transport(w, element.user_transport)
    write_policy(w, element.policy)
    asap_transport = element.asap_transport
    if asap_transport is not None:
        need(asap_transport, K_SCTP_TRANSPORT, "asap_transport")
        write_sctp_transport(w, asap_transport)
    return close_tlv(w, start)


cdef int write_server_information(Writer *w, object information) except -1:
    cdef uint8_t *start = open_tlv(w, T_SERVER_INFORMATION)
    need(information, K_SERVER_INFORMATION, "server information")
    need(information.transport, K_SCTP_TRANSPORT, "transport")
    write_u32(w, information.server_identifier, "server_identifier")
    write_sctp_transport(w, information.transport)
    return close_tlv(w, start)


cdef int write_error_cause(Writer *w, object cause) except -1:
    cdef uint8_t *start
    need(cause, K_ERROR_CAUSE, "error cause")
    start = open_tlv(w, <uint16_t>integer(cause.code, 0, 0xFFFF, "code"))
    write_octets(w, cause.information, 0, MAX_MESSAGE_LENGTH, "information")
    return close_tlv(w, start)


cdef int write_operation_error(Writer *w, object operation_error, bint optional) except -1:
    cdef tuple causes = as_tuple(operation_error, "operation_error")
    cdef uint8_t *start
    if not causes:
        if optional:
            return 0
        raise LocalProtocolError("an operation error needs a cause")
    start = open_tlv(w, T_OPERATION_ERROR)
    for cause in causes:
        write_error_cause(w, cause)
    return close_tlv(w, start)


cdef int write_handle(Writer *w, object record) except -1:
    return write_octets_tlv(w, T_POOL_HANDLE, record.pool_handle, 1, MAX_MESSAGE_LENGTH, "pool_handle")


cdef int write_identifier(Writer *w, object value) except -1:
    return write_u32_tlv(w, T_PE_IDENTIFIER, value, "pe_identifier")


cdef int write_pool_elements(Writer *w, object record, bint optional) except -1:
    cdef tuple elements = as_tuple(record.pool_elements, "pool_elements")
    if not elements and not optional:
        raise LocalProtocolError("no pool element")
    for element in elements:
        write_pool_element(w, element)
    return 0


cdef int write_optional_policy(Writer *w, object policy) except -1:
    if policy is None:
        return 0
    need(policy, K_POLICY, "policy")
    return write_policy(w, policy)


cdef int asap_body(Writer *w, int kind, object record) except -1:
    if kind == K_SERVER_ANNOUNCE:
        return server_announce(w, record)
    if kind == K_COOKIE or kind == K_COOKIE_ECHO:
        return write_octets_tlv(w, T_COOKIE, record.cookie, 1, MAX_MESSAGE_LENGTH, "cookie")
    if kind == K_ASAP_ERROR:
        return write_operation_error(w, record.operation_error, False)
    if kind == K_ENDPOINT_KEEP_ALIVE:
        write_u32(w, record.server_identifier, "server_identifier")
    write_handle(w, record)
    if kind == K_REGISTRATION:
        return write_pool_element(w, record.pool_element)
    if kind == K_HANDLE_RESOLUTION:
        items = record.items
        return 0 if items is None else write_u32_tlv(w, T_HANDLE_RESOLUTION_OPTION, items, "items")
    if kind == K_HANDLE_RESOLUTION_RESPONSE:
        write_optional_policy(w, record.policy)
        write_pool_elements(w, record, True)
        return write_operation_error(w, record.operation_error, True)
    if kind == K_BUSINESS_CARD:
        write_optional_policy(w, record.policy)
        return write_pool_elements(w, record, False)
    if kind == K_ENDPOINT_KEEP_ALIVE:
        return 0 if record.pe_identifier is None else write_identifier(w, record.pe_identifier)
    write_identifier(w, record.pe_identifier)
    if kind == K_REGISTRATION_RESPONSE or kind == K_DEREGISTRATION_RESPONSE:
        return write_operation_error(w, record.operation_error, True)
    return 0


cdef int server_announce(Writer *w, object record) except -1:
    cdef int kind
    write_u32(w, record.server_identifier, "server_identifier")
    for transport in as_tuple(record.transports, "transports"):
        kind = kind_of(transport)
        if kind != K_SCTP_TRANSPORT and kind != K_TCP_TRANSPORT:
            raise LocalProtocolError("a server announces SCTP and TCP transports only")
        write_transport(w, transport)
    return 0


cdef int enrp_body(Writer *w, int kind, object record) except -1:
    write_u32(w, record.sender_identifier, "sender_identifier")
    write_u32(w, record.receiver_identifier, "receiver_identifier")
    if kind == K_PRESENCE:
        return presence(w, record)
    if kind == K_HANDLE_TABLE_RESPONSE:
        for entry in as_tuple(record.pool_entries, "pool_entries"):
            need(entry, K_POOL_ENTRY, "pool entry")
            write_handle(w, entry)
            write_pool_elements(w, entry, False)
    elif kind == K_HANDLE_UPDATE:
        write_u16(w, record.update_action, "update_action")
        put_u16(&w.pen, 0)
        write_handle(w, record)
        write_pool_element(w, record.pool_element)
    elif kind == K_LIST_RESPONSE:
        for information in as_tuple(record.servers, "servers"):
            write_server_information(w, information)
    elif kind == K_INIT_TAKEOVER or kind == K_INIT_TAKEOVER_ACK or kind == K_TAKEOVER_SERVER:
        write_u32(w, record.target_identifier, "target_identifier")
    elif kind == K_ENRP_ERROR:
        write_operation_error(w, record.operation_error, False)
    return 0


cdef int presence(Writer *w, object record) except -1:
    cdef uint8_t *start
    checksum = record.pe_checksum
    information = record.server_information
    if checksum is not None:
        start = open_tlv(w, T_PE_CHECKSUM)
        write_u16(w, checksum, "pe_checksum")
        close_tlv(w, start)
    if information is not None:
        write_server_information(w, information)
    return 0


cdef uint8_t flags_of(int kind, object record) except? 0xFF:
    """The flags of a message; undefined bits are 0 (RFC 5354 4)."""
    cdef bint first = False
    cdef bint more = False
    if kind == K_REGISTRATION_RESPONSE or kind == K_LIST_RESPONSE:
        first = record.reject
    elif kind == K_HANDLE_RESOLUTION:
        first = record.subscribe
    elif kind == K_HANDLE_RESOLUTION_RESPONSE:
        first = record.accept_subscription
    elif kind == K_ENDPOINT_KEEP_ALIVE:
        first = record.home
    elif kind == K_PRESENCE:
        first = record.reply_required
    elif kind == K_HANDLE_TABLE_REQUEST:
        first = record.own_only
    elif kind == K_HANDLE_TABLE_RESPONSE:
        first = record.reject
        more = record.more
    elif kind == K_HANDLE_UPDATE:
        first = record.takeover_suggested
    return <uint8_t>((<int>FLAG_FIRST if first else 0) | (<int>FLAG_MORE if more else 0))


cdef inline uint8_t *open_message(Writer *w, uint8_t type, uint8_t flags) except NULL:
    """Write a header; close_message sets its length."""
    cdef uint8_t *start = w.pen.at
    put_u8(&w.pen, type)
    put_u8(&w.pen, flags)
    put_u16(&w.pen, 0)
    w.value_end = w.pen.at
    return start


cdef inline int close_message(Writer *w, uint8_t *start) except -1:
    cdef size_t length = <size_t>(w.value_end - start)
    if length > MAX_MESSAGE_LENGTH:
        raise LocalProtocolError(f"a message of {length} octets")
    store_u16(start + 2, <uint16_t>length)
    return 0


cdef int write_message(Writer *w, int kind, object record) except -1:
    cdef uint8_t *start = open_message(w, <uint8_t>integer(record.TYPE, 0, 0xFE, "TYPE"), flags_of(kind, record))
    if kind < K_PRESENCE:
        asap_body(w, kind, record)
    else:
        enrp_body(w, kind, record)
    return close_message(w, start)


cdef int write_parameter(Writer *w, int kind, object record) except -1:
    if kind <= K_OPAQUE_TRANSPORT:
        return write_transport(w, record)
    if kind == K_POLICY:
        return write_policy(w, record)
    if kind == K_POOL_ELEMENT:
        return write_pool_element(w, record)
    if kind == K_SERVER_INFORMATION:
        return write_server_information(w, record)
    if kind == K_ERROR_CAUSE:
        return write_error_cause(w, record)
    write_handle(w, record)
    return write_pool_elements(w, record, False)


cdef inline Writer start_in(uint8_t *room, size_t size) noexcept:
    cdef Writer w
    w.pen = writing(room, size)
    w.value_end = w.pen.at
    return w


cdef inline bytes written(const Writer *w, const uint8_t *room, bint padding):
    return PyBytes_FromStringAndSize(<const char *>room, <Py_ssize_t>((w.pen.at if padding else w.value_end) - room))


def encode(record) -> bytes:
    """Encode a message, a parameter, an error cause or a pool entry, with its final padding."""
    cdef uint8_t room[ROOM]
    cdef Writer w = start_in(&room[0], sizeof(room))
    cdef int kind = kind_of(record)
    if kind < K_REGISTRATION:
        write_parameter(&w, kind, record)
    else:
        write_message(&w, kind, record)
    return written(&w, &room[0], True)


def encode_address(address) -> bytes:
    """Encode an IPv4 Address or IPv6 Address parameter (RFC 5354 3.1, 3.2)."""
    cdef uint8_t room[ROOM]
    cdef Writer w = start_in(&room[0], sizeof(room))
    write_address(&w, address)
    return written(&w, &room[0], True)


def encode_pool_handle(pool_handle) -> bytes:
    """Encode a Pool Handle parameter (RFC 5354 3.9) without final padding, as an error cause carries it."""
    cdef uint8_t room[ROOM]
    cdef Writer w = start_in(&room[0], sizeof(room))
    write_octets_tlv(&w, T_POOL_HANDLE, pool_handle, 1, MAX_MESSAGE_LENGTH, "pool_handle")
    return written(&w, &room[0], False)


def encode_handle_update(
    *, sender_identifier, update_action, pool_handle, parameter, takeover_suggested=False
) -> bytes:
    """Encode an ENRP_HANDLE_UPDATE (RFC 5353 2.4) for all peers from an encoded Pool Element parameter."""
    cdef uint8_t room[ROOM]
    cdef Writer w = start_in(&room[0], sizeof(room))
    cdef uint8_t *start = open_message(&w, ENRP_HANDLE_UPDATE, FLAG_FIRST if takeover_suggested else 0)
    write_u32(&w, sender_identifier, "sender_identifier")
    put_u32(&w.pen, 0)
    write_u16(&w, update_action, "update_action")
    put_u16(&w.pen, 0)
    write_octets_tlv(&w, T_POOL_HANDLE, pool_handle, 1, MAX_MESSAGE_LENGTH, "pool_handle")
    write_octets(&w, parameter, 0, MAX_MESSAGE_LENGTH, "parameter")
    close_message(&w, start)
    return written(&w, &room[0], True)


def encode_handle_table_response(
    *, sender_identifier, receiver_identifier, reject=False, more=False, entries=b""
) -> bytes:
    """Encode an ENRP_HANDLE_TABLE_RESPONSE (RFC 5353 2.3) from encoded pool entries with their padding."""
    cdef uint8_t room[ROOM]
    cdef Writer w = start_in(&room[0], sizeof(room))
    cdef int flags = 0
    if reject:
        flags |= <int>FLAG_FIRST
    if more:
        flags |= <int>FLAG_MORE
    cdef uint8_t *start = open_message(&w, ENRP_HANDLE_TABLE_RESPONSE, <uint8_t>flags)
    write_u32(&w, sender_identifier, "sender_identifier")
    write_u32(&w, receiver_identifier, "receiver_identifier")
    write_octets(&w, entries, 0, MAX_MESSAGE_LENGTH, "entries")
    close_message(&w, start)
    return written(&w, &room[0], True)

"""Decoding of ASAP (RFC 5352) and ENRP (RFC 5353) messages into the records of rserpool.messages."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from rserpool._fast.codec.cursor cimport Cursor, load_u16, padded, reading, take_u16, take_u32
from rserpool._fast.codec.layouts cimport (
    K_ASAP_ERROR, K_BUSINESS_CARD, K_COOKIE, K_COOKIE_ECHO, K_DEREGISTRATION, K_DEREGISTRATION_RESPONSE,
    K_ENDPOINT_KEEP_ALIVE, K_ENDPOINT_KEEP_ALIVE_ACK, K_ENDPOINT_UNREACHABLE, K_ENRP_ERROR, K_HANDLE_RESOLUTION,
    K_HANDLE_RESOLUTION_RESPONSE, K_HANDLE_TABLE_REQUEST, K_HANDLE_TABLE_RESPONSE, K_HANDLE_UPDATE, K_INIT_TAKEOVER,
    K_INIT_TAKEOVER_ACK, K_LIST_REQUEST, K_LIST_RESPONSE, K_POOL_ENTRY, K_PRESENCE,
    K_REGISTRATION, K_REGISTRATION_RESPONSE, K_SERVER_ANNOUNCE, K_SERVER_INFORMATION, K_TAKEOVER_SERVER, Kind,
    kind_of_class, make
)
from rserpool._fast.codec.message_types cimport (
    ASAP_BUSINESS_CARD, ASAP_COOKIE, ASAP_COOKIE_ECHO, ASAP_DEREGISTRATION, ASAP_DEREGISTRATION_RESPONSE,
    ASAP_ENDPOINT_KEEP_ALIVE, ASAP_ENDPOINT_KEEP_ALIVE_ACK, ASAP_ENDPOINT_UNREACHABLE, ASAP_ERROR,
    ASAP_HANDLE_RESOLUTION, ASAP_HANDLE_RESOLUTION_RESPONSE, ASAP_REGISTRATION, ASAP_REGISTRATION_RESPONSE,
    ASAP_SERVER_ANNOUNCE, ENRP_ERROR, ENRP_HANDLE_TABLE_REQUEST, ENRP_HANDLE_TABLE_RESPONSE, ENRP_HANDLE_UPDATE,
    ENRP_INIT_TAKEOVER, ENRP_INIT_TAKEOVER_ACK, ENRP_LIST_REQUEST, ENRP_LIST_RESPONSE, ENRP_PRESENCE,
    ENRP_TAKEOVER_SERVER, FLAG_FIRST, FLAG_MORE, MESSAGE_HEADER
)
from rserpool._fast.codec.parameters cimport (
    read_u32, read_octets, read_operation_error, read_policy, read_pool_element, read_server_information,
    read_transport
)
from rserpool._fast.codec.tlv cimport (
    MAX_ERROR_OCTETS, T_COOKIE, T_HANDLE_RESOLUTION_OPTION, T_OPERATION_ERROR, T_PE_CHECKSUM, T_PE_IDENTIFIER,
    T_POLICY, T_POOL_ELEMENT, T_POOL_HANDLE, T_SCTP_TRANSPORT, T_SERVER_INFORMATION, T_TCP_TRANSPORT, TLV_HEADER,
    Skipped, Tlv, expect, finish, invalid, next_tlv
)

from rserpool.errors import Cause, LocalProtocolError, RemoteProtocolError


cdef object handle_and_element(Cursor *c, Kind kind, Skipped skipped):
    """ASAP_REGISTRATION (RFC 5352 2.2.1)."""
    cdef Tlv t
    expect(c, &t, skipped, T_POOL_HANDLE)
    handle = read_octets(&t)
    expect(c, &t, skipped, T_POOL_ELEMENT)
    element = read_pool_element(&t, skipped)
    finish(c, &t, skipped)
    return make(kind, handle, element, skipped.tlvs())


cdef object handle_and_identifier(Cursor *c, Kind kind, Skipped skipped):
    """ASAP_DEREGISTRATION, _ENDPOINT_KEEP_ALIVE_ACK, _ENDPOINT_UNREACHABLE (RFC 5352 2.2.2, 2.2.8, 2.2.9)."""
    cdef Tlv t
    expect(c, &t, skipped, T_POOL_HANDLE)
    handle = read_octets(&t)
    expect(c, &t, skipped, T_PE_IDENTIFIER)
    identifier = read_u32(&t)
    finish(c, &t, skipped)
    return make(kind, handle, identifier, skipped.tlvs())


cdef object registration_response(Cursor *c, bint reject, bint deregistration, Skipped skipped):
    """ASAP_REGISTRATION_RESPONSE and _DEREGISTRATION_RESPONSE, which has no reject flag (RFC 5352 2.2.3, 2.2.4)."""
    cdef Tlv t
    cdef tuple causes = ()
    expect(c, &t, skipped, T_POOL_HANDLE)
    handle = read_octets(&t)
    expect(c, &t, skipped, T_PE_IDENTIFIER)
    identifier = read_u32(&t)
    if next_tlv(c, &t, skipped):
        if t.type != T_OPERATION_ERROR:
            invalid(&t, "only an operation error may follow the PE identifier")
        causes = read_operation_error(&t)
        finish(c, &t, skipped)
    if deregistration:
        return make(K_DEREGISTRATION_RESPONSE, handle, identifier, causes, skipped.tlvs())
    return make(K_REGISTRATION_RESPONSE, reject, handle, identifier, causes, skipped.tlvs())


cdef object handle_resolution(Cursor *c, bint subscribe, Skipped skipped):
    cdef Tlv t
    items = None
    skipped.option = True
    expect(c, &t, skipped, T_POOL_HANDLE)
    handle = read_octets(&t)
    if next_tlv(c, &t, skipped):
        if t.type != T_HANDLE_RESOLUTION_OPTION:
            invalid(&t, "only the handle resolution option may follow the pool handle")
        items = read_u32(&t)
        finish(c, &t, skipped)
    return make(K_HANDLE_RESOLUTION, subscribe, handle, items, skipped.tlvs())


cdef object handle_resolution_response(Cursor *c, bint accept, Skipped skipped):
    """Handle, policy, pool elements, error: all but the handle may be missing (RFC 5352 2.2.6)."""
    cdef Tlv t
    cdef list elements = []
    cdef bint more
    policy = None
    cdef tuple causes = ()
    expect(c, &t, skipped, T_POOL_HANDLE)
    handle = read_octets(&t)
    more = next_tlv(c, &t, skipped)
    if more and t.type == T_POLICY:
        policy = read_policy(&t)
        more = next_tlv(c, &t, skipped)
    while more and t.type == T_POOL_ELEMENT:
        elements.append(read_pool_element(&t, skipped))
        more = next_tlv(c, &t, skipped)
    if more and t.type == T_OPERATION_ERROR:
        causes = read_operation_error(&t)
        more = next_tlv(c, &t, skipped)
    if more:
        invalid(&t, "misplaced parameter in a handle resolution response")
    return make(K_HANDLE_RESOLUTION_RESPONSE, accept, handle, policy, tuple(elements), causes, skipped.tlvs())


cdef object keep_alive(Cursor *c, bint home, Skipped skipped):
    """Server identifier and pool handle (RFC 5352 2.2.7); rsplib adds the PE identifier."""
    cdef Tlv t
    server = take_u32(c)
    identifier = None
    expect(c, &t, skipped, T_POOL_HANDLE)
    handle = read_octets(&t)
    if next_tlv(c, &t, skipped):
        if t.type != T_PE_IDENTIFIER:
            invalid(&t, "only a PE identifier may follow the pool handle")
        identifier = read_u32(&t)
        finish(c, &t, skipped)
    return make(K_ENDPOINT_KEEP_ALIVE, home, server, handle, identifier, skipped.tlvs())


cdef object server_announce(Cursor *c, Skipped skipped):
    cdef Tlv t
    cdef list transports = []
    server = take_u32(c)
    while next_tlv(c, &t, skipped):
        if t.type != T_SCTP_TRANSPORT and t.type != T_TCP_TRANSPORT:
            invalid(&t, "a server announces SCTP and TCP transports only")
        transports.append(read_transport(&t, skipped))
    return make(K_SERVER_ANNOUNCE, server, tuple(transports), skipped.tlvs())


cdef object cookie(Cursor *c, Kind kind, Skipped skipped):
    cdef Tlv t
    expect(c, &t, skipped, T_COOKIE)
    octets = read_octets(&t)
    finish(c, &t, skipped)
    return make(kind, octets, skipped.tlvs())


cdef object business_card(Cursor *c, Skipped skipped):
    """Handle and pool elements (RFC 5352 2.2.13); rsplib puts a policy between them."""
    cdef Tlv t
    cdef list elements = []
    cdef bint more
    policy = None
    expect(c, &t, skipped, T_POOL_HANDLE)
    handle = read_octets(&t)
    more = next_tlv(c, &t, skipped)
    if more and t.type == T_POLICY:
        policy = read_policy(&t)
        more = next_tlv(c, &t, skipped)
    while more and t.type == T_POOL_ELEMENT:
        elements.append(read_pool_element(&t, skipped))
        more = next_tlv(c, &t, skipped)
    if more:
        invalid(&t, "misplaced parameter in a business card")
    if not elements:
        raise RemoteProtocolError("business card without a pool element", cause=Cause.INVALID_VALUES)
    return make(K_BUSINESS_CARD, handle, policy, tuple(elements), skipped.tlvs())


cdef tuple operation_error(Cursor *c, Skipped skipped):
    cdef Tlv t
    cdef tuple causes
    expect(c, &t, skipped, T_OPERATION_ERROR)
    causes = read_operation_error(&t)
    finish(c, &t, skipped)
    return causes


cdef object asap_message(uint8_t kind, uint8_t flags, Cursor *c, Skipped skipped):
    cdef bint flag = (flags & FLAG_FIRST) != 0
    if kind == ASAP_REGISTRATION:
        return handle_and_element(c, K_REGISTRATION, skipped)
    if kind == ASAP_DEREGISTRATION:
        return handle_and_identifier(c, K_DEREGISTRATION, skipped)
    if kind == ASAP_REGISTRATION_RESPONSE:
        return registration_response(c, flag, False, skipped)
    if kind == ASAP_DEREGISTRATION_RESPONSE:
        return registration_response(c, False, True, skipped)
    if kind == ASAP_HANDLE_RESOLUTION:
        return handle_resolution(c, flag, skipped)
    if kind == ASAP_HANDLE_RESOLUTION_RESPONSE:
        return handle_resolution_response(c, flag, skipped)
    if kind == ASAP_ENDPOINT_KEEP_ALIVE:
        return keep_alive(c, flag, skipped)
    if kind == ASAP_ENDPOINT_KEEP_ALIVE_ACK:
        return handle_and_identifier(c, K_ENDPOINT_KEEP_ALIVE_ACK, skipped)
    if kind == ASAP_ENDPOINT_UNREACHABLE:
        return handle_and_identifier(c, K_ENDPOINT_UNREACHABLE, skipped)
    if kind == ASAP_SERVER_ANNOUNCE:
        return server_announce(c, skipped)
    if kind == ASAP_COOKIE:
        return cookie(c, K_COOKIE, skipped)
    if kind == ASAP_COOKIE_ECHO:
        return cookie(c, K_COOKIE_ECHO, skipped)
    if kind == ASAP_BUSINESS_CARD:
        return business_card(c, skipped)
    return make(K_ASAP_ERROR, operation_error(c, skipped), ())


cdef object presence(Cursor *c, object sender, object receiver, bint reply_required, Skipped skipped):
    """Checksum and server information, both of which some peers leave out (RFC 5353 2.1)."""
    cdef Tlv t
    cdef bint more = next_tlv(c, &t, skipped)
    checksum = None
    information = None
    if more and t.type == T_PE_CHECKSUM:
        if t.length != TLV_HEADER + 2:
            invalid(&t, "PE checksum that is not 6 octets long")
        checksum = load_u16(t.at + TLV_HEADER)
        more = next_tlv(c, &t, skipped)
    if more and t.type == T_SERVER_INFORMATION:
        information = read_server_information(&t, skipped)
        more = next_tlv(c, &t, skipped)
    if more:
        invalid(&t, "misplaced parameter in a presence")
    return make(K_PRESENCE, sender, receiver, reply_required, checksum, information, skipped.tlvs())


cdef object handle_table_response(Cursor *c, object sender, object receiver, uint8_t flags, Skipped skipped):
    """Any number of pools, each a handle and at least one pool element (RFC 5353 2.3)."""
    cdef Tlv t
    cdef list entries = []
    cdef list elements
    cdef bint more = next_tlv(c, &t, skipped)
    while more:
        if t.type != T_POOL_HANDLE:
            invalid(&t, "a pool handle is expected in a handle table")
        handle = read_octets(&t)
        expect(c, &t, skipped, T_POOL_ELEMENT)
        elements = []
        more = True
        while more and t.type == T_POOL_ELEMENT:
            elements.append(read_pool_element(&t, skipped))
            more = next_tlv(c, &t, skipped)
        entries.append(make(K_POOL_ENTRY, handle, tuple(elements)))
    return make(K_HANDLE_TABLE_RESPONSE, sender, receiver, (flags & FLAG_FIRST) != 0, (flags & FLAG_MORE) != 0,
                tuple(entries), skipped.tlvs())


cdef object handle_update(Cursor *c, object sender, object receiver, bint takeover, Skipped skipped):
    cdef Tlv t
    action = take_u16(c)
    take_u16(c)
    expect(c, &t, skipped, T_POOL_HANDLE)
    handle = read_octets(&t)
    expect(c, &t, skipped, T_POOL_ELEMENT)
    element = read_pool_element(&t, skipped)
    finish(c, &t, skipped)
    return make(K_HANDLE_UPDATE, sender, receiver, action, takeover, handle, element, skipped.tlvs())


cdef object list_response(Cursor *c, object sender, object receiver, bint reject, Skipped skipped):
    cdef Tlv t
    cdef list servers = []
    while next_tlv(c, &t, skipped):
        if t.type != T_SERVER_INFORMATION:
            invalid(&t, "a server list holds server information only")
        servers.append(read_server_information(&t, skipped))
    return make(K_LIST_RESPONSE, sender, receiver, reject, tuple(servers), skipped.tlvs())


cdef object takeover_step(Cursor *c, Kind kind, object sender, object receiver, Skipped skipped):
    cdef Tlv t
    target = take_u32(c)
    finish(c, &t, skipped)
    return make(kind, sender, receiver, target, skipped.tlvs())


cdef object enrp_message(uint8_t kind, uint8_t flags, Cursor *c, Skipped skipped):
    cdef Tlv t
    cdef bint flag = (flags & FLAG_FIRST) != 0
    sender = take_u32(c)
    receiver = take_u32(c)
    if kind == ENRP_PRESENCE:
        return presence(c, sender, receiver, flag, skipped)
    if kind == ENRP_HANDLE_TABLE_REQUEST:
        finish(c, &t, skipped)
        return make(K_HANDLE_TABLE_REQUEST, sender, receiver, flag, skipped.tlvs())
    if kind == ENRP_HANDLE_TABLE_RESPONSE:
        return handle_table_response(c, sender, receiver, flags, skipped)
    if kind == ENRP_HANDLE_UPDATE:
        return handle_update(c, sender, receiver, flag, skipped)
    if kind == ENRP_LIST_REQUEST:
        finish(c, &t, skipped)
        return make(K_LIST_REQUEST, sender, receiver, skipped.tlvs())
    if kind == ENRP_LIST_RESPONSE:
        return list_response(c, sender, receiver, flag, skipped)
    if kind == ENRP_INIT_TAKEOVER:
        return takeover_step(c, K_INIT_TAKEOVER, sender, receiver, skipped)
    if kind == ENRP_INIT_TAKEOVER_ACK:
        return takeover_step(c, K_INIT_TAKEOVER_ACK, sender, receiver, skipped)
    if kind == ENRP_TAKEOVER_SERVER:
        return takeover_step(c, K_TAKEOVER_SERVER, sender, receiver, skipped)
    return make(K_ENRP_ERROR, sender, receiver, operation_error(c, skipped), ())


cdef int unknown_message(uint8_t kind, const uint8_t *octets, size_t length) except -1:
    """Raise an error that is reported if the two top bits of the type are 01, and else discarded silently (RFC 5354
    4)."""
    cdef bint report = (kind & 0xC0) == 0x40
    information = b""
    if report and TLV_HEADER + padded(length) <= MAX_ERROR_OCTETS:
        information = PyBytes_FromStringAndSize(<const char *>octets, <Py_ssize_t>length)
    raise RemoteProtocolError(
        f"unrecognized message type 0x{kind:02x}",
        cause=Cause.UNRECOGNIZED_MESSAGE, information=information, report=report,
    )


cdef Cursor open_message(const uint8_t *octets, size_t size, uint8_t last_known) except *:
    """Check the header and return a Cursor over the rest. Only final padding may follow the Message Length."""
    cdef size_t length
    cdef bint known
    if size < MESSAGE_HEADER:
        raise RemoteProtocolError("the octets end inside the message header", cause=Cause.INVALID_VALUES)
    known = 1 <= octets[0] <= last_known
    if not known and (octets[0] & 0xC0) != 0x40:
        unknown_message(octets[0], octets, size)
    length = load_u16(octets + 2)
    if length < MESSAGE_HEADER or length > size or size > padded(length):
        raise RemoteProtocolError(f"message length {length} in {size} octets", cause=Cause.INVALID_VALUES)
    if not known:
        unknown_message(octets[0], octets, length)
    return reading(octets + MESSAGE_HEADER, length - MESSAGE_HEADER)


def decode(bytes data not None, str protocol not None):
    """Decode one ASAP ("asap") or ENRP ("enrp") message; see rserpool.messages.decode."""
    cdef const uint8_t *octets = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef size_t size = <size_t>PyBytes_GET_SIZE(data)
    cdef Skipped skipped = Skipped.__new__(Skipped)
    cdef bint enrp = protocol == "enrp"
    cdef Cursor c
    if not enrp and protocol != "asap":
        raise LocalProtocolError(f"no such protocol: {protocol!r}")
    try:
        c = open_message(octets, size, <uint8_t>ENRP_ERROR if enrp else <uint8_t>ASAP_ERROR)
        if enrp:
            return enrp_message(octets[0], octets[1], &c, skipped)
        return asap_message(octets[0], octets[1], &c, skipped)
    except RemoteProtocolError as error:
        # A receiver never answers an error message (RFC 5352 2.2.14).
        if size and octets[0] == (<uint8_t>ENRP_ERROR if enrp else <uint8_t>ASAP_ERROR):
            error.report = False
        raise


cdef object read_parameter(const Tlv *t, Skipped skipped):
    if t.type == T_POLICY:
        return read_policy(t)
    if t.type == T_POOL_ELEMENT:
        return read_pool_element(t, skipped)
    if t.type == T_SERVER_INFORMATION:
        return read_server_information(t, skipped)
    return read_transport(t, skipped)


def decode_parameter(bytes octets not None, record_class):
    """Decode one parameter; see rserpool.messages.decode_parameter."""
    cdef Cursor c = reading(<const uint8_t *>PyBytes_AS_STRING(octets), <size_t>PyBytes_GET_SIZE(octets))
    cdef Skipped skipped = Skipped.__new__(Skipped)
    cdef Tlv t
    if kind_of_class(record_class) > K_SERVER_INFORMATION:
        raise LocalProtocolError(f"{record_class.__name__} is not a parameter")
    if not next_tlv(&c, &t, skipped):
        raise RemoteProtocolError("there is no parameter", cause=Cause.INVALID_VALUES)
    record = read_parameter(&t, skipped)
    finish(&c, &t, skipped)
    if type(record) is not record_class:
        invalid(&t, f"parameter 0x{t.type:04x} where a {record_class.__name__} is expected")
    return record


def decode_handle_table_head(bytes data not None):
    """Decode an ENRP_HANDLE_TABLE_RESPONSE without its entries; see rserpool.messages.decode_handle_table_head."""
    cdef const uint8_t *octets = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef Cursor c = open_message(octets, <size_t>PyBytes_GET_SIZE(data), <uint8_t>ENRP_ERROR)
    if octets[0] != ENRP_HANDLE_TABLE_RESPONSE:
        raise RemoteProtocolError(
            f"message type 0x{octets[0]:02x} where a handle table response is expected", cause=Cause.INVALID_VALUES
        )
    sender = take_u32(&c)
    receiver = take_u32(&c)
    return make(K_HANDLE_TABLE_RESPONSE, sender, receiver, (octets[1] & FLAG_FIRST) != 0,
                (octets[1] & FLAG_MORE) != 0, (), ())


def message_type(bytes octets not None) -> int:
    """The type of a message; 0, which is not the type of any message, if there are no octets."""
    return (<const uint8_t *>PyBytes_AS_STRING(octets))[0] if PyBytes_GET_SIZE(octets) else 0


def message_flags(bytes octets not None) -> int:
    """The flags of a message; 0 if the octets end before them."""
    return (<const uint8_t *>PyBytes_AS_STRING(octets))[1] if PyBytes_GET_SIZE(octets) > 1 else 0


def message_length(bytes octets not None) -> int:
    """The Message Length (RFC 5354 4), at least 4 in a valid message; 0 if the octets end before it."""
    if PyBytes_GET_SIZE(octets) < MESSAGE_HEADER:
        return 0
    return load_u16(<const uint8_t *>PyBytes_AS_STRING(octets) + 2)


def pool_element_identifier(bytes parameter not None) -> int:
    """The PE identifier in an encoded Pool Element parameter. Raises RemoteProtocolError if it is missing."""
    cdef Cursor c = reading(<const uint8_t *>PyBytes_AS_STRING(parameter), <size_t>PyBytes_GET_SIZE(parameter))
    take_u32(&c)
    return take_u32(&c)

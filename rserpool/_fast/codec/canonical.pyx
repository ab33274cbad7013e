"""The scanner of canonical Pool Element parameters; see canonical.pxd."""

from rserpool._fast.codec.cursor cimport Cursor, left, load_u16, load_u32, padded, reading
from rserpool._fast.codec.tlv cimport (
    T_DCCP_TRANSPORT, T_IPV4_ADDRESS, T_IPV6_ADDRESS, T_OPAQUE_TRANSPORT, T_POLICY, T_POOL_ELEMENT, T_SCTP_TRANSPORT,
    T_UDP_LITE_TRANSPORT,
)

from rserpool.errors import LocalProtocolError


cdef size_t count_addresses(Cursor c) noexcept nogil:
    """The number of address parameters; 0 if the octets hold anything else."""
    cdef size_t count = 0
    cdef uint32_t head
    while left(&c) >= 8:
        head = load_u32(c.at)
        if head == (<uint32_t>T_IPV4_ADDRESS << 16 | 8):
            c.at += 8
        elif head == (<uint32_t>T_IPV6_ADDRESS << 16 | 20) and left(&c) >= 20:
            c.at += 20
        else:
            return 0
        count += 1
    return count if left(&c) == 0 else 0


cdef bint next_zero_padded(Cursor *c, uint16_t *type, Cursor *value) noexcept nogil:
    """Take one parameter. False if it is incomplete or its padding is not zero."""
    cdef size_t length, i
    if left(c) < 4:
        return False
    type[0] = load_u16(c.at)
    length = load_u16(c.at + 2)
    if length < 4 or left(c) < padded(length):
        return False
    for i in range(length, padded(length)):
        if c.at[i]:
            return False
    value[0] = reading(c.at + 4, length - 4)
    c.at += padded(length)
    return True


cdef bint good_transport(uint16_t type, Cursor value, uint16_t *use) noexcept nogil:
    """Check a transport and read its transport use, which is 0 for all but SCTP."""
    cdef size_t fixed = 8 if type == T_DCCP_TRANSPORT else 4
    use[0] = 0
    if type == T_OPAQUE_TRANSPORT:
        return True
    if type < T_DCCP_TRANSPORT or type > T_UDP_LITE_TRANSPORT or left(&value) < fixed:
        return False
    if type == T_SCTP_TRANSPORT:
        use[0] = load_u16(value.at + 2)
    value.at += fixed
    if type == T_SCTP_TRANSPORT:
        return count_addresses(value) >= 1
    return count_addresses(value) == 1


cdef bint canonical(const uint8_t *data, size_t size, Scan *found) noexcept nogil:
    cdef Cursor c = reading(data, size)
    cdef Cursor value
    cdef uint16_t type, use
    if size < TRANSPORT_OFFSET or size > 65536 or load_u16(data) != T_POOL_ELEMENT:
        return False
    found.length = load_u16(data + 2)
    if padded(found.length) != size:
        return False
    found.identifier = load_u32(data + 4)
    c.at += TRANSPORT_OFFSET
    if not next_zero_padded(&c, &found.transport_type, &value):
        return False
    if not good_transport(found.transport_type, value, &found.transport_use):
        return False
    found.policy_at = <uint16_t>(c.at - data)
    if not next_zero_padded(&c, &type, &value) or type != T_POLICY or left(&value) < 4:
        return False
    found.policy_type = load_u32(value.at)
    found.policy_length = <uint16_t>(left(&value) + 4)
    found.asap_length = <uint16_t>(value.end - data)
    if left(&c) == 0:
        return found.length == found.asap_length
    if not next_zero_padded(&c, &type, &value) or type != T_SCTP_TRANSPORT or not good_transport(type, value, &use):
        return False
    return left(&c) == 0 and found.length == size


cdef int scan_element(const uint8_t *data, size_t size, Scan *found) except -1:
    if not canonical(data, size, found):
        raise LocalProtocolError("not one canonical Pool Element parameter")
    return 0

"""A second codec for ASAP and ENRP, in plain Python and table-driven: slow, and independent of the codec under test.

It shares only the record classes with the library.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from rserpool import messages as m

PLAIN: dict[int, type[m.TCPTransport | m.UDPTransport | m.UDPLiteTransport]] = {
    5: m.TCPTransport,
    6: m.UDPTransport,
    7: m.UDPLiteTransport,
}
TRANSPORTS = {3, 4, 5, 6, 7, 16}
POLICY_WORDS = {
    **dict.fromkeys((1, 3), 0),
    **dict.fromkeys((2, 4, 5, 0x40000001, 0x40000004), 1),
    **dict.fromkeys((0x40000002, 0x40000003, 0xB0001001, 0xB0001002, 0xB0001003, 0xB0001004), 2),
    **dict.fromkeys((0xB0002001, 0xB0002002), 3),
    **dict.fromkeys((0xB0002003, 0xB0002004, 0xB0002005), 4),
}
FIRST_FLAG = {
    m.RegistrationResponse: "reject",
    m.HandleResolution: "subscribe",
    m.HandleResolutionResponse: "accept_subscription",
    m.EndpointKeepAlive: "home",
    m.Presence: "reply_required",
    m.HandleTableRequest: "own_only",
    m.HandleTableResponse: "reject",
    m.HandleUpdate: "takeover_suggested",
    m.ListResponse: "reject",
}
# (record field, parameter type, number of occurrences: 1, "?", "*" or "+") in wire order.
HANDLE = ("pool_handle", 9, "1")
IDENTIFIER = ("pe_identifier", 14, "1")
ERROR = ("operation_error", 12, "1")
BODY: dict[type, tuple[tuple[str, int, str], ...]] = {
    m.Registration: (HANDLE, ("pool_element", 10, "1")),
    m.Deregistration: (HANDLE, IDENTIFIER),
    m.RegistrationResponse: (HANDLE, IDENTIFIER, ("operation_error", 12, "?")),
    m.DeregistrationResponse: (HANDLE, IDENTIFIER, ("operation_error", 12, "?")),
    m.HandleResolution: (HANDLE, ("items", 0x803F, "?")),
    m.HandleResolutionResponse: (
        HANDLE,
        ("policy", 8, "?"),
        ("pool_elements", 10, "*"),
        ("operation_error", 12, "?"),
    ),
    m.EndpointKeepAlive: (HANDLE, ("pe_identifier", 14, "?")),
    m.EndpointKeepAliveAck: (HANDLE, IDENTIFIER),
    m.EndpointUnreachable: (HANDLE, IDENTIFIER),
    m.ServerAnnounce: (("transports", 4, "*"),),
    m.Cookie: (("cookie", 13, "1"),),
    m.CookieEcho: (("cookie", 13, "1"),),
    m.BusinessCard: (HANDLE, ("policy", 8, "?"), ("pool_elements", 10, "+")),
    m.AsapError: (ERROR,),
    m.Presence: (("pe_checksum", 15, "?"), ("server_information", 11, "?")),
    m.HandleTableRequest: (),
    m.HandleUpdate: (HANDLE, ("pool_element", 10, "1")),
    m.ListRequest: (),
    m.ListResponse: (("servers", 11, "*"),),
    m.InitTakeover: (),
    m.InitTakeoverAck: (),
    m.TakeoverServer: (),
    m.EnrpError: (ERROR,),
}


class RefusedError(Exception):
    """The counterpart of the library's RemoteProtocolError."""

    def __init__(self, cause: int, information: bytes = b"", report: bool = True) -> None:
        super().__init__(cause)
        self.cause = cause
        self.information = information if len(pad(information)) + 4 <= 65516 else b""
        self.report = report


def pad(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)


@dataclass
class Skipping:
    option: bool = False
    count: int = 0
    reported: list[bytes] = field(default_factory=list)

    def skip(self, kind: int, raw: bytes) -> None:
        if kind < 0x8000:
            raise RefusedError(1, raw if kind & 0x4000 else b"", bool(kind & 0x4000))
        self.count += 1
        if self.count > 16:
            raise RefusedError(3, report=False)
        size = sum(len(pad(tlv)) + 4 for tlv in [*self.reported, raw])
        if kind & 0x4000 and size <= 65516:
            self.reported.append(raw)


def tlvs(octets: bytes, skipping: Skipping) -> Iterator[tuple[int, bytes, bytes]]:
    """Split into recognised TLVs: (type, value, whole)."""
    while octets:
        if len(octets) < 4:
            raise RefusedError(3)
        kind, length = struct.unpack_from("!HH", octets)
        if not 4 <= length <= len(octets):
            raise RefusedError(3)
        raw = octets[:length]
        octets = octets[length + -length % 4 :]
        if 1 <= kind <= 16 or (kind == 0x803F and skipping.option):
            yield kind, raw[4:], raw
        else:
            skipping.skip(kind, raw)


def take(form: str, value: bytes, raw: bytes) -> tuple[Any, ...]:
    if len(value) < struct.calcsize(form):
        raise RefusedError(3, raw)
    return struct.unpack_from(form, value)


def address(kind: int, value: bytes, raw: bytes) -> IPv4Address | IPv6Address:
    if kind == 1 and len(value) == 4:
        return IPv4Address(value)
    if kind == 2 and len(value) == 16:
        return IPv6Address(value)
    raise RefusedError(3, raw)


def transport(kind: int, value: bytes, raw: bytes, skipping: Skipping) -> m.Transport:
    if kind not in TRANSPORTS:
        raise RefusedError(3, raw)
    if kind == 16:
        if len(value) > 1024:
            raise RefusedError(3, raw)
        return m.OpaqueTransport(value=value)
    fixed = take("!HHI" if kind == 3 else "!HH", value, raw)
    found: list[IPv4Address | IPv6Address] = []
    for inner in tlvs(value[8 if kind == 3 else 4 :], skipping):
        if len(found) == (32 if kind == 4 else 1):
            raise RefusedError(3, raw)
        found.append(address(*inner))
    if not found:
        raise RefusedError(3, raw)
    if kind == 4:
        return m.SCTPTransport(port=fixed[0], transport_use=fixed[1], addresses=tuple(found))
    if kind == 3:
        return m.DCCPTransport(port=fixed[0], reserved=fixed[1], service_code=fixed[2], address=found[0])
    return PLAIN[kind](port=fixed[0], reserved=fixed[1], address=found[0])


def policy(value: bytes, raw: bytes) -> m.Policy:
    (kind,) = take("!I", value, raw)
    if kind in (0, 0x40000000):
        raise RefusedError(3, raw)
    if kind not in POLICY_WORDS:
        return m.Policy(policy_type=kind, data=value[4:])
    return m.Policy(policy_type=kind, values=take(f"!{POLICY_WORDS[kind]}I", value[4:], raw))


def pool_element(value: bytes, raw: bytes, skipping: Skipping) -> m.PoolElement:
    identifier, home, life = take("!IIi", value, raw)
    policies: list[m.Policy] = []
    sctp: list[Any] = []
    other: list[Any] = []
    for kind, inner, inner_raw in tlvs(value[12:], skipping):
        if kind == 8 and not policies:
            policies.append(policy(inner, inner_raw))
        elif kind == 4 and len(sctp) < 2:
            sctp.append(transport(kind, inner, inner_raw, skipping))
        elif kind in TRANSPORTS - {4} and not other:
            other.append(transport(kind, inner, inner_raw, skipping))
        else:
            raise RefusedError(3, inner_raw)
    transports = other + sctp
    if not policies or not 1 <= len(transports) <= 2:
        raise RefusedError(3, raw)
    return m.PoolElement(
        identifier=identifier,
        home_identifier=home,
        registration_life=life,
        user_transport=transports[0],
        policy=policies[0],
        asap_transport=transports[1] if len(transports) == 2 else None,
    )


def server_information(value: bytes, raw: bytes, skipping: Skipping) -> m.ServerInformation:
    (identifier,) = take("!I", value, raw)
    inside = tlvs(value[4:], skipping)
    first = next(inside, None)
    if first is None or first[0] != 4:
        raise RefusedError(3, raw)
    found: Any = transport(*first, skipping)
    for _, _, extra in inside:
        raise RefusedError(3, extra)
    return m.ServerInformation(server_identifier=identifier, transport=found)


def operation_error(value: bytes, raw: bytes) -> tuple[m.ErrorCause, ...]:
    causes = []
    while value:
        code, length = take("!HH", value, raw)
        if not 4 <= length <= len(value):
            raise RefusedError(3, raw)
        causes.append(m.ErrorCause(code=code, information=value[4:length]))
        value = value[length + -length % 4 :]
    if not causes:
        raise RefusedError(3, raw)
    return tuple(causes)


def parameter(kind: int, value: bytes, raw: bytes, skipping: Skipping) -> Any:
    if kind in TRANSPORTS:
        return transport(kind, value, raw, skipping)
    if kind == 8:
        return policy(value, raw)
    if kind == 10:
        return pool_element(value, raw, skipping)
    if kind == 11:
        return server_information(value, raw, skipping)
    if kind == 12:
        return operation_error(value, raw)
    if kind in (9, 13):
        if not value:
            raise RefusedError(3, raw)
        return value
    form = "!H" if kind == 15 else "!I"
    if len(value) != struct.calcsize(form):
        raise RefusedError(3, raw)
    return struct.unpack(form, value)[0]


def body(octets: bytes, record: type, skipping: Skipping) -> dict[str, Any]:
    """Read the fields named in BODY, in its order."""
    fields: dict[str, Any] = {}
    rest = tlvs(octets, skipping)
    current = next(rest, None)
    for name, kind, often in BODY[record]:
        accepted = (4, 5) if name == "transports" else (kind,)
        found: list[Any] = []
        while current is not None and current[0] in accepted and (often in "*+" or not found):
            found.append(parameter(*current, skipping))
            current = next(rest, None)
        if not found and often in "1+":
            raise RefusedError(3, current[2] if current else b"")
        if often in "*+":
            fields[name] = tuple(found)
        elif found:
            fields[name] = found[0]
    if current is not None:
        raise RefusedError(3, current[2])
    return fields


def table(octets: bytes, skipping: Skipping) -> tuple[m.PoolEntry, ...]:
    pools: list[tuple[bytes, list[m.PoolElement]]] = []
    last = 0
    for kind, value, raw in tlvs(octets, skipping):
        if kind == 9 and last != 9:
            pools.append((parameter(kind, value, raw, skipping), []))
        elif kind == 10 and pools:
            pools[-1][1].append(pool_element(value, raw, skipping))
        else:
            raise RefusedError(3, raw)
        last = kind
    if last == 9:
        raise RefusedError(3)
    return tuple(m.PoolEntry(pool_handle=handle, pool_elements=tuple(found)) for handle, found in pools)


def fixed_fields(record: type, value: bytes) -> tuple[dict[str, Any], bytes]:
    names, form = [], "!"
    if issubclass(record, m.EnrpMessage):
        names, form = ["sender_identifier", "receiver_identifier"], "!II"
    if record in (m.EndpointKeepAlive, m.ServerAnnounce):
        names, form = ["server_identifier"], "!I"
    elif record is m.HandleUpdate:
        names, form = [*names, "update_action"], form + "Hxx"
    elif record in (m.InitTakeover, m.InitTakeoverAck, m.TakeoverServer):
        names, form = [*names, "target_identifier"], form + "I"
    values = take(form, value, b"")
    return dict(zip(names, values, strict=True)), value[struct.calcsize(form) :]


def flag_fields(record: type, flags: int) -> dict[str, Any]:
    fields = {FIRST_FLAG[record]: bool(flags & 1)} if record in FIRST_FLAG else {}
    if record is m.HandleTableResponse:
        fields["more"] = bool(flags & 2)
    return fields


def open_message(octets: bytes, known: dict[int, type]) -> tuple[type, int, bytes]:
    if len(octets) < 4:
        raise RefusedError(3)
    kind, flags, length = struct.unpack_from("!BBH", octets)
    if kind not in known and kind >> 6 != 1:
        raise RefusedError(2, report=False)
    if not 4 <= length <= len(octets) <= length + -length % 4:
        raise RefusedError(3)
    if kind not in known:
        raise RefusedError(2, octets[:length])
    return known[kind], flags, octets[4:length]


def decode(octets: bytes, protocol: str) -> m.Message:
    """Return the record, or raise RefusedError."""
    known: dict[int, type] = {
        record.TYPE: record for record in (m.ENRP_MESSAGES if protocol == "enrp" else m.ASAP_MESSAGES)
    }
    try:
        record, flags, value = open_message(octets, known)
        skipping = Skipping(option=record is m.HandleResolution)
        fields, value = fixed_fields(record, value)
        fields |= flag_fields(record, flags)
        if record is m.HandleTableResponse:
            fields["pool_entries"] = table(value, skipping)
        else:
            fields |= body(value, record, skipping)
    except RefusedError as refused:
        if octets[:1] == (b"\x0a" if protocol == "enrp" else b"\x0e"):
            refused.report = False
        raise
    quiet = record in (m.AsapError, m.EnrpError)
    answer: m.Message = record(**fields, unrecognized=() if quiet else tuple(skipping.reported))
    return answer


def tlv(kind: int, *parts: bytes) -> bytes:
    """Encode one TLV without its final padding; all parts but the last are padded."""
    value = b"".join(pad(part) for part in parts[:-1]) + (parts[-1] if parts else b"")
    return struct.pack("!HH", kind, 4 + len(value)) + value


def encode_address(value: IPv4Address | IPv6Address) -> bytes:
    return tlv(1 if value.version == 4 else 2, value.packed)


def encode_transport(value: m.Transport) -> bytes:
    if isinstance(value, m.OpaqueTransport):
        return tlv(16, value.value)
    if isinstance(value, m.SCTPTransport):
        return tlv(4, struct.pack("!HH", value.port, value.transport_use), *map(encode_address, value.addresses))
    fixed = struct.pack("!HH", value.port, value.reserved)
    if isinstance(value, m.DCCPTransport):
        return tlv(3, fixed + struct.pack("!I", value.service_code), encode_address(value.address))
    return tlv({record: kind for kind, record in PLAIN.items()}[type(value)], fixed, encode_address(value.address))


def encode_policy(value: m.Policy) -> bytes:
    return tlv(8, struct.pack(f"!I{len(value.values)}I", value.policy_type, *value.values) + value.data)


def encode_pool_element(value: m.PoolElement) -> bytes:
    fixed = struct.pack("!IIi", value.identifier, value.home_identifier, value.registration_life)
    parts = [fixed, encode_transport(value.user_transport), encode_policy(value.policy)]
    if value.asap_transport is not None:
        parts.append(encode_transport(value.asap_transport))
    return tlv(10, *parts)


def encode_parameter(kind: int, value: Any) -> bytes:
    if kind == 4:
        return encode_transport(value)
    if kind == 8:
        return encode_policy(value)
    if kind == 10:
        return encode_pool_element(value)
    if kind == 11:
        return tlv(11, struct.pack("!I", value.server_identifier), encode_transport(value.transport))
    if kind == 12:
        return tlv(12, *(tlv(cause.code, cause.information) for cause in value))
    if kind in (9, 13):
        return tlv(kind, value)
    return tlv(kind, struct.pack("!H" if kind == 15 else "!I", value))


def encode(record: Any) -> bytes:
    """Encode a message in RFC form."""
    kind = type(record)
    names, form = [], "!"
    probe, _ = fixed_fields(kind, bytes(64))
    for name in probe:
        names.append(name)
        form += "Hxx" if name == "update_action" else "I"
    parts = [struct.pack(form, *(getattr(record, name) for name in names))]
    if kind is m.HandleTableResponse:
        for entry in record.pool_entries:
            parts += [tlv(9, entry.pool_handle), *map(encode_pool_element, entry.pool_elements)]
    else:
        for name, code, often in BODY[kind]:
            value = getattr(record, name)
            if often in "*+":
                parts += [encode_parameter(code, one) for one in value]
            elif often == "1" or (value is not None and value != ()):
                parts.append(encode_parameter(code, value))
    flags = int(kind in FIRST_FLAG and getattr(record, FIRST_FLAG[kind]))
    flags |= 2 * int(kind is m.HandleTableResponse and record.more)
    value = tlv(0, *parts)[4:]
    return pad(struct.pack("!BBH", kind.TYPE, flags, 4 + len(value)) + value)

"""Malformed messages and their errors: action bits, lengths, padding, order, limits (RFC 5354 2-4)."""

import contextlib
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from rserpool import messages as m
from rserpool.errors import Cause, RemoteProtocolError

HANDLE = bytes.fromhex("0009000c4563686f506f6f6c")
PE_ID = bytes.fromhex("000e0008aabbcc01")
V4 = bytes.fromhex("000100080a2c0001")
V6 = bytes.fromhex("0002001420010db8000000000000000000000001")
ROUND_ROBIN = bytes.fromhex("0008000800000001")
ERROR = bytes.fromhex("000c000800090004")
IDS = bytes.fromhex("1111111122222222")


def tlv(kind: int, *parts: bytes) -> bytes:
    value = b"".join(parts)
    return struct.pack("!HH", kind, len(value) + 4) + value + bytes(-len(value) % 4)


def message(kind: int, *parts: bytes, flags: int = 0) -> bytes:
    value = b"".join(parts)
    return struct.pack("!BBH", kind, flags, len(value) + 4) + value


def sctp(*addresses: bytes, port: int = 7777, use: int = 0) -> bytes:
    return tlv(4, struct.pack("!HH", port, use), *addresses)


def plain(kind: int, *addresses: bytes) -> bytes:
    return tlv(kind, bytes.fromhex("1e610000"), *addresses)


def element(*parts: bytes) -> bytes:
    return tlv(10, bytes.fromhex("aabbcc0100000000000493e0"), *parts)


SCTP = sctp(V4)
ELEMENT = element(SCTP, ROUND_ROBIN)


def register(*parts: bytes) -> bytes:
    return message(1, HANDLE, element(*parts))


def refusal(octets: bytes, protocol: Any = "asap") -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        m.decode(octets, protocol)
    return caught.value


def decoded_element(*parts: bytes) -> m.PoolElement:
    record = m.decode(register(*parts), "asap")
    assert isinstance(record, m.Registration)
    return record.pool_element


# Action bits of unrecognised parameters.


@pytest.mark.conformance("PAR-3-02")
@pytest.mark.parametrize("kind", [0x0000, 0x0011, 0x003F, 0x3FFF])
def test_class_00_discards_silently(kind: int) -> None:
    error = refusal(message(5, HANDLE, tlv(kind, b"x")))
    assert (error.cause, error.information, error.report) == (Cause.UNRECOGNIZED_PARAMETER, b"", False)


@pytest.mark.conformance("PAR-3-03", "PAR-3.12.2-01", "PAR-3.12-02")
@pytest.mark.parametrize("kind", [0x4000, 0x4009, 0x7FFF])
def test_class_01_discards_and_reports_the_parameter_without_padding(kind: int) -> None:
    error = refusal(message(5, HANDLE, tlv(kind, b"x")))
    assert (error.cause, error.report) == (Cause.UNRECOGNIZED_PARAMETER, True)
    assert error.information == tlv(kind, b"x")[:5]


@pytest.mark.conformance("PAR-3-04")
@pytest.mark.parametrize("kind", [0x8000, 0x8009, 0x8123, 0xBFFF])
def test_class_10_is_skipped_silently(kind: int) -> None:
    record = m.decode(message(5, tlv(kind, b"xy"), HANDLE, tlv(kind)), "asap")
    assert record == m.HandleResolution(pool_handle=b"EchoPool")
    assert record.unrecognized == ()


@pytest.mark.conformance("PAR-3-05", "PAR-3.12.2-02")
@pytest.mark.parametrize("kind", [0xC000, 0xC009, 0xFFFF])
def test_class_11_is_skipped_and_kept_for_a_report(kind: int) -> None:
    record = m.decode(message(5, tlv(kind, b"xy"), HANDLE, tlv(kind)), "asap")
    assert record == m.HandleResolution(pool_handle=b"EchoPool")
    assert record.unrecognized == (tlv(kind, b"xy")[:6], tlv(kind))


@pytest.mark.parametrize("kind", [0x0123, 0x4123, 0x8123, 0xC123])
def test_action_bits_apply_at_every_depth(kind: int) -> None:
    unknown = tlv(kind, b"x")
    for octets in (register(SCTP, unknown, ROUND_ROBIN), register(sctp(V4, unknown), ROUND_ROBIN)):
        if kind < 0x8000:
            assert refusal(octets).cause is Cause.UNRECOGNIZED_PARAMETER
        else:
            record = m.decode(octets, "asap")
            assert record == m.decode(register(SCTP, ROUND_ROBIN), "asap")
            assert record.unrecognized == ((unknown[:5],) if kind >= 0xC000 else ())


def test_handle_resolution_option_is_unrecognized_in_other_messages() -> None:
    option = bytes.fromhex("803f000800000003")
    assert m.decode(message(2, HANDLE, PE_ID, option), "asap") == m.decode(message(2, HANDLE, PE_ID), "asap")
    assert refusal(message(5, HANDLE, option, option)).information == option
    assert refusal(message(5, option, HANDLE)).information == option
    assert refusal(message(5, HANDLE, tlv(0x803F, b"\0\0"))).cause is Cause.INVALID_VALUES


def test_message_with_more_than_sixteen_unrecognized_parameters_is_discarded_silently() -> None:
    for kind in (0x8123, 0xC123):
        assert isinstance(m.decode(message(5, HANDLE, tlv(kind) * 16), "asap"), m.HandleResolution)
        error = refusal(message(5, HANDLE, tlv(kind) * 17))
        assert (error.cause, error.report) == (Cause.INVALID_VALUES, False)


def test_reported_parameters_fit_into_one_error_message() -> None:
    parts = [tlv(0xC123, bytes([number]) * 4000) for number in range(16)]
    record = m.decode(message(5, HANDLE, *parts), "asap")
    assert record.unrecognized == tuple(parts)
    # The longest parameter that an ENRP_ERROR can carry, and one octet more.
    for size, fits in ((65508, True), (65509, False)):
        record = m.decode(message(5, tlv(9, b"a"), tlv(0xC123, bytes(size)), tlv(0xC124)), "asap")
        assert record.unrecognized == ((tlv(0xC123, bytes(size)),) if fits else (tlv(0xC124),))
        error = refusal(message(5, tlv(9, b"a"), tlv(0x4123, bytes(size))))
        assert error.information == (tlv(0x4123, bytes(size)) if fits else b"")
        cause = m.ErrorCause(code=error.cause, information=error.information)
        m.EnrpError(sender_identifier=1, receiver_identifier=2, operation_error=(cause,)).encode()


# Unrecognised messages.


@pytest.mark.conformance("PAR-4-01", "PAR-4-03", "PAR-4-08")
@pytest.mark.parametrize("kind", [0x00, 0x0F, 0x3F, 0x80, 0xBF, 0xC0, 0xFF])
@pytest.mark.parametrize("protocol", ["asap", "enrp"])
def test_unrecognized_message_is_discarded_silently(kind: int, protocol: str) -> None:
    error = refusal(message(kind, HANDLE), protocol)
    assert (error.cause, error.information, error.report) == (Cause.UNRECOGNIZED_MESSAGE, b"", False)


@pytest.mark.conformance("PAR-4-02", "PAR-3.12.3-01")
@pytest.mark.parametrize("kind", [0x40, 0x7F])
@pytest.mark.parametrize("protocol", ["asap", "enrp"])
def test_unrecognized_message_with_bits_01_is_reported(kind: int, protocol: str) -> None:
    octets = message(kind, HANDLE)
    error = refusal(octets, protocol)
    assert (error.cause, error.information, error.report) == (Cause.UNRECOGNIZED_MESSAGE, octets, True)
    assert refusal(octets[:-1], protocol).cause is Cause.INVALID_VALUES


def test_asap_and_enrp_types_are_separate() -> None:
    assert refusal(message(0x0B, IDS), "enrp").cause is Cause.UNRECOGNIZED_MESSAGE
    assert isinstance(m.decode(message(0x0B, tlv(13, b"x")), "asap"), m.Cookie)


@pytest.mark.parametrize(("kind", "protocol"), [(0x0E, "asap"), (0x0A, "enrp")])
def test_malformed_error_message_is_not_reported(kind: int, protocol: str) -> None:
    head = IDS if protocol == "enrp" else b""
    for tail in (b"", tlv(12), tlv(0x4123), ERROR + ERROR, b"\0"):
        assert refusal(message(kind, head, tail), protocol).report is False
    assert refusal(bytes([kind]), protocol).report is False
    assert m.decode(message(kind, head, ERROR, tlv(0xC123)), protocol).unrecognized == ()  # type: ignore[arg-type]


# Lengths and padding.


@pytest.mark.parametrize("size", range(4))
def test_incomplete_header_is_refused(size: int) -> None:
    assert refusal(message(5, HANDLE)[:size]).cause is Cause.INVALID_VALUES


@pytest.mark.conformance("PAR-4-05", "PAR-4-07", "PAR-3-10")
@pytest.mark.parametrize("octets", ["0500000d000900095465737435eeeeee", "05000010000900095465737435eeeeee"])
def test_message_length_may_count_the_final_padding(octets: str) -> None:
    assert m.decode(bytes.fromhex(octets), "asap") == m.HandleResolution(pool_handle=b"Test5")


@pytest.mark.parametrize("sent", range(13, 17))
def test_final_padding_may_be_missing(sent: int) -> None:
    octets = bytes.fromhex("0500000d00090009546573743500000000")
    assert m.decode(octets[:sent], "asap") == m.HandleResolution(pool_handle=b"Test5")


@pytest.mark.parametrize("length", [0, 1, 2, 3, 15, 17, 20, 0xFFFF])
def test_wrong_message_length_is_refused(length: int) -> None:
    octets = bytearray(message(5, HANDLE))
    octets[2:4] = struct.pack("!H", length)
    assert refusal(bytes(octets)).cause is Cause.INVALID_VALUES


def test_octets_after_the_final_padding_are_refused() -> None:
    assert refusal(message(5, HANDLE) + b"\0").cause is Cause.INVALID_VALUES
    assert refusal(bytes.fromhex("0500000d0009000954657374350000000000")).cause is Cause.INVALID_VALUES
    assert refusal(message(5, HANDLE) * 2).cause is Cause.INVALID_VALUES


@pytest.mark.conformance("PAR-3-06", "PAR-3-09")
@pytest.mark.parametrize("length", [0, 1, 2, 3, 13, 0xFFFF])
def test_wrong_parameter_length_is_refused(length: int) -> None:
    octets = bytearray(message(5, HANDLE))
    octets[6:8] = struct.pack("!H", length)
    assert refusal(bytes(octets)).cause is Cause.INVALID_VALUES


def test_four_octets_after_a_parameter_are_another_parameter() -> None:
    assert refusal(message(5, tlv(9, b"Test5"), bytes(4))).cause is Cause.INVALID_VALUES


@pytest.mark.parametrize("cut", range(1, 12))
def test_truncated_parameter_is_refused(cut: int) -> None:
    assert refusal(message(5, HANDLE[:-cut])).cause is Cause.INVALID_VALUES


@pytest.mark.parametrize("kind", range(1, 15))
@pytest.mark.parametrize("protocol", ["asap", "enrp"])
def test_message_without_its_fields_is_refused(kind: int, protocol: str) -> None:
    if protocol == "enrp" and kind > 10:
        return
    assert refusal(message(kind), protocol).cause is Cause.INVALID_VALUES


# Values.


@pytest.mark.conformance("PAR-3.1-01", "PAR-3.2-01", "PAR-3.4-01", "PAR-3.5-01", "PAR-3.10-01", "PAR-3.14-01")
@pytest.mark.parametrize(
    ("octets", "information"),
    [
        pytest.param(message(5, tlv(9)), tlv(9), id="empty handle"),
        pytest.param(message(11, tlv(13)), tlv(13), id="empty cookie"),
        pytest.param(message(2, HANDLE, tlv(14, b"abc")), tlv(14, b"abc")[:7], id="PE identifier of 3 octets"),
        pytest.param(message(2, HANDLE, tlv(14, bytes(8))), tlv(14, bytes(8)), id="PE identifier of 8 octets"),
        pytest.param(register(sctp(), ROUND_ROBIN), sctp(), id="no address"),
        pytest.param(register(sctp(*[V4] * 33), ROUND_ROBIN), sctp(*[V4] * 33), id="33 addresses"),
        pytest.param(register(tlv(4, b"\0\0"), ROUND_ROBIN), tlv(4, b"\0\0")[:6], id="transport cut short"),
        pytest.param(register(tlv(3, bytes(4), V4[:4]), ROUND_ROBIN), None, id="DCCP cut short"),
        pytest.param(register(plain(5, V4, V4), ROUND_ROBIN), plain(5, V4, V4), id="TCP, two addresses"),
        pytest.param(register(plain(6), ROUND_ROBIN), plain(6), id="UDP, no address"),
        pytest.param(register(plain(7, V4, V6), ROUND_ROBIN), plain(7, V4, V6), id="UDP-Lite, two addresses"),
        pytest.param(register(sctp(tlv(1, bytes(3))), ROUND_ROBIN), tlv(1, bytes(3))[:7], id="IPv4 of 3 octets"),
        pytest.param(register(sctp(tlv(1, bytes(8))), ROUND_ROBIN), tlv(1, bytes(8)), id="IPv4 of 8 octets"),
        pytest.param(register(sctp(tlv(2, bytes(4))), ROUND_ROBIN), tlv(2, bytes(4)), id="IPv6 of 4 octets"),
        pytest.param(register(sctp(SCTP), ROUND_ROBIN), SCTP, id="transport in a transport"),
        pytest.param(register(sctp(V4, HANDLE), ROUND_ROBIN), HANDLE, id="handle in a transport"),
        pytest.param(register(tlv(16, bytes(1025)), ROUND_ROBIN), tlv(16, bytes(1025))[:1029], id="long opaque"),
        pytest.param(register(SCTP), element(SCTP), id="no policy"),
        pytest.param(register(ROUND_ROBIN), element(ROUND_ROBIN), id="no transport"),
        pytest.param(register(SCTP, ROUND_ROBIN, ROUND_ROBIN), ROUND_ROBIN, id="two policies"),
        pytest.param(register(SCTP, ROUND_ROBIN, SCTP, SCTP), SCTP, id="three SCTP transports"),
        pytest.param(register(plain(5, V4), plain(6, V4), ROUND_ROBIN), plain(6, V4), id="two user transports"),
        pytest.param(
            register(plain(5, V4), ROUND_ROBIN, SCTP, SCTP),
            element(plain(5, V4), ROUND_ROBIN, SCTP, SCTP),
            id="TCP and two SCTP transports",
        ),
        pytest.param(register(SCTP, HANDLE, ROUND_ROBIN), HANDLE, id="handle in an element"),
        pytest.param(register(SCTP, ELEMENT, ROUND_ROBIN), ELEMENT, id="element in an element"),
        pytest.param(message(1, HANDLE, tlv(10, bytes(8))), tlv(10, bytes(8)), id="element cut short"),
        pytest.param(register(SCTP, tlv(8, b"\0\0")), tlv(8, b"\0\0")[:6], id="policy cut short"),
        pytest.param(register(SCTP, tlv(8, bytes(4))), tlv(8, bytes(4)), id="policy type 0"),
        pytest.param(register(SCTP, tlv(8, b"\x40\0\0\0")), tlv(8, b"\x40\0\0\0"), id="policy type 0x40000000"),
        pytest.param(message(3, HANDLE, PE_ID, tlv(12)), tlv(12), id="error without a cause"),
        pytest.param(message(3, HANDLE, PE_ID, tlv(12, b"\0\1\0\3")), tlv(12, b"\0\1\0\3"), id="cause length 3"),
        pytest.param(message(3, HANDLE, PE_ID, tlv(12, b"\0\1\0\5")), tlv(12, b"\0\1\0\5"), id="cause length 5"),
        pytest.param(message(3, HANDLE, PE_ID, tlv(12, b"\0\1")), tlv(12, b"\0\1")[:6], id="half a cause"),
        pytest.param(message(10, IDS[:4], plain(6, V4)), plain(6, V4), id="UDP announced"),
        pytest.param(message(13, HANDLE), b"", id="card without elements"),
    ],
)
def test_invalid_asap_parameter_is_reported(octets: bytes, information: bytes | None) -> None:
    error = refusal(octets)
    assert (error.cause, error.report) == (Cause.INVALID_VALUES, True)
    if information is not None:
        assert error.information == information


@pytest.mark.conformance("PAR-3.11-01", "PAR-3.15-01")
@pytest.mark.parametrize(
    ("octets", "information"),
    [
        pytest.param(message(1, IDS, tlv(15, bytes(4))), tlv(15, bytes(4)), id="checksum of 4 octets"),
        pytest.param(message(1, IDS, tlv(11, bytes(4))), tlv(11, bytes(4)), id="server without a transport"),
        pytest.param(message(1, IDS, tlv(11, bytes(2))), tlv(11, bytes(2))[:6], id="server cut short"),
        pytest.param(message(6, IDS, tlv(11, bytes(4), plain(5, V4))), None, id="TCP server"),
        pytest.param(message(6, IDS, tlv(11, bytes(4), SCTP, SCTP)), SCTP, id="server with two transports"),
        pytest.param(message(6, IDS, HANDLE), HANDLE, id="handle in a server list"),
        pytest.param(message(3, IDS, ELEMENT), ELEMENT, id="table without a handle"),
        pytest.param(message(3, IDS, HANDLE), b"", id="pool without elements"),
        pytest.param(message(3, IDS, HANDLE, HANDLE, ELEMENT), HANDLE, id="pool without elements in between"),
        pytest.param(message(4, IDS, b"\0\0"), b"", id="update without an action"),
        pytest.param(message(5, IDS, HANDLE), HANDLE, id="list request with a handle"),
        pytest.param(message(7, IDS), b"", id="takeover without a target"),
        pytest.param(message(2, IDS[:6]), b"", id="half the identifiers"),
    ],
)
def test_invalid_enrp_parameter_is_reported(octets: bytes, information: bytes | None) -> None:
    error = refusal(octets, "enrp")
    assert (error.cause, error.report) == (Cause.INVALID_VALUES, True)
    if information is not None:
        assert error.information == information


@pytest.mark.parametrize(
    ("octets", "information"),
    [
        (message(5, HANDLE, HANDLE), HANDLE),
        (message(1, ELEMENT, HANDLE), ELEMENT),
        (message(1, HANDLE, ELEMENT, ELEMENT), ELEMENT),
        (message(2, PE_ID, HANDLE), PE_ID),
        (message(3, HANDLE, PE_ID, ERROR, ERROR), ERROR),
        (message(6, HANDLE, ELEMENT, ROUND_ROBIN), ROUND_ROBIN),
        (message(6, HANDLE, ERROR, ELEMENT), ELEMENT),
        (message(7, IDS[:4], PE_ID, HANDLE), PE_ID),
        (message(5, V4), V4),
    ],
)
def test_duplicate_or_misplaced_parameter_is_reported(octets: bytes, information: bytes) -> None:
    error = refusal(octets)
    assert (error.cause, error.information) == (Cause.INVALID_VALUES, information)


@pytest.mark.parametrize("words", range(5))
@pytest.mark.parametrize("policy_type", m.PolicyType)
def test_short_policy_is_refused_and_long_policy_is_cut(policy_type: m.PolicyType, words: int) -> None:
    needed = len(m.POLICY_VALUES[policy_type])
    octets = tlv(8, struct.pack("!I", policy_type), bytes(4 * words))
    if words < needed:
        assert refusal(register(SCTP, octets)).information == octets
    else:
        assert decoded_element(SCTP, octets).policy == m.Policy(policy_type=policy_type, values=(0,) * needed)


def test_unknown_policy_is_encoded_to_the_same_octets() -> None:
    octets = tlv(8, bytes.fromhex("800000016162636465"))
    policy = decoded_element(SCTP, octets).policy
    assert policy == m.Policy(policy_type=0x80000001, data=b"abcde")
    assert policy.encode() == octets


# Unusual messages that decoding accepts.


@pytest.mark.conformance("PAR-3.10-02")
def test_parameters_of_a_pool_element_may_have_any_order() -> None:
    other = sctp(V6, port=17777)
    both = (SCTP, other)
    for parts in ((SCTP, ROUND_ROBIN, other), (ROUND_ROBIN, *both), (*both, ROUND_ROBIN)):
        found = decoded_element(*parts)
        assert isinstance(found.user_transport, m.SCTPTransport)
        assert (found.user_transport.port, found.asap_transport and found.asap_transport.port) == (7777, 17777)
    for parts in ((plain(5, V4), ROUND_ROBIN, SCTP), (SCTP, plain(5, V4), ROUND_ROBIN)):
        found = decoded_element(*parts)
        assert found.user_transport == m.TCPTransport(port=7777, address=IPv4Address("10.44.0.1"))
        assert found.asap_transport == m.SCTPTransport(port=7777, addresses=(IPv4Address("10.44.0.1"),))


def test_thirty_two_addresses_and_any_transport_use_are_accepted() -> None:
    transport = decoded_element(sctp(*[V4, V6] * 16, use=2), ROUND_ROBIN).user_transport
    addresses = (IPv4Address("10.44.0.1"), IPv6Address("2001:db8::1"))
    assert transport == m.SCTPTransport(port=7777, transport_use=2, addresses=addresses * 16)


def test_reserved_fields_may_have_any_value() -> None:
    transport = decoded_element(tlv(5, bytes.fromhex("1e61beef"), V4), ROUND_ROBIN).user_transport
    assert transport == m.TCPTransport(port=7777, address=IPv4Address("10.44.0.1"), reserved=0xBEEF)
    update = m.decode(message(4, IDS, bytes.fromhex("0001beef"), HANDLE, ELEMENT), "enrp")
    assert isinstance(update, m.HandleUpdate)
    assert update.update_action == 1


def test_last_padding_of_a_container_may_be_missing_or_counted() -> None:
    policy = tlv(8, bytes.fromhex("8000000178"))
    wanted = m.decode(register(SCTP, policy), "asap")
    exact = bytearray(register(SCTP, policy))
    exact[18:20] = struct.pack("!H", len(element(SCTP, policy)) - 3)
    assert m.decode(bytes(exact), "asap") == wanted
    exact[2:4] = struct.pack("!H", len(exact) - 3)
    assert m.decode(bytes(exact), "asap") == wanted == m.decode(bytes(exact[:-3]), "asap")


def test_handle_resolution_response_may_hold_only_a_handle() -> None:
    assert m.decode(message(6, HANDLE), "asap") == m.HandleResolutionResponse(pool_handle=b"EchoPool")
    assert m.decode(message(6, HANDLE, ROUND_ROBIN), "asap") == m.HandleResolutionResponse(
        pool_handle=b"EchoPool", policy=m.Policy(policy_type=1)
    )


@pytest.mark.conformance("PAR-3.9-01")
@pytest.mark.parametrize("handle", [b"\0", b"\xff\n\x1b[2J", b"../../%n'; DROP", bytes(range(256)) * 255])
def test_pool_handle_may_hold_any_octets(handle: bytes) -> None:
    assert m.decode(message(5, tlv(9, handle)), "asap") == m.HandleResolution(pool_handle=handle)


@pytest.mark.timeout(20)
def test_largest_messages_of_smallest_parameters_decode_quickly() -> None:
    """Each message fills 65535 octets with the smallest parameters. Linear work takes a few milliseconds."""
    smallest = element(tlv(16), ROUND_ROBIN)
    addresses = [tlv(1, struct.pack("!I", number)) for number in range(6000)]
    transports = [sctp(*addresses[at : at + 32]) for at in range(0, len(addresses), 32)]
    deep = V4
    for _ in range(1000):
        deep = sctp(deep)
    worst = [
        (message(6, HANDLE, smallest * (65000 // len(smallest))), "asap"),
        (message(3, IDS, (tlv(9, b"a") + smallest) * (65000 // (len(smallest) + 8))), "enrp"),
        (message(14, tlv(12, b"\0\1\0\4" * 16000)), "asap"),
        (message(10, IDS[:4], *transports), "asap"),
        (message(5, HANDLE, tlv(0xC123) * 16000), "asap"),
        (register(deep, ROUND_ROBIN), "asap"),
    ]
    for octets, protocol in worst:
        with contextlib.suppress(RemoteProtocolError):
            m.decode(octets, protocol)  # type: ignore[arg-type]

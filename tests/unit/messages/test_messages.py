"""The records: one of each message type with its octets, and values that encoding refuses."""

import dataclasses
import pickle
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from typing import Any

import pytest

from rserpool import messages as m
from rserpool.errors import Cause, LocalProtocolError

ECHO = b"EchoPool"
ECHO_TLV = "0009000c4563686f506f6f6c"
PE_ID_TLV = "000e0008aabbcc01"
SCTP_TLV = "000400101e610000000100080a2c0001"
RR_TLV = "0008000800000001"
SCTP = m.SCTPTransport(port=7777, addresses=(IPv4Address("10.44.0.1"),))
RR = m.Policy(policy_type=m.PolicyType.ROUND_ROBIN)
ASAP_TLV = "0004001045710000000100080a2c0001"
ASAP = m.SCTPTransport(port=17777, addresses=(IPv4Address("10.44.0.1"),))
PE_TLV = "000a0028aabbcc0100000000000493e0" + SCTP_TLV + RR_TLV
PE = m.PoolElement(identifier=0xAABBCC01, registration_life=300000, user_transport=SCTP, policy=RR)
HOMED_TLV = "000a0038aabbcc0122222222ffffffff" + SCTP_TLV + RR_TLV + ASAP_TLV
HOMED = m.PoolElement(
    identifier=0xAABBCC01,
    home_identifier=0x22222222,
    registration_life=-1,
    user_transport=SCTP,
    policy=RR,
    asap_transport=ASAP,
)
INFORMATION_TLV = "000b001822222222" + SCTP_TLV
INFORMATION = m.ServerInformation(server_identifier=0x22222222, transport=SCTP)
ERROR_TLV = "000c000800090004"
ERROR = (m.ErrorCause(code=Cause.UNKNOWN_POOL_HANDLE),)
IDS: dict[str, Any] = {"sender_identifier": 0x11111111, "receiver_identifier": 0x22222222}
IDS_HEX = "1111111122222222"

EVERY_MESSAGE: list[tuple[m.Message, str]] = [
    (m.Registration(pool_handle=ECHO, pool_element=PE), "01000038" + ECHO_TLV + PE_TLV),
    (m.Registration(pool_handle=ECHO, pool_element=HOMED), "01000048" + ECHO_TLV + HOMED_TLV),
    (m.Deregistration(pool_handle=ECHO, pe_identifier=0xAABBCC01), "02000018" + ECHO_TLV + PE_ID_TLV),
    (m.RegistrationResponse(pool_handle=ECHO, pe_identifier=0xAABBCC01), "03000018" + ECHO_TLV + PE_ID_TLV),
    (
        m.RegistrationResponse(reject=True, pool_handle=ECHO, pe_identifier=0xAABBCC01, operation_error=ERROR),
        "03010020" + ECHO_TLV + PE_ID_TLV + ERROR_TLV,
    ),
    (m.DeregistrationResponse(pool_handle=ECHO, pe_identifier=0xAABBCC01), "04000018" + ECHO_TLV + PE_ID_TLV),
    (m.HandleResolution(pool_handle=ECHO), "05000010" + ECHO_TLV),
    (m.HandleResolution(subscribe=True, pool_handle=ECHO, items=3), "05010018" + ECHO_TLV + "803f000800000003"),
    (
        m.HandleResolutionResponse(accept_subscription=True, pool_handle=ECHO, policy=RR, pool_elements=(PE, HOMED)),
        "06010078" + ECHO_TLV + RR_TLV + PE_TLV + HOMED_TLV,
    ),
    (m.HandleResolutionResponse(pool_handle=ECHO, operation_error=ERROR), "06000018" + ECHO_TLV + ERROR_TLV),
    (m.EndpointKeepAlive(server_identifier=0x22222222, pool_handle=ECHO), "0700001422222222" + ECHO_TLV),
    (
        m.EndpointKeepAlive(home=True, server_identifier=1, pool_handle=ECHO, pe_identifier=0xAABBCC01),
        "0701001c00000001" + ECHO_TLV + PE_ID_TLV,
    ),
    (m.EndpointKeepAliveAck(pool_handle=ECHO, pe_identifier=0xAABBCC01), "08000018" + ECHO_TLV + PE_ID_TLV),
    (m.EndpointUnreachable(pool_handle=ECHO, pe_identifier=0xAABBCC01), "09000018" + ECHO_TLV + PE_ID_TLV),
    (m.ServerAnnounce(server_identifier=0x22222222), "0a00000822222222"),
    (
        m.ServerAnnounce(
            server_identifier=1, transports=(m.TCPTransport(port=3863, address=IPv4Address("10.44.0.1")), SCTP)
        ),
        "0a00002800000001000500100f170000000100080a2c0001" + SCTP_TLV,
    ),
    (m.Cookie(cookie=b"state#1"), "0b00000f000d000b7374617465233100"),
    (m.CookieEcho(cookie=b"\0\0\0\0"), "0c00000c000d000800000000"),
    (m.BusinessCard(pool_handle=ECHO, pool_elements=(PE,)), "0d000038" + ECHO_TLV + PE_TLV),
    (m.BusinessCard(pool_handle=ECHO, policy=RR, pool_elements=(PE,)), "0d000040" + ECHO_TLV + RR_TLV + PE_TLV),
    (
        m.AsapError(operation_error=(m.ErrorCause(code=1, information=b"\xc1\x23\0\5x"), m.ErrorCause(code=0x100B))),
        "0e000018000c00140001" + "0009c123000578" + "000000" + "100b0004",
    ),
    (m.Presence(**IDS), "0100000c" + IDS_HEX),
    (m.Presence(**IDS, pe_checksum=0x29A5), "01000012" + IDS_HEX + "000f000629a50000"),
    (
        m.Presence(**IDS, reply_required=True, pe_checksum=0xFFFF, server_information=INFORMATION),
        "0101002c" + IDS_HEX + "000f0006ffff0000" + INFORMATION_TLV,
    ),
    (m.HandleTableRequest(**IDS, own_only=True), "0201000c" + IDS_HEX),
    (m.HandleTableResponse(**IDS, reject=True), "0301000c" + IDS_HEX),
    (
        m.HandleTableResponse(
            **IDS,
            more=True,
            pool_entries=(
                m.PoolEntry(pool_handle=b"a", pool_elements=(HOMED,)),
                m.PoolEntry(pool_handle=ECHO, pool_elements=(HOMED, HOMED)),
            ),
        ),
        "030200c8" + IDS_HEX + "0009000561000000" + HOMED_TLV + ECHO_TLV + HOMED_TLV + HOMED_TLV,
    ),
    (
        m.HandleUpdate(**IDS, update_action=1, takeover_suggested=True, pool_handle=ECHO, pool_element=HOMED),
        "04010054" + IDS_HEX + "00010000" + ECHO_TLV + HOMED_TLV,
    ),
    (m.ListRequest(**IDS), "0500000c" + IDS_HEX),
    (m.ListResponse(**IDS, servers=(INFORMATION, INFORMATION)), "0600003c" + IDS_HEX + INFORMATION_TLV * 2),
    (m.ListResponse(**IDS, reject=True), "0601000c" + IDS_HEX),
    (m.InitTakeover(**IDS, target_identifier=5), "07000010" + IDS_HEX + "00000005"),
    (m.InitTakeoverAck(**IDS, target_identifier=5), "08000010" + IDS_HEX + "00000005"),
    (m.TakeoverServer(**IDS, target_identifier=5), "09000010" + IDS_HEX + "00000005"),
    (m.EnrpError(**IDS, operation_error=ERROR), "0a000014" + IDS_HEX + ERROR_TLV),
]


def protocol_of(record: m.Message) -> Any:
    return "enrp" if isinstance(record, m.EnrpMessage) else "asap"


@pytest.mark.conformance(
    "PAR-2-01", "PAR-3-07", "PAR-3-08", "PAR-4-05", "PAR-4-06", "PAR-3.10-04", "PAR-3.12-01", "PAR-3.13-01"
)
@pytest.mark.parametrize(("record", "octets"), EVERY_MESSAGE, ids=lambda value: type(value).__name__)
def test_message_is_encoded_and_decoded_exactly(record: m.Message, octets: str) -> None:
    assert record.encode().hex() == octets
    assert m.decode(bytes.fromhex(octets), protocol_of(record)) == record


def test_every_message_type_is_tested() -> None:
    assert {type(record) for record, _ in EVERY_MESSAGE} == {*m.ASAP_MESSAGES, *m.ENRP_MESSAGES}
    assert [kind.TYPE for kind in m.ASAP_MESSAGES] == list(range(1, 15))
    assert [kind.TYPE for kind in m.ENRP_MESSAGES] == list(range(1, 11))


@pytest.mark.conformance("PAR-4-04")
@pytest.mark.parametrize(("record", "octets"), EVERY_MESSAGE, ids=lambda value: type(value).__name__)
def test_undefined_flags_are_ignored(record: m.Message, octets: str) -> None:
    changed = bytearray.fromhex(octets)
    changed[1] |= 0xFC
    assert m.decode(bytes(changed), protocol_of(record)) == record


def test_records_are_frozen_slotted_hashable_and_picklable() -> None:
    record = m.decode(EVERY_MESSAGE[1][0].encode(), "asap")
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.pool_handle = b"x"  # type: ignore[attr-defined]
    assert not hasattr(record, "__dict__")
    assert hash(record) == hash(EVERY_MESSAGE[1][0])
    assert pickle.loads(pickle.dumps(record)) == record


def test_unrecognized_is_neither_compared_nor_encoded() -> None:
    plain = m.HandleResolution(pool_handle=ECHO)
    reported = dataclasses.replace(plain, unrecognized=(b"\xc1\x23\0\4",))
    assert reported == plain
    assert reported.encode() == plain.encode()


def test_mapped_address_remains_an_ipv6_address() -> None:
    mapped = m.SCTPTransport(port=1, addresses=(IPv6Address("::ffff:10.1.2.3"),))
    record = m.ServerAnnounce(server_identifier=1, transports=(mapped,))
    assert m.decode(record.encode(), "asap") == record


def with_element(**changes: Any) -> m.Registration:
    return m.Registration(pool_handle=ECHO, pool_element=dataclasses.replace(PE, **changes))


def with_addresses(*addresses: Any) -> m.Registration:
    return with_element(user_transport=m.SCTPTransport(port=1, addresses=addresses))


def with_policy(policy_type: Any, values: Any = (), data: Any = b"") -> m.Registration:
    return with_element(policy=m.Policy(policy_type=policy_type, values=values, data=data))


V4 = IPv4Address("10.0.0.1")
BIG_OPAQUE = m.OpaqueTransport(value=bytes(1024))
IMPOSSIBLE: dict[str, m.Record] = {
    "empty handle": m.HandleResolution(pool_handle=b""),
    "handle too long": m.HandleResolution(pool_handle=bytes(65532)),
    "handle of str": m.HandleResolution(pool_handle="EchoPool"),  # type: ignore[arg-type]
    "empty cookie": m.Cookie(cookie=b""),
    "negative identifier": m.Deregistration(pool_handle=ECHO, pe_identifier=-1),
    "identifier of 33 bits": m.Deregistration(pool_handle=ECHO, pe_identifier=1 << 32),
    "identifier of 70 bits": m.Deregistration(pool_handle=ECHO, pe_identifier=1 << 70),
    "identifier of str": m.Deregistration(pool_handle=ECHO, pe_identifier="1"),  # type: ignore[arg-type]
    "life of 33 bits": with_element(registration_life=0x80000000),
    "life too negative": with_element(registration_life=-0x80000001),
    "items of 33 bits": m.HandleResolution(pool_handle=ECHO, items=1 << 32),
    "checksum of 17 bits": m.Presence(**IDS, pe_checksum=0x10000),
    "action of 17 bits": m.HandleUpdate(**IDS, update_action=0x10000, pool_handle=ECHO, pool_element=PE),
    "port of 17 bits": with_element(user_transport=m.TCPTransport(port=0x10000, address=V4)),
    "no address": with_addresses(),
    "33 addresses": with_addresses(*[V4] * 33),
    "address of str": with_addresses("10.0.0.1"),
    "address with a mask": with_addresses(IPv4Interface("10.0.0.1/8")),
    "address with a zone": with_addresses(IPv6Address("fe80::1%eth0")),
    "list of addresses": with_element(user_transport=m.SCTPTransport(port=1, addresses=[V4])),  # type: ignore[arg-type]
    "opaque transport too long": with_element(user_transport=m.OpaqueTransport(value=bytes(1025))),
    "no transport": with_element(user_transport=None),
    "policy as transport": with_element(user_transport=RR),
    "no policy": with_element(policy=None),
    "transport as policy": with_element(policy=SCTP),
    "TCP as ASAP transport": with_element(asap_transport=m.TCPTransport(port=1, address=V4)),
    "policy type 0": with_policy(0),
    "policy type 0x40000000": with_policy(0x40000000),
    "policy type of 33 bits": with_policy(1 << 32),
    "policy value missing": with_policy(m.PolicyType.WEIGHTED_RANDOM),
    "policy value too many": with_policy(m.PolicyType.RANDOM, (1,)),
    "policy value of 33 bits": with_policy(m.PolicyType.PRIORITY, (1 << 32,)),
    "data in a known policy": with_policy(m.PolicyType.RANDOM, (), b"x"),
    "values in an unknown policy": with_policy(0x99, (1,)),
    "policy too long": with_policy(0x99, (), bytes(65528)),
    "error without a cause": m.AsapError(operation_error=()),
    "ENRP error without a cause": m.EnrpError(**IDS, operation_error=()),
    "cause of 17 bits": m.AsapError(operation_error=(m.ErrorCause(code=0x10000),)),
    "policy as cause": m.AsapError(operation_error=(RR,)),  # type: ignore[arg-type]
    "card without elements": m.BusinessCard(pool_handle=ECHO, pool_elements=()),
    "entry without elements": m.HandleTableResponse(
        **IDS, pool_entries=(m.PoolEntry(pool_handle=ECHO, pool_elements=()),)
    ),
    "UDP announced": m.ServerAnnounce(
        server_identifier=1,
        transports=(m.UDPTransport(port=1, address=V4),),  # type: ignore[arg-type]
    ),
    "message too long": m.HandleResolutionResponse(
        pool_handle=ECHO, pool_elements=(dataclasses.replace(PE, user_transport=BIG_OPAQUE),) * 63
    ),
    "message far too long": m.HandleResolutionResponse(pool_handle=ECHO, pool_elements=(HOMED,) * 3000),
    "parameter too long": m.AsapError(operation_error=(m.ErrorCause(code=1, information=bytes(40000)),) * 2),
}


@pytest.mark.parametrize("record", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_encoding_refuses_impossible_values(record: m.Record) -> None:
    with pytest.raises(LocalProtocolError):
        record.encode()


def test_longest_message_is_encoded_and_decoded() -> None:
    # 65535 octets by Message Length, and one octet of padding that it does not count.
    octets = m.HandleResolution(pool_handle=bytes(65527)).encode()
    assert octets[2:4] == b"\xff\xff"
    assert len(octets) == 65536
    assert m.decode(octets, "asap") == m.HandleResolution(pool_handle=bytes(65527))
    with pytest.raises(LocalProtocolError):
        m.HandleResolution(pool_handle=bytes(65528)).encode()


def test_decode_raises_for_wrong_arguments_of_the_caller() -> None:
    with pytest.raises(LocalProtocolError):
        m.decode(b"\5\0\0\4", "asp")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        m.decode("text", "asap")  # type: ignore[arg-type]

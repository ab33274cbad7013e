"""The codec of single parameters, and of messages around parts that are already encoded."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from rserpool import messages as m
from rserpool.errors import Cause, LocalProtocolError, RemoteProtocolError

SCTP = m.SCTPTransport(port=7, addresses=(IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")))
OPAQUE = m.OpaqueTransport(value=b"abc")
POLICY = m.Policy(policy_type=m.PolicyType.LEAST_USED, values=(5,))
ELEMENT = m.PoolElement(identifier=0x12345678, registration_life=300, user_transport=SCTP, policy=POLICY)
INFORMATION = m.ServerInformation(server_identifier=9, transport=SCTP)
HOMED = m.PoolElement(
    identifier=2, home_identifier=1, registration_life=300, user_transport=SCTP, policy=POLICY, asap_transport=SCTP
)


@pytest.mark.parametrize("record", [SCTP, OPAQUE, POLICY, ELEMENT, INFORMATION])
def test_parameter_survives_encoding_and_decoding(
    record: m.Transport | m.Policy | m.PoolElement | m.ServerInformation,
) -> None:
    assert m.decode_parameter(record.encode(), type(record)) == record


def test_parameter_without_its_final_padding_is_decoded() -> None:
    assert m.decode_parameter(OPAQUE.encode()[:-1], m.OpaqueTransport) == OPAQUE


@pytest.mark.parametrize(
    "octets", [b"", b"\0", POLICY.encode()[:6], b"\x70\0\0\4", POLICY.encode() * 2, SCTP.encode(), b"\0\1\0\4"]
)
def test_octets_that_are_not_one_such_parameter_are_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        m.decode_parameter(octets, m.Policy)


def test_other_class_of_parameter_is_an_invalid_value() -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        m.decode_parameter(SCTP.encode(), m.TCPTransport)
    assert (raised.value.cause, raised.value.information) == (Cause.INVALID_VALUES, SCTP.encode())


def test_message_class_is_not_a_parameter_class() -> None:
    with pytest.raises(LocalProtocolError):
        m.decode_parameter(SCTP.encode(), m.Cookie)  # type: ignore[type-var]


@pytest.mark.parametrize("suggested", [False, True])
@pytest.mark.parametrize("handle", [b"p", b"pool"])
def test_handle_update_around_a_parameter_is_the_encoded_record(suggested: bool, handle: bytes) -> None:
    update = m.HandleUpdate(
        sender_identifier=1,
        receiver_identifier=0,
        update_action=1,
        takeover_suggested=suggested,
        pool_handle=handle,
        pool_element=HOMED,
    )
    octets = m.encode_handle_update(
        sender_identifier=1,
        update_action=1,
        pool_handle=handle,
        parameter=HOMED.encode(),
        takeover_suggested=suggested,
    )
    assert octets == update.encode()


@pytest.mark.parametrize(("reject", "more"), [(False, False), (False, True), (True, False)])
def test_handle_table_response_around_entries_is_the_encoded_record(reject: bool, more: bool) -> None:
    entry = m.PoolEntry(pool_handle=b"pool one", pool_elements=(HOMED,))
    table = m.HandleTableResponse(
        sender_identifier=1, receiver_identifier=2, reject=reject, more=more, pool_entries=(entry,)
    )
    octets = m.encode_handle_table_response(
        sender_identifier=1, receiver_identifier=2, reject=reject, more=more, entries=entry.encode()
    )
    assert octets == table.encode()
    head = m.HandleTableResponse(sender_identifier=1, receiver_identifier=2, reject=reject, more=more)
    assert m.decode_handle_table_head(octets) == head


@pytest.mark.parametrize(
    "octets", [b"", b"\3\0\0\5\0", m.ListRequest(sender_identifier=1, receiver_identifier=0).encode()]
)
def test_head_of_another_message_is_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        m.decode_handle_table_head(octets)


def test_too_long_a_table_is_the_caller_s_error() -> None:
    with pytest.raises(LocalProtocolError):
        m.encode_handle_table_response(sender_identifier=1, receiver_identifier=2, entries=bytes(0xFFFF))


def test_pool_handle_is_encoded_without_padding() -> None:
    assert m.encode_pool_handle(b"p") == b"\0\x09\0\5p"


def test_address_is_encoded_as_in_a_transport() -> None:
    addresses = b"".join(map(m.encode_address, SCTP.addresses))
    assert SCTP.encode().endswith(addresses)
    assert len(addresses) == 8 + 20


def test_head_of_a_message_is_read_without_decoding_it() -> None:
    octets = m.HandleResolution(subscribe=True, pool_handle=b"pool").encode()
    assert (m.message_type(octets), m.message_flags(octets), m.message_length(octets)) == (5, 1, 12)


def test_missing_head_reads_as_zero() -> None:
    assert (m.message_type(b""), m.message_flags(b"\5"), m.message_length(b"\5\0\0")) == (0, 0, 0)


def test_element_s_identifier_is_read_without_decoding_it() -> None:
    assert m.pool_element_identifier(ELEMENT.encode()) == 0x12345678
    with pytest.raises(RemoteProtocolError):
        m.pool_element_identifier(ELEMENT.encode()[:7])

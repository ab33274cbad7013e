"""Single parameters: octets, policies and the names of their values."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from rserpool import messages as m

V4 = IPv4Address("10.1.2.3")
V4_TLV = "000100080a010203"
V6 = IPv6Address("2001:db8::1")
V6_TLV = "0002001420010db8000000000000000000000001"

PARAMETERS: list[tuple[m.Record, str]] = [
    (m.SCTPTransport(port=7000, transport_use=1, addresses=(V4, V6)), "000400241b580001" + V4_TLV + V6_TLV),
    (m.TCPTransport(port=80, address=V6), "0005001c00500000" + V6_TLV),
    (m.TCPTransport(port=80, address=V4, reserved=1), "0005001000500001" + V4_TLV),
    (m.UDPTransport(port=53, address=V4), "0006001000350000" + V4_TLV),
    (m.UDPLiteTransport(port=54, address=V4), "0007001000360000" + V4_TLV),
    (m.DCCPTransport(port=5001, service_code=0x52534552, address=V4), "000300141389000052534552" + V4_TLV),
    (m.OpaqueTransport(value=b"abcde"), "001000096162636465000000"),
    (m.OpaqueTransport(value=b""), "00100004"),
    (m.Policy(policy_type=m.PolicyType.RANDOM), "0008000800000003"),
    (m.Policy(policy_type=0x80000001, data=b"xyz"), "0008000b8000000178797a00"),
    (m.ErrorCause(code=3, information=b"abcde"), "000300096162636465000000"),
    (
        m.ServerInformation(server_identifier=9, transport=m.SCTPTransport(port=1, addresses=(V4,))),
        "000b001800000009" + "0004001000010000" + V4_TLV,
    ),
    # Neither length counts the policy's final padding, which is also the pool element's (RFC 5354 2).
    (
        m.PoolElement(
            identifier=1,
            registration_life=-1,
            user_transport=m.UDPTransport(port=53, address=V4),
            policy=m.Policy(policy_type=0x99, data=b"x"),
        ),
        "000a002900000001" + "00000000ffffffff" + "0006001000350000" + V4_TLV + "00080009" + "0000009978000000",
    ),
    # Padding between nested parameters counts.
    (
        m.PoolElement(
            identifier=1,
            registration_life=-1,
            user_transport=m.OpaqueTransport(value=b"abcde"),
            policy=m.Policy(policy_type=1),
        ),
        "000a002400000001" + "00000000ffffffff" + "001000096162636465000000" + "0008000800000001",
    ),
]


@pytest.mark.conformance("PAR-2-02", "PAR-3.3-01", "PAR-3.4-02", "PAR-3.12-02", "PAR-3.16-01")
@pytest.mark.parametrize(("record", "octets"), PARAMETERS, ids=lambda value: type(value).__name__)
def test_parameter_is_encoded_and_decoded_exactly(record: m.Record, octets: str) -> None:
    assert record.encode().hex() == octets


def test_pool_entry_is_encoded_as_handle_and_elements() -> None:
    element = PARAMETERS[-1][0]
    assert isinstance(element, m.PoolElement)
    entry = m.PoolEntry(pool_handle=b"a", pool_elements=(element, element))
    assert entry.encode().hex() == "0009000561000000" + 2 * PARAMETERS[-1][1]


# The policies of RFC 5356 4 and 5, then those of rsplib.
POLICIES = {
    0x00000001: (),
    0x00000002: ("weight",),
    0x00000003: (),
    0x00000004: ("weight",),
    0x00000005: ("priority",),
    0x40000001: ("load",),
    0x40000002: ("load", "load_degradation"),
    0x40000003: ("load", "load_degradation"),
    0x40000004: ("load",),
    0xB0001001: ("load", "load_degradation"),
    0xB0001002: ("load", "load_degradation"),
    0xB0001003: ("load", "load_degradation"),
    0xB0001004: ("load", "load_degradation"),
    0xB0002001: ("weight", "weight_dpf", "distance"),
    0xB0002002: ("load", "load_dpf", "distance"),
    0xB0002003: ("load", "load_degradation", "load_dpf", "distance"),
    0xB0002004: ("load", "load_degradation", "load_dpf", "distance"),
    0xB0002005: ("load", "load_degradation", "load_dpf", "distance"),
}
NAMES = {name for names in POLICIES.values() for name in names}


@pytest.mark.conformance("PAR-3.8-01")
@pytest.mark.parametrize("policy_type", POLICIES, ids=hex)
def test_policy_has_its_values_and_no_others(policy_type: int) -> None:
    names = POLICIES[policy_type]
    values = tuple(range(0x11, 0x11 + len(names)))
    policy = m.Policy(policy_type=policy_type, values=values)
    octets = f"0008{8 + 4 * len(names):04x}{policy_type:08x}" + "".join(f"{value:08x}" for value in values)
    assert policy.encode().hex() == octets
    assert [getattr(policy, name) for name in names] == list(values)
    for name in NAMES.difference(names):
        assert not hasattr(policy, name)
    card = m.BusinessCard(pool_handle=b"p", policy=policy, pool_elements=(PARAMETERS[-1][0],))  # type: ignore[arg-type]
    assert m.decode(card.encode(), "asap") == card


def test_every_policy_type_has_a_name() -> None:
    assert {int(kind) for kind in m.PolicyType} == POLICIES.keys() == m.POLICY_VALUES.keys()


def test_unknown_policy_has_no_values() -> None:
    assert not any(hasattr(m.Policy(policy_type=0x99, data=b"\0\0\0\1"), name) for name in NAMES)

"""Hypothesis strategies for every record of rserpool.messages."""

from dataclasses import fields

from hypothesis import strategies as st

from rserpool import messages as m

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
handles = st.binary(min_size=1, max_size=70)
addresses = st.ip_addresses()

sctp_transports = st.builds(
    m.SCTPTransport,
    port=u16,
    transport_use=u16,
    addresses=st.lists(addresses, min_size=1, max_size=4).map(tuple),
)
tcp_transports = st.builds(m.TCPTransport, port=u16, address=addresses, reserved=u16)
transports = st.one_of(
    sctp_transports,
    tcp_transports,
    st.builds(m.UDPTransport, port=u16, address=addresses, reserved=u16),
    st.builds(m.UDPLiteTransport, port=u16, address=addresses, reserved=u16),
    st.builds(m.DCCPTransport, port=u16, service_code=u32, address=addresses, reserved=u16),
    st.builds(m.OpaqueTransport, value=st.binary(max_size=40)),
)
known_policies = st.sampled_from(m.PolicyType).flatmap(
    lambda kind: st.builds(
        m.Policy,
        policy_type=st.just(int(kind)),
        values=st.tuples(*[u32] * len(m.POLICY_VALUES[kind])),
    )
)
unknown_policies = st.builds(
    m.Policy,
    policy_type=u32.filter(lambda kind: kind not in m.POLICY_VALUES and kind not in (0, 0x40000000)),
    data=st.binary(max_size=20),
)
policies = known_policies | unknown_policies
pool_elements = st.builds(
    m.PoolElement,
    identifier=u32,
    home_identifier=u32,
    registration_life=st.integers(-0x80000000, 0x7FFFFFFF),
    user_transport=transports,
    policy=policies,
    asap_transport=st.none() | sctp_transports,
)
server_information = st.builds(m.ServerInformation, server_identifier=u32, transport=sctp_transports)
causes = st.lists(st.builds(m.ErrorCause, code=u16, information=st.binary(max_size=20)), min_size=1, max_size=3).map(
    tuple
)
optional_causes = st.just(()) | causes
some_elements = st.lists(pool_elements, min_size=1, max_size=3).map(tuple)
entries = st.builds(m.PoolEntry, pool_handle=handles, pool_elements=some_elements)

FIELDS = {
    "pool_handle": handles,
    "pool_element": pool_elements,
    "pe_identifier": u32,
    "server_identifier": u32,
    "sender_identifier": u32,
    "receiver_identifier": u32,
    "target_identifier": u32,
    "update_action": u16,
    "operation_error": optional_causes,
    "items": st.none() | u32,
    "policy": st.none() | policies,
    "pool_elements": st.just(()) | some_elements,
    "transports": st.lists(sctp_transports | tcp_transports, max_size=3).map(tuple),
    "cookie": handles,
    "pe_checksum": st.none() | u16,
    "server_information": st.none() | server_information,
    "pool_entries": st.lists(entries, max_size=3).map(tuple),
    "servers": st.lists(server_information, max_size=3).map(tuple),
}
DIFFERENT = {
    (m.EndpointKeepAlive, "pe_identifier"): st.none() | u32,
    (m.BusinessCard, "pool_elements"): some_elements,
    (m.AsapError, "operation_error"): causes,
    (m.EnrpError, "operation_error"): causes,
}


def records_of(kind: type[m.Message]) -> st.SearchStrategy[m.Message]:
    """Generate records of one message type that can be encoded."""
    names = [field.name for field in fields(kind) if field.name != "unrecognized"]
    return st.builds(kind, **{name: DIFFERENT.get((kind, name), FIELDS.get(name, st.booleans())) for name in names})


asap_messages = st.one_of(*map(records_of, m.ASAP_MESSAGES))
enrp_messages = st.one_of(*map(records_of, m.ENRP_MESSAGES))
all_messages = asap_messages | enrp_messages


def protocol_of(record: m.Message) -> str:
    return "enrp" if isinstance(record, m.EnrpMessage) else "asap"

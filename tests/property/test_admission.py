"""The fast lane accepts only messages that the readable way accepts, with the same answers and the same effects."""

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from rserpool import messages as m
from rserpool._fast.lane.lane import Lane
from rserpool.protocol.actions import Note
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Action
from rserpool.settings.profile import PROFILES
from tests.support.bench import Bench

OURS = tuple(map(ip_address, ("10.44.0.1", "10.44.0.2", "fec0::1")))
THEIRS = ip_address("10.44.0.3")
ADDRESSES = (*OURS, THEIRS, ip_address("127.0.0.1"), ip_address("::ffff:10.44.0.1"), ip_address("224.0.0.1"))
HANDLES = (b"a", b"Pool", b"thirty-three octets are one too m", b"x" * 256)
LIVES = (-(2**31), -2, -1, 0, 1, 300, 999, 1000, 2**31 - 1)

addresses = st.sampled_from(ADDRESSES + OURS * 3)
ports = st.sampled_from((0, 1, 7777, 7777))
sctp = st.builds(
    m.SCTPTransport,
    port=ports,
    transport_use=st.sampled_from((0, 0, 0, 1, 2)),
    addresses=st.lists(addresses, min_size=1, max_size=4).map(tuple),
)
others = st.one_of(
    st.builds(m.TCPTransport, port=ports, address=addresses, reserved=st.sampled_from((0, 1))),
    st.builds(m.UDPTransport, port=ports, address=addresses),
    st.builds(m.DCCPTransport, port=ports, service_code=st.integers(0, 1), address=addresses),
    st.builds(m.OpaqueTransport, value=st.binary(max_size=5)),
)
policies = st.sampled_from((*m.PolicyType, *[m.PolicyType.LEAST_USED, m.PolicyType.ROUND_ROBIN] * 5)).flatmap(
    lambda kind: st.builds(
        m.Policy,
        policy_type=st.just(int(kind)),
        values=st.tuples(*[st.sampled_from((0, 1, 2**32 - 1))] * len(m.POLICY_VALUES[kind])),
    )
)
elements = st.builds(
    m.PoolElement,
    identifier=st.sampled_from((0, 1, 2, 3, 4, 5)),
    home_identifier=st.sampled_from((0, 0x22222222, 9)),
    registration_life=st.sampled_from(LIVES),
    user_transport=st.one_of(sctp, sctp, sctp, others),
    policy=policies,
    asap_transport=st.none() | sctp,
)
registrations = st.builds(m.Registration, pool_handle=st.sampled_from(HANDLES), pool_element=elements)
plain = st.builds(
    m.Registration,
    pool_handle=st.sampled_from(HANDLES[:2]),
    pool_element=st.builds(
        m.PoolElement,
        identifier=st.integers(1, 5),
        home_identifier=st.just(0),
        registration_life=st.sampled_from((-1, 1000, 2000)),
        user_transport=st.builds(
            m.SCTPTransport,
            port=st.just(7777),
            transport_use=st.just(0),
            addresses=st.lists(st.sampled_from(OURS), min_size=1, max_size=3).map(tuple),
        ),
        policy=st.sampled_from((0, 1)).map(lambda load: m.Policy(policy_type=m.PolicyType.PRIORITY, values=(load,))),
        asap_transport=st.none() | sctp,
    ),
)
names = {"pool_handle": st.sampled_from(HANDLES), "pe_identifier": st.integers(1, 5)}
rest = st.one_of(st.builds(m.Deregistration, **names), st.builds(m.EndpointKeepAliveAck, **names))
steps = st.lists(st.tuples(st.integers(1, 3), plain | registrations | rest), max_size=12)


def registrar(profile: str, *, lane: bool) -> Bench:
    """A registrar with two associations from one host and one from another. Without ``lane``, a disputed element
    disables the fast lane."""
    bench = Bench(profile=PROFILES[profile], pools=3, elements_per_pool=4, elements_per_association=4)
    for number, hosts in enumerate((OURS, OURS[:1], (THEIRS,)), 1):
        peer = Peer(addresses=hosts, port=17777, sctp=True)
        assert not bench.asap.associated(number, peer, 0)
    if not lane:
        bench.elements.ownership.claims[b"disputed", 1] = (8, b"")
    return bench


def seen(actions: list[Action]) -> list[Action]:
    return [action for action in actions if not isinstance(action, Note)]


def state(bench: Bench) -> object:
    space = bench.space
    held = {
        (pool.handle, view.identifier): (view.parameter, view.connection, view.bad_reports, view.probed)
        for pool in space.pools()
        for view in pool
    }
    registrants = [known.registrant.elements for known in bench.context.associations.values()]
    return held, registrants, dict(bench.counters), space.checksum(), bench.wheel.next_expiry(), len(bench.wheel)


@settings(max_examples=400)
@given(st.sampled_from(sorted(PROFILES)), steps)
def test_both_ways_agree(profile: str, played: list[tuple[int, m.AsapMessage]]) -> None:
    fast, readable = registrar(profile, lane=True), registrar(profile, lane=False)
    for number, message in played:
        assert seen(fast.send(number, message)) == seen(readable.send(number, message))
    assert state(fast) == state(readable)


def lane_of(bench: Bench) -> Lane:
    lane = bench.context.associations[1].lane
    assert lane is not None
    return lane


def test_only_one_of_the_compared_registrars_uses_the_fast_lane() -> None:
    served = registrar("rfc", lane=True)
    element = m.PoolElement(
        identifier=1,
        home_identifier=0,
        registration_life=300,
        user_transport=m.SCTPTransport(port=7777, transport_use=0, addresses=OURS),
        policy=m.Policy(policy_type=m.PolicyType.ROUND_ROBIN, values=()),
    )
    request = m.Registration(pool_handle=b"Pool", pool_element=element).encode()
    assert lane_of(served).answer(request, 0) is not None
    assert lane_of(registrar("rfc", lane=False)).answer(request, 0) is None

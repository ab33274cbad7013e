"""What is taken in of peers' elements as octets is what the readable way would take, with the same consequences."""

from contextlib import nullcontext
from ipaddress import ip_address
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from rserpool import messages as m
from rserpool.profile import PROFILES
from rserpool.protocol.actions import Action, Protocol
from tests.support.scope import HIGH, LOW, OWN, Scope, element, presence

HANDLES = (b"a", b"Pool", b"three", b"thirty-three octets are one too m", b"x" * 256)
ADDRESSES = tuple(map(ip_address, ("10.44.0.9", "10.44.0.8", "fec0::1", "224.0.0.1", "::ffff:10.44.0.1")))
LIVES = (-(2**31), -2, -1, 0, 1, 300, 999, 1000, 2**31 - 1)

sctp = st.builds(
    m.SCTPTransport,
    port=st.sampled_from((0, 7777)),
    transport_use=st.sampled_from((0, 0, 0, 1, 2)),
    addresses=st.one_of(
        st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=3).map(tuple),
        st.sampled_from((ADDRESSES[:1] * 32, ADDRESSES[2:3] * 32, ADDRESSES[2:3] * 13)),
    ),
)
others = st.one_of(
    st.builds(m.TCPTransport, port=st.just(1), address=st.sampled_from(ADDRESSES), reserved=st.sampled_from((0, 1))),
    st.builds(m.DCCPTransport, port=st.just(1), service_code=st.integers(0, 1), address=st.sampled_from(ADDRESSES)),
    st.builds(m.OpaqueTransport, value=st.sampled_from((b"", b"five.", b"x" * 300))),
)
kinds = st.sampled_from((*m.PolicyType, *[m.PolicyType.LEAST_USED, m.PolicyType.ROUND_ROBIN] * 10))
policies = kinds.flatmap(
    lambda kind: st.builds(
        m.Policy,
        policy_type=st.just(int(kind)),
        values=st.tuples(*[st.sampled_from((0, 1, 2**32 - 1))] * len(m.POLICY_VALUES[kind])),
    )
)
unknown = st.just(m.Policy(policy_type=0x1234, values=(), data=b"what"))
identifiers = st.integers(0, 5)
odd = st.builds(
    m.PoolElement,
    identifier=identifiers,
    home_identifier=st.sampled_from((0, OWN, LOW, LOW, HIGH, HIGH, 9)),
    registration_life=st.sampled_from(LIVES),
    user_transport=st.one_of(sctp, sctp, sctp, others),
    policy=st.one_of(policies, policies, policies, unknown),
    asap_transport=st.one_of(sctp, sctp, sctp, st.none()),
)
even = st.builds(element, identifiers, st.sampled_from((LOW, LOW, LOW, HIGH, HIGH, OWN)), st.sampled_from((8, 9)))
elements = st.one_of(even, even, even, odd)
handles = st.one_of(st.sampled_from(HANDLES[:3]), st.sampled_from(HANDLES[:3]), st.sampled_from(HANDLES))
peers = st.sampled_from((LOW, HIGH))
receivers = st.sampled_from((0, 0, 0, OWN, HIGH))
updates = st.builds(
    m.HandleUpdate,
    sender_identifier=peers,
    receiver_identifier=receivers,
    update_action=st.sampled_from((0, 0, 0, 0, 1, 2)),
    takeover_suggested=st.sampled_from((False, False, False, True)),
    pool_handle=handles,
    pool_element=elements,
)
entries = st.builds(
    m.PoolEntry, pool_handle=handles, pool_elements=st.lists(elements, min_size=1, max_size=4).map(tuple)
)
tables = st.builds(
    m.HandleTableResponse,
    sender_identifier=peers,
    receiver_identifier=receivers,
    reject=st.sampled_from((False, False, False, False, True)),
    more=st.booleans(),
    pool_entries=st.lists(entries, max_size=4).map(tuple),
)
damage = st.none() | st.tuples(st.integers(0, 2**16), st.integers(0, 255))
messages = st.tuples(st.one_of(updates, tables, tables), st.one_of(st.none(), st.none(), st.none(), damage))
own = st.tuples(st.sampled_from(("register", "watch")), st.integers(1, 5), handles)
differing = st.tuples(peers, st.just(None))
steps = st.lists(st.one_of(messages, messages, differing, own, st.floats(0.1, 3)), max_size=14)


class World:
    """A registrar between two peers, or just starting with both as mentors; with ``readable`` it takes nothing in as
    octets."""

    def __init__(self, profile: str, *, starting: bool, readable: bool) -> None:
        self.readable = readable
        self.scope = Scope(
            static_peers=int(starting), profile=PROFILES[profile], pools=4, elements_per_peer=6,
            takeover_suggestions=not starting,
        )  # fmt: skip
        with self.way():
            self.numbers = {LOW: self.scope.join(LOW, 2), HIGH: self.scope.join(HIGH, 3)}
            if starting:
                listed = m.ListResponse(sender_identifier=LOW, receiver_identifier=OWN)
                self.scope.send(self.numbers[LOW], listed)

    def way(self) -> "mock._patch[object] | nullcontext[None]":
        if not self.readable:
            return nullcontext()
        self.scope.registrar.enrp.mirror.merger = mock.Mock(update=lambda *_: False)
        return mock.patch("rserpool.protocol.enrp.ordinary_table", lambda _: False)

    def play(self, step: object) -> None:
        match step:
            case (int() as peer, None):
                self.scope.send(self.numbers[peer], presence(peer, 2 if peer == LOW else 3, 0x1234))
            case ("register", int() as identifier, bytes() as handle):
                if len(handle) < 33:
                    self.scope.register(identifier, 9, handle)
            case ("watch", int(), bytes() as handle):
                number = self.scope.associate(8, 5, Protocol.ASAP)
                request = m.HandleResolution(pool_handle=handle, subscribe=True).encode()
                self.scope.take(self.scope.registrar.received(number, request, self.scope.now))
            case (m.EnrpMessage() as message, spoilt):
                octets = bytearray(message.encode())
                if spoilt is not None:
                    octets[spoilt[0] % len(octets)] = spoilt[1]
                self.scope.send(self.numbers[message.sender_identifier], bytes(octets))
            case float() as seconds:
                self.scope.wait(seconds)

    def state(self) -> object:
        space = self.scope.registrar.handlespace
        held = {
            (pool.handle, view.identifier): (view.parameter, view.connection, view.marked, view.probed)
            for pool in space.pools()
            for view in pool
        }
        sums = [(home, space.checksum(home)) for home in space.homes()]
        timers = self.scope.registrar.wheel.next_expiry(), len(self.scope.registrar.wheel)
        return held, sums, self.scope.counters, timers, self.scope.sent, self.actions()

    def actions(self) -> list[Action]:
        return [*self.scope.others, *self.scope.calls]


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(PROFILES)), st.booleans(), steps)
def test_both_ways_agree(profile: str, starting: bool, played: list[object]) -> None:
    fast = World(profile, starting=starting, readable=False)
    readable = World(profile, starting=starting, readable=True)
    for step in played:
        fast.play(step)
        with readable.way():
            readable.play(step)
        assert fast.state() == readable.state()


def test_octets_are_what_is_compared() -> None:
    world = World("rfc", starting=False, readable=False)
    told = m.HandleUpdate(
        sender_identifier=LOW, receiver_identifier=0, update_action=0, pool_handle=b"Pool", pool_element=element(1, LOW)
    )
    with mock.patch("rserpool.protocol.enrp.decode", side_effect=AssertionError("the readable way")):
        world.scope.send(world.numbers[LOW], told)
    assert world.scope.registrar.handlespace.home_size(LOW) == 1
    world.play((HIGH, None))
    listed = m.PoolEntry(pool_handle=b"Pool", pool_elements=(element(2, HIGH), element(3, HIGH)))
    table = m.HandleTableResponse(sender_identifier=HIGH, receiver_identifier=OWN, pool_entries=(listed,))
    with mock.patch.object(world.scope.registrar.enrp.mirror, "store", side_effect=AssertionError("the readable way")):
        world.scope.send(world.numbers[HIGH], table)
    assert world.scope.registrar.handlespace.home_size(HIGH) == 2

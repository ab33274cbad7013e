"""Merging a peer's elements as raw octets has the same result and the same effects as the readable way."""

from contextlib import nullcontext
from dataclasses import replace
from ipaddress import ip_address
from random import Random
from unittest import mock

import pytest

from rserpool import messages as m
from rserpool.protocol.registrar.actions import Action, Protocol
from rserpool.settings.profile import PROFILES
from tests.support import elements as e
from tests.support.scope import HIGH, LOW, OWN, Scope, element, presence

HANDLES = (b"a", b"Pool", b"three", b"thirty-three octets are one too m", b"x" * 256)
ADDRESSES = tuple(map(ip_address, ("10.44.0.9", "10.44.0.8", "fec0::1", "224.0.0.1", "::ffff:10.44.0.1")))
STEPS = 250
LIVES = (-(2**31), -2, -1, 0, 1, 300, 999, 1000, 2**31 - 1)


class Draw:
    """Random messages. Most contain elements as real registrars send them; many have one unusual value."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.pick = self.random.choice

    def sctp(self) -> m.SCTPTransport:
        some = tuple(self.random.choices(ADDRESSES, k=self.random.randint(1, 3)))
        many = self.pick((ADDRESSES[:1] * 32, ADDRESSES[2:3] * 32, ADDRESSES[2:3] * 13))
        return m.SCTPTransport(
            port=self.pick((0, 7777)),
            transport_use=self.pick((0, 0, 1, 2)),
            addresses=self.pick((some, some, some, many)),
        )

    def transport(self) -> m.Transport:
        address = self.pick(ADDRESSES)
        return self.pick(
            (
                self.sctp(),
                self.sctp(),
                m.TCPTransport(port=1, address=address, reserved=self.pick((0, 1))),
                m.DCCPTransport(port=1, service_code=1, address=address),
                m.OpaqueTransport(value=self.pick((b"", b"five.", b"x" * 300))),
            )
        )

    def policy(self) -> m.Policy:
        if not self.random.randrange(9):
            return m.Policy(policy_type=0x1234, values=(), data=b"what")
        kind = self.pick((*m.PolicyType, m.PolicyType.ROUND_ROBIN, m.PolicyType.WEIGHTED_RANDOM))
        values = self.random.choices((0, 1, 2**32 - 1), k=len(m.POLICY_VALUES[kind]))
        return m.Policy(policy_type=int(kind), values=tuple(values))

    def element(self, peer: int) -> m.PoolElement:
        home = self.pick((peer, peer, peer, LOW, HIGH, 9))
        plain = element(self.random.randint(1, 7), home, self.pick((8, 9)))
        match self.random.randrange(12):
            case 0:
                return replace(plain, registration_life=self.pick(LIVES))
            case 1:
                return replace(plain, user_transport=self.transport())
            case 2:
                return replace(plain, policy=self.policy())
            case 3:
                return replace(plain, asap_transport=self.pick((None, self.sctp())))
            case 4:
                return replace(plain, home_identifier=self.pick((0, OWN)))
            case 5:
                return replace(plain, identifier=0)
        return plain

    def handle(self) -> bytes:
        return self.pick(HANDLES if not self.random.randrange(6) else HANDLES[:3])

    def update(self, peer: int) -> m.HandleUpdate:
        return m.HandleUpdate(
            sender_identifier=peer,
            receiver_identifier=self.receiver(),
            update_action=self.pick((0, 0, 0, 0, 0, 0, 1, 1, 2)),
            takeover_suggested=not self.random.randrange(6),
            pool_handle=self.handle(),
            pool_element=self.element(peer),
        )

    def receiver(self) -> int:
        return self.pick((0, 0, 0, OWN, OWN, OWN, HIGH))

    def table(self, peer: int) -> m.HandleTableResponse:
        entries = tuple(
            m.PoolEntry(
                pool_handle=self.handle(),
                pool_elements=tuple(self.element(peer) for _ in range(self.random.randint(1, 3))),
            )
            for _ in range(self.random.randrange(4))
        )
        return m.HandleTableResponse(
            sender_identifier=peer,
            receiver_identifier=self.receiver(),
            reject=not self.random.randrange(12),
            more=bool(self.random.randrange(3)),
            pool_entries=entries,
        )

    def octets(self, message: m.EnrpMessage) -> bytes:
        octets = bytearray(message.encode())
        if not self.random.randrange(12):
            octets[self.random.randrange(len(octets))] = self.random.randrange(256)
        return bytes(octets)

    def step(self) -> tuple[str, int, object]:
        """Return the kind of step, the identifier concerned, and the step's data."""
        peer = self.pick((LOW, HIGH))
        match self.random.randrange(16):
            case 0 | 1 | 2 | 3 | 4 | 5:
                return "message", peer, self.octets(self.update(peer))
            case 6 | 7 | 8 | 9:
                return "message", peer, self.octets(self.table(peer))
            case 10 | 11:
                return "differ", peer, None
            case 12:
                return "register", self.random.randint(1, 7), self.pick(HANDLES[:3])
            case 13:
                return "watch", 0, self.pick(HANDLES[:3])
            case 14:
                return "lose", 0, None
            case _:
                return "wait", 0, self.pick((0.1, 1.0, 3.0))


class MergeScope:
    """A registrar between two peers, or starting with both as mentors. With ``readable`` it decodes every element."""

    def __init__(self, profile: str, *, starting: bool, readable: bool) -> None:
        self.readable = readable
        self.elements: list[int] = []
        self.scope = Scope(
            static_peers=int(starting), profile=PROFILES[profile], pools=2, elements_per_peer=9,
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
        self.scope.registrar.enrp.updates.merger = mock.Mock(update=lambda *_: False)
        return mock.patch("rserpool.protocol.registrar.enrp.dispatch.ordinary_table", return_value=False)

    def play(self, what: str, who: int, given: object) -> None:
        scope = self.scope
        match what, given:
            case "message", bytes() as octets:
                scope.send(self.numbers[who], octets)
            case "differ", _:
                scope.send(self.numbers[who], presence(who, 2 if who == LOW else 3, 0x1234))
            case "register", bytes() as handle:
                self.elements.append(scope.register(who, 9, handle))
            case "watch", bytes() as handle:
                number = scope.associate(8, 5, Protocol.ASAP)
                request = m.HandleResolution(pool_handle=handle, subscribe=True).encode()
                scope.take(scope.registrar.received(number, request, scope.now))
            case "lose", _:
                if self.elements:
                    scope.take(scope.registrar.lost(self.elements.pop(), scope.now))
            case "wait", float() as seconds:
                scope.wait(seconds)
            case _:
                raise AssertionError(what)

    def state(self) -> object:
        space = self.scope.registrar.handlespace
        held = {
            (pool.handle, view.identifier): (view.parameter, view.connection, view.marked, view.probed)
            for pool in space.pools()
            for view in pool
        }
        sums = [(home, space.checksum(home)) for home in space.homes()]
        timers = self.scope.registrar.wheel.next_expiry(), len(self.scope.registrar.wheel)
        sent = {number: messages[:] for number, messages in self.scope.sent.items()}
        actions: list[Action] = [*self.scope.others, *self.scope.calls]
        for gathered in (*self.scope.sent.values(), self.scope.others, self.scope.calls):
            gathered.clear()
        return held, sums, dict(self.scope.counters), timers, sent, actions


@pytest.mark.parametrize("profile", sorted(PROFILES))
@pytest.mark.parametrize("starting", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_both_ways_agree(profile: str, starting: bool, seed: int) -> None:
    draw = Draw(seed)
    fast = MergeScope(profile, starting=starting, readable=False)
    readable = MergeScope(profile, starting=starting, readable=True)
    for _ in range(STEPS):
        step = draw.step()
        fast.play(*step)
        with readable.way():
            readable.play(*step)
        assert fast.state() == readable.state(), step


def test_the_fast_way_does_not_decode_elements() -> None:
    world = MergeScope("rfc", starting=False, readable=False)
    message = m.HandleUpdate(
        sender_identifier=LOW, receiver_identifier=0, update_action=0, pool_handle=b"Pool", pool_element=element(1, LOW)
    )
    with mock.patch("rserpool.protocol.registrar.enrp.dispatch.decode", side_effect=AssertionError("the readable way")):
        world.scope.send(world.numbers[LOW], message)
    assert world.scope.registrar.handlespace.home_size(LOW) == 1
    world.play("differ", HIGH, None)
    listed = m.PoolEntry(pool_handle=b"Pool", pool_elements=(element(2, HIGH), element(3, HIGH)))
    table = m.HandleTableResponse(sender_identifier=HIGH, receiver_identifier=OWN, pool_entries=(listed,))
    with mock.patch.object(world.scope.registrar.enrp.updates, "store", side_effect=AssertionError("the readable way")):
        world.scope.send(world.numbers[HIGH], table)
    assert world.scope.registrar.handlespace.home_size(HIGH) == 2


@pytest.mark.parametrize(("addresses", "refused"), [(32, 0), (33, 1)])
def test_a_message_with_too_many_addresses_is_malformed(addresses: int, refused: int) -> None:
    scope = Scope()
    low = scope.join(LOW, 2)
    many = e.element(1, home=LOW, user=e.sctp(addresses=addresses), asap=e.sctp(9))
    head = LOW.to_bytes(4, "big") + bytes(8)
    scope.send(low, e.message(4, head, e.handle_parameter(b"Pool"), many))
    assert scope.counters.get("malformed messages", 0) == refused
    assert scope.registrar.handlespace.home_size(LOW) == 1 - refused

"""Coalescing: at most one update per window on the re-registrations of an element."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from rserpool.messages import (
    Deregistration,
    EndpointKeepAliveAck,
    HandleResolution,
    HandleUpdate,
    Policy,
    PolicyType,
    PoolElement,
    Registration,
)
from rserpool.protocol.registrar.actions import Protocol
from tests.support.scope import HIGH, LOW, OWN, POOL, Scope, element, update

WINDOW = 0.1


def loaded(identifier: int, load: int) -> PoolElement:
    """An element with a load, as it is here and at peers; the fast lane serves its re-registrations."""
    policy = Policy(policy_type=PolicyType.LEAST_USED, values=(load,))
    return replace(element(identifier, OWN), policy=policy)


class RenewalWorld:
    """A registrar with two peers, and an element that registers over the association ``number``."""

    def __init__(self, *, readable: bool = False, peers: bool = True) -> None:
        self.scope = Scope(peer_update_window=WINDOW, registration_rate=1000.0, registration_burst=1000)
        self.links = [self.scope.join(LOW, 2), self.scope.join(HIGH, 3)] if peers else []
        self.number = self.scope.associate(9, 17777, Protocol.ASAP)
        if readable:
            self.scope.registrar.elements.ownership.claims[b"disputed", 1] = (8, b"")

    def register(self, load: int, identifier: int = 1) -> None:
        request = Registration(pool_handle=POOL, pool_element=replace(loaded(identifier, load), home_identifier=0))
        self.send(request.encode())

    def send(self, octets: bytes) -> None:
        self.scope.take(self.scope.registrar.received(self.number, octets, self.scope.now))

    def updates(self, link: int = 0) -> list[tuple[int, int]]:
        """Take the updates that a peer has got since the last call: action and load of each."""
        sent = self.scope.sent[self.links[link]]
        updates = [message for message in sent if isinstance(message, HandleUpdate)]
        sent.clear()
        return [(one.update_action, one.pool_element.policy.values[0]) for one in updates]


@pytest.mark.parametrize("readable", [False, True])
def test_the_first_update_goes_at_once_and_the_last_at_the_end_of_the_window(readable: bool) -> None:
    world = RenewalWorld(readable=readable)
    world.register(1)
    assert world.updates() == world.updates(1) == [(0, 1)]
    for load in range(2, 9):
        world.scope.wait(0.01)
        world.register(load)
    assert world.updates() == []
    world.scope.wait(WINDOW)
    assert world.updates() == world.updates(1) == [(0, 8)]
    world.register(9)
    assert world.updates() == [], "the update at the end of a window opens the next one"
    world.scope.wait(2 * WINDOW)
    assert world.updates() == [(0, 9)]
    world.scope.wait(2 * WINDOW)
    world.register(10)
    assert world.updates() == [(0, 10)]


def test_twenty_re_registrations_a_second_cause_ten_updates() -> None:
    world = RenewalWorld()
    for load in range(100):
        world.register(load)
        world.scope.wait(0.05)
    world.scope.wait(1)
    sent = world.updates()
    assert 45 <= len(sent) <= 52
    assert sent[-1] == (0, 99)


def test_the_window_of_one_element_does_not_delay_another() -> None:
    world = RenewalWorld()
    world.register(1)
    world.register(2)
    world.register(3, identifier=2)
    assert world.updates() == [(0, 1), (0, 3)]


def test_a_removal_is_sent_at_once_and_drops_the_pending_update() -> None:
    world = RenewalWorld()
    world.register(1)
    world.register(2)
    world.send(Deregistration(pool_handle=POOL, pe_identifier=1).encode())
    assert world.updates() == [(0, 1), (1, 2)]
    world.scope.wait(1)
    assert world.updates() == []


def test_an_element_that_registers_again_after_its_removal_is_sent_at_once() -> None:
    world = RenewalWorld()
    world.register(1)
    world.register(2)
    world.send(Deregistration(pool_handle=POOL, pe_identifier=1).encode())
    world.register(3)
    assert world.updates() == [(0, 1), (1, 2), (0, 3)]
    world.scope.wait(1)
    assert world.updates() == []


def test_a_change_of_home_drops_the_pending_update() -> None:
    world = RenewalWorld()
    world.register(1)
    world.register(2)
    world.scope.send(world.links[0], update(LOW, replace(loaded(1, 7), home_identifier=LOW)))
    world.scope.take(world.scope.registrar.lost(world.number, world.scope.now))
    world.scope.wait(1)
    assert world.scope.homes() == {1: LOW}
    assert world.updates(1) == [(0, 1)]


def test_an_element_that_returns_from_another_home_is_sent_at_once() -> None:
    world = RenewalWorld()
    world.register(1)
    world.scope.send(world.links[0], update(LOW, replace(loaded(1, 7), home_identifier=LOW)))
    world.scope.take(world.scope.registrar.lost(world.number, world.scope.now))
    world.number = world.scope.associate(9, 17777, Protocol.ASAP)
    world.updates()
    world.register(3)
    assert world.updates() == [(0, 3)]


def test_a_download_inside_a_window_has_the_current_values() -> None:
    world = RenewalWorld()
    world.register(1)
    world.register(2)
    octets, _ = world.scope.registrar.handlespace.table(True, None, 60000)
    assert loaded(1, 2).policy.encode() in octets


def test_no_windows_are_kept_without_peers_or_after_they_ended() -> None:
    alone = RenewalWorld(peers=False)
    alone.register(1)
    alone.register(2)
    assert len(alone.scope.registrar.elements.updates._coalescing) == 0
    world = RenewalWorld()
    for identifier in range(1, 50):
        world.register(1, identifier)
        world.send(Deregistration(pool_handle=POOL, pe_identifier=identifier).encode())
    world.scope.wait(2 * WINDOW)
    world.register(1, 99)
    assert len(world.scope.registrar.elements.updates._coalescing) == 1


def test_a_window_of_0_turns_coalescing_off() -> None:
    world = RenewalWorld()
    world.scope = Scope(peer_update_window=0.0)
    world.links = [world.scope.join(LOW, 2)]
    world.number = world.scope.associate(9, 17777, Protocol.ASAP)
    for load in (1, 2, 3):
        world.register(load)
    assert world.updates() == [(0, 1), (0, 2), (0, 3)]


def test_many_windows_that_end_together_are_closed_in_slices() -> None:
    world = RenewalWorld()
    world.scope.registrar.context.associations[world.number].registrant.elements -= 1000  # as many as it likes
    for load in (1, 2):
        for identifier in range(1, 301):
            world.register(load, identifier)
    world.updates()
    scope = world.scope
    sizes = []
    for _ in range(20):
        due = scope.registrar.wheel.next_expiry()
        assert due is not None
        scope.now = max(scope.now, due)
        scope.take(scope.registrar.advance(scope.now))
        sizes.append(len(world.updates()))
    assert sum(sizes) == 300
    assert max(sizes) <= 100


def test_an_element_that_confirms_its_new_home_is_sent_soon() -> None:
    world = RenewalWorld()
    world.scope.add(world.links[0], LOW, 1)
    world.scope.registrar.handlespace.take_over(LOW, OWN, 1)
    enrp = world.scope.registrar.enrp
    enrp.takeovers._adopt_moved(world.scope.now)
    world.scope.take(enrp._context.take_actions())
    del world.scope.sent[world.links[1]][:]
    world.send(EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1).encode())
    assert any(isinstance(message, HandleUpdate) for message in world.scope.sent[world.links[1]])


def a_peer(world: RenewalWorld) -> None:
    world.scope.join(LOW, 2)


def a_subscriber(world: RenewalWorld) -> None:
    user = world.scope.associate(7, 5, Protocol.ASAP)
    octets = HandleResolution(subscribe=True, pool_handle=POOL).encode()
    world.scope.take(world.scope.registrar.received(user, octets, world.scope.now))


@pytest.mark.parametrize("appear", [a_peer, a_subscriber])
def test_lanes_record_renewals_when_a_peer_or_subscriber_appears(appear: Callable[[RenewalWorld], None]) -> None:
    world = RenewalWorld(peers=False)
    world.register(1)
    registrar = world.scope.registrar
    lane = registrar.lane(world.number)
    assert lane is not None
    request = Registration(pool_handle=POOL, pool_element=replace(loaded(1, 2), home_identifier=0)).encode()
    assert lane.answer(request, world.scope.now)
    assert not registrar.handlespace.updated
    appear(world)
    assert lane.answer(request, world.scope.now)
    assert registrar.handlespace.updated == [(POOL, 1)]


def test_lanes_stop_recording_renewals_without_peers() -> None:
    world = RenewalWorld()
    world.register(1)
    registrar = world.scope.registrar
    for link in world.links:
        world.scope.take(registrar.lost(link, world.scope.now))
    world.scope.wait(60)
    assert not registrar.enrp.peers
    world.register(2)
    assert not registrar.handlespace.updated
    assert not registrar.handlespace.record_renewals

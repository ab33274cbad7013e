"""Re-registrations that peers are not told of one by one."""

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
    """An element whose load changes, which the fast lane renews, as it is here and at peers."""
    policy = Policy(policy_type=PolicyType.LEAST_USED, values=(load,))
    return replace(element(identifier, OWN), policy=policy)


class Watched:
    """A registrar with two peers, and an element that registers over association ``line``."""

    def __init__(self, *, readable: bool = False, peers: bool = True) -> None:
        self.scope = Scope(peer_update_window=WINDOW, registration_rate=1000.0, registration_burst=1000)
        self.links = [self.scope.join(LOW, 2), self.scope.join(HIGH, 3)] if peers else []
        self.line = self.scope.associate(9, 17777, Protocol.ASAP)
        if readable:
            self.scope.registrar.elements.ownership.claims[b"disputed", 1] = (8, b"")

    def register(self, load: int, identifier: int = 1) -> None:
        request = Registration(pool_handle=POOL, pool_element=replace(loaded(identifier, load), home_identifier=0))
        self.say(request.encode())

    def say(self, octets: bytes) -> None:
        self.scope.take(self.scope.registrar.received(self.line, octets, self.scope.now))

    def told(self, link: int = 0) -> list[tuple[int, int]]:
        """Action and load of the updates that a peer has had since this was asked last."""
        sent = self.scope.sent[self.links[link]]
        updates = [message for message in sent if isinstance(message, HandleUpdate)]
        sent.clear()
        return [(one.update_action, one.pool_element.policy.values[0]) for one in updates]


@pytest.mark.parametrize("readable", [False, True])
def test_the_first_is_told_at_once_and_the_last_at_the_end(readable: bool) -> None:
    world = Watched(readable=readable)
    world.register(1)
    assert world.told() == world.told(1) == [(0, 1)]
    for load in range(2, 9):
        world.scope.wait(0.01)
        world.register(load)
    assert world.told() == []
    world.scope.wait(WINDOW)
    assert world.told() == world.told(1) == [(0, 8)]
    world.register(9)
    assert world.told() == [], "what was told at the end of a window opens the next"
    world.scope.wait(2 * WINDOW)
    assert world.told() == [(0, 9)]
    world.scope.wait(2 * WINDOW)
    world.register(10)
    assert world.told() == [(0, 10)]


def test_twenty_times_a_second_is_told_ten_times() -> None:
    world = Watched()
    for load in range(100):
        world.register(load)
        world.scope.wait(0.05)
    world.scope.wait(1)
    told = world.told()
    assert 45 <= len(told) <= 52
    assert told[-1] == (0, 99)


def test_others_are_not_held_up() -> None:
    world = Watched()
    world.register(1)
    world.register(2)
    world.register(3, identifier=2)
    assert world.told() == [(0, 1), (0, 3)]


def test_a_removal_is_told_at_once_and_nothing_after_it() -> None:
    world = Watched()
    world.register(1)
    world.register(2)
    world.say(Deregistration(pool_handle=POOL, pe_identifier=1).encode())
    assert world.told() == [(0, 1), (1, 2)]
    world.scope.wait(1)
    assert world.told() == []


def test_who_comes_back_is_told_at_once() -> None:
    world = Watched()
    world.register(1)
    world.register(2)
    world.say(Deregistration(pool_handle=POOL, pe_identifier=1).encode())
    world.register(3)
    assert world.told() == [(0, 1), (1, 2), (0, 3)]
    world.scope.wait(1)
    assert world.told() == []


def test_another_home_ends_what_is_pending() -> None:
    world = Watched()
    world.register(1)
    world.register(2)
    world.scope.send(world.links[0], update(LOW, replace(loaded(1, 7), home_identifier=LOW)))
    world.scope.take(world.scope.registrar.lost(world.line, world.scope.now))
    world.scope.wait(1)
    assert world.scope.homes() == {1: LOW}
    assert world.told(1) == [(0, 1)]


def test_who_comes_back_from_another_home_is_told_at_once() -> None:
    world = Watched()
    world.register(1)
    world.scope.send(world.links[0], update(LOW, replace(loaded(1, 7), home_identifier=LOW)))
    world.scope.take(world.scope.registrar.lost(world.line, world.scope.now))
    world.line = world.scope.associate(9, 17777, Protocol.ASAP)
    world.told()
    world.register(3)
    assert world.told() == [(0, 3)]


def test_a_download_meanwhile_has_the_current_values() -> None:
    world = Watched()
    world.register(1)
    world.register(2)
    octets, _ = world.scope.registrar.handlespace.table(True, None, 60000)
    assert loaded(1, 2).policy.encode() in octets


def test_nothing_is_kept_without_peers_nor_for_long() -> None:
    alone = Watched(peers=False)
    alone.register(1)
    alone.register(2)
    assert len(alone.scope.registrar.elements.updates._coalescing) == 0
    world = Watched()
    for identifier in range(1, 50):
        world.register(1, identifier)
        world.say(Deregistration(pool_handle=POOL, pe_identifier=identifier).encode())
    world.scope.wait(2 * WINDOW)
    world.register(1, 99)
    assert len(world.scope.registrar.elements.updates._coalescing) == 1


def test_it_can_be_turned_off() -> None:
    world = Watched()
    world.scope = Scope(peer_update_window=0.0)
    world.links = [world.scope.join(LOW, 2)]
    world.line = world.scope.associate(9, 17777, Protocol.ASAP)
    for load in (1, 2, 3):
        world.register(load)
    assert world.told() == [(0, 1), (0, 2), (0, 3)]


def test_many_windows_that_end_at_once_are_told_in_slices() -> None:
    world = Watched()
    world.scope.registrar.context.associations[world.line].registrant.elements -= 1000  # as many as it likes
    for load in (1, 2):
        for identifier in range(1, 301):
            world.register(load, identifier)
    world.told()
    scope = world.scope
    sizes = []
    for _ in range(20):
        due = scope.registrar.wheel.next_expiry()
        assert due is not None
        scope.now = max(scope.now, due)
        scope.take(scope.registrar.advance(scope.now))
        sizes.append(len(world.told()))
    assert sum(sizes) == 300
    assert max(sizes) <= 100


def test_an_element_that_was_taken_over_is_told_of_at_once() -> None:
    world = Watched()
    world.scope.add(world.links[0], LOW, 1)
    world.scope.registrar.handlespace.take_over(LOW, OWN, 1)
    enrp = world.scope.registrar.enrp
    enrp.takeovers._adopt_moved(world.scope.now)
    world.scope.take(enrp._context.take_actions())
    del world.scope.sent[world.links[1]][:]
    world.say(EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=1).encode())
    assert any(isinstance(message, HandleUpdate) for message in world.scope.sent[world.links[1]])


def a_peer(world: Watched) -> None:
    world.scope.join(LOW, 2)


def a_subscriber(world: Watched) -> None:
    user = world.scope.associate(7, 5, Protocol.ASAP)
    octets = HandleResolution(subscribe=True, pool_handle=POOL).encode()
    world.scope.take(world.scope.registrar.received(user, octets, world.scope.now))


@pytest.mark.parametrize("appear", [a_peer, a_subscriber])
def test_lanes_tell_of_renewals_where_somebody_is_to_hear_of_them(appear: Callable[[Watched], None]) -> None:
    world = Watched(peers=False)
    world.register(1)
    registrar = world.scope.registrar
    lane = registrar.lane(world.line)
    assert lane is not None
    request = Registration(pool_handle=POOL, pool_element=replace(loaded(1, 2), home_identifier=0)).encode()
    assert lane.answer(request, world.scope.now)
    assert not registrar.handlespace.updated
    appear(world)
    assert lane.answer(request, world.scope.now)
    assert registrar.handlespace.updated == [(POOL, 1)]


def test_without_peers_nothing_is_gathered_any_more() -> None:
    world = Watched()
    world.register(1)
    registrar = world.scope.registrar
    for link in world.links:
        world.scope.take(registrar.lost(link, world.scope.now))
    world.scope.wait(60)
    assert not registrar.enrp.peers
    world.register(2)
    assert not registrar.handlespace.updated
    assert not registrar.handlespace.record_renewals

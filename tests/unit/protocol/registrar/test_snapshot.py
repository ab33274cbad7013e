"""The snapshot: pages of pools, elements and peers, and sizes."""

from dataclasses import FrozenInstanceError
from functools import partial

import pytest

from rserpool.messages import EndpointKeepAliveAck, EndpointUnreachable, PolicyType
from rserpool.protocol.registrar.actions import Protocol
from rserpool.protocol.registrar.snapshot import PAGE, ElementSnapshot, bounded, walk
from tests.support.scope import LOW, OWN, POOL, Scope, element, host, presence

SECOND = 1_000_000


def elements(scope: Scope, handle: bytes = POOL) -> list[ElementSnapshot]:
    return list(walk(partial(scope.registrar.snapshot.elements, handle, scope.now)))


def test_pools_come_by_length_and_octets_in_pages() -> None:
    scope = Scope()
    for number, handle in enumerate((b"zz", b"b", b"a", b"aaa"), 1):
        scope.register(number, handle=handle)
    snapshot = scope.registrar.snapshot
    first = snapshot.pools(limit=3)
    assert [pool.handle for pool in first.items] == [b"a", b"b", b"zz"]
    assert (first.items[0].policy_type, first.items[0].size) == (PolicyType.ROUND_ROBIN, 1)
    second = snapshot.pools(first.next, limit=3)
    assert ([pool.handle for pool in second.items], second.next) == ([b"aaa"], None)


def test_page_after_a_pool_that_is_gone_continues_behind_it() -> None:
    scope = Scope()
    numbers = [scope.register(number, handle=handle) for number, handle in enumerate((b"a", b"b", b"c"), 1)]
    position = scope.registrar.snapshot.pools(limit=2).next
    scope.take(scope.registrar.lost(numbers[1], scope.now))
    assert [pool.handle for pool in scope.registrar.snapshot.pools(position).items] == [b"c"]


def test_elements_come_by_identifier_in_pages() -> None:
    scope = Scope()
    for identifier in (5, 0xFFFFFFFF, 3):
        scope.register(identifier)
    snapshot = scope.registrar.snapshot
    first = snapshot.elements(POOL, scope.now, limit=2)
    assert ([one.identifier for one in first.items], first.next) == ([3, 5], 5)
    second = snapshot.elements(POOL, scope.now, first.next, limit=2)
    assert ([one.identifier for one in second.items], second.next) == ([0xFFFFFFFF], None)


def test_unknown_pool_has_no_elements() -> None:
    assert Scope().registrar.snapshot.elements(POOL, 0) == ((), None)


def test_own_element_shows_its_parameter_and_its_timers() -> None:
    scope = Scope(keep_alive_interval=10.0, keep_alive_timeout=4.0)
    number = scope.register(7)
    scope.wait(2)
    (one,) = elements(scope)
    assert (one.handle, one.identifier, one.home_identifier, one.own) == (POOL, 7, OWN, True)
    assert one.parameter.user_transport == element(7, OWN).user_transport
    assert one.parameter.policy.policy_type == PolicyType.ROUND_ROBIN
    assert one.remaining_life == 298.0
    assert one.keep_alive_due is not None
    assert 3.0 <= one.keep_alive_due <= 13.0
    assert (one.awaits_acknowledgement, one.bad_reports) == (False, 0)
    user = scope.associate(4, 5, Protocol.ASAP)
    report = EndpointUnreachable(pool_handle=POOL, pe_identifier=7).encode()
    scope.take(scope.registrar.received(user, report, scope.now))
    (one,) = elements(scope)
    assert (one.awaits_acknowledgement, one.bad_reports, one.keep_alive_due) == (True, 1, 4.0)
    ack = EndpointKeepAliveAck(pool_handle=POOL, pe_identifier=7).encode()
    scope.take(scope.registrar.received(number, ack, scope.now))
    assert not elements(scope)[0].awaits_acknowledgement


def test_element_of_a_peer_has_no_keep_alive() -> None:
    scope = Scope()
    scope.add(scope.join(LOW, 2), LOW, 9)
    (one,) = elements(scope)
    assert (one.home_identifier, one.own, one.keep_alive_due) == (LOW, False, None)
    assert one.remaining_life == 300.0


def test_peers_show_state_silence_and_agreement() -> None:
    scope = Scope()
    assert scope.registrar.snapshot.peers(0) == ((), None)
    low = scope.join(LOW, 2)
    scope.add(low, LOW, 9)
    scope.wait(1.5)
    ((peer,), position) = scope.registrar.snapshot.peers(scope.now)
    assert (peer.identifier, peer.addresses, peer.port, position) == (LOW, (host(2),), 9901, None)
    assert (peer.state, peer.connected, peer.last_heard, peer.elements) == ("alive", True, 1.5, 1)
    assert peer.synchronised is False
    scope.send(low, presence(LOW, 2, scope.registrar.handlespace.checksum(LOW)))
    ((peer,), _) = scope.registrar.snapshot.peers(scope.now)
    assert (peer.synchronised, peer.last_heard) == (True, 0.0)


def test_peers_come_by_identifier_in_pages() -> None:
    scope = Scope()
    for identifier, where in ((9, 2), (7, 3), (8, 4)):
        scope.join(identifier, where)
    first = scope.registrar.snapshot.peers(scope.now, limit=2)
    assert ([peer.identifier for peer in first.items], first.next) == ([7, 8], 8)
    second = scope.registrar.snapshot.peers(scope.now, first.next, limit=2)
    assert ([peer.identifier for peer in second.items], second.next) == ([9], None)


def test_sizes_count_what_the_registrar_holds() -> None:
    scope = Scope()
    scope.register(1)
    scope.register(2, handle=b"Other")
    scope.add(scope.join(LOW, 2), LOW, 9)
    sizes = scope.registrar.snapshot.sizes()
    assert (sizes.associations, sizes.peers, sizes.pools, sizes.elements, sizes.own_elements) == (2, 1, 2, 3, 2)


def test_pages_have_a_bound_whatever_is_asked_for() -> None:
    assert (bounded(0), bounded(7), bounded(10**9)) == (1, 7, PAGE)


def test_records_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Scope().registrar.snapshot.sizes().pools = 1  # type: ignore[misc]

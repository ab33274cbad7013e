"""The true state of the simulated world, and checks that the registrars hold the same."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rserpool.protocol.registrar.enrp.peers import State as PeerState
from rserpool.settings.registrar import Settings
from tests.sim import bounds, usage
from tests.sim.client import Client
from tests.sim.clock import Clock
from tests.sim.element import Element
from tests.sim.ledger import Violation
from tests.sim.member import Member
from tests.sim.network import CONNECT_PATIENCE, Network
from tests.sim.node import Node

if TYPE_CHECKING:
    from tests.sim.world import Shape

Key = tuple[bytes, int]
SLACK = 2.5
"""Seconds by which a check may be late, plus the travel time of messages."""


@dataclass(slots=True)
class Since:
    """Measures for how long conditions have held, by looking at them repeatedly."""

    _since: dict[object, int] = field(default_factory=dict)

    def seen(self, now: int, things: AbstractSet[object]) -> None:
        """Record the conditions that hold now. All others do not hold."""
        self._since = {thing: self._since.get(thing, now) for thing in things}

    def longest(self, now: int, thing: object) -> float:
        """Seconds for which the condition has held; 0 if it does not hold."""
        return (now - self._since.get(thing, now)) / 1_000_000


@dataclass(slots=True)
class Model:
    """The truth about nodes and elements. Call ``look`` about once a second."""

    clock: Clock
    network: Network
    nodes: list[Node]
    elements: list[Element | Member]
    settings: Settings
    shape: "Shape"
    clients: list[Client]
    ended: dict[Key, int] = field(default_factory=dict)
    """Elements that are gone for ever, and when they ended."""
    calm: set[Key] = field(default_factory=set)
    """Elements that must be resolved everywhere all the time: only registrars are disturbed."""
    _owned: Since = field(default_factory=Since)
    _missing: Since = field(default_factory=Since)

    def running(self) -> list[Node]:
        return [node for node in self.nodes if node.running]

    # All the time

    def look(self) -> None:
        """Raise Violation if something holds that must never hold, or holds longer than it may."""
        now = self.clock.now
        alive = {(element.pool, element.identifier): element for element in self.elements if element.alive}
        self._look_for_dead(now, alive)
        self._look_for_missing(now, alive)
        for client in self.clients:
            client.check()
        for node in self.running():
            assert node.registrar is not None
            node.registrar.handlespace._check()
            limits = self.settings.limits
            for what, size, most in (
                ("peers", len(node.registrar.enrp.peers), limits.peers),
                ("pools", node.registrar.handlespace.pool_count, limits.pools),
                ("associations", len(node.registrar.context.associations), limits.associations),
            ):
                if size > most:
                    raise Violation(f"{node.name} holds {size} {what}, more than {most}")

    def _look_for_dead(self, now: int, alive: dict[Key, Element | Member]) -> None:
        """Check that no registrar keeps an element of its own that died longer ago than the bound."""
        died = self.ended | {
            (element.pool, element.identifier): element.changed for element in self.elements if not element.alive
        }
        owned: set[object] = set()
        for node in self.running():
            assert node.registrar is not None
            owned |= {(node.name, node.started, key) for key in node.registrar.handlespace.owned(node.identifier)}
        self._owned.seen(now, owned)
        bound = bounds.dead_element(self.settings) + CONNECT_PATIENCE + SLACK
        for node in self.running():
            assert node.registrar is not None
            if node.still:
                continue
            for key in node.registrar.handlespace.owned(node.identifier):
                if key in alive:
                    continue
                if key not in died:
                    raise Violation(f"{node.name} owns {named(key)}, which never was")
                since = max(died[key], node.disturbed)
                seconds = min((now - since) / 1_000_000, self._owned.longest(now, (node.name, node.started, key)))
                if seconds > bound:
                    raise Violation(f"{node.name} owns {named(key)}, dead for {seconds:.1f} s, more than {bound:.1f} s")

    def _look_for_missing(self, now: int, alive: dict[Key, Element | Member]) -> None:
        """Check that each element that believes to be registered is in the handlespace of its home, and, in calm times,
        in that of every registrar."""
        missing: set[tuple[str, int, Key]] = set()
        for key, element in alive.items():
            if element.frozen:
                continue
            life = element.life * self.settings.profile.registration_life_unit
            for node in self.running():
                if node.still or not self.network.reaches(node.host, element.host):
                    continue
                assert node.registrar is not None
                calm = key in self.calm and (node.leapt is None or now > node.leapt + life)
                home = element.settled and element.home is not None and element.home.there.host is node.host
                if (calm or home) and node.registrar.handlespace.find(*key) is None:
                    missing.add((node.name, node.started, key))
        self._missing.seen(now, missing)
        for entry in sorted(missing):
            name, _, key = entry
            seconds = self._missing.longest(now, entry)
            bound = self._missing_bound()
            if key in self.calm:  # ours look for another home at once, while they are taken over
                bound = SLACK + (bounds.repair(self.settings) if isinstance(alive[key], Member) else 0)
            if seconds > bound:
                raise Violation(f"{name} has missed {named(key)}, which lives, for {seconds:.1f} s")

    def _missing_bound(self) -> float:
        home = max(bounds.element(self.shape.patience), bounds.node(self.shape.client, self.shape.registrars))
        return home + bounds.dead_element(self.settings)

    # At rest

    def differences(self) -> Iterator[str]:
        """List what differs from the settled state."""
        nodes = self.running()
        identifiers = [node.identifier for node in nodes]
        if len(set(identifiers)) < len(identifiers):
            yield f"two registrars have one identifier: {', '.join(f'{i:08x}' for i in identifiers)}"
            return
        for node in nodes:
            yield from self._peers_differ(node, {node.identifier for node in nodes} - {node.identifier})
        tables = {node.name: table(node) for node in nodes}
        for node in nodes:
            yield from self._truth_differs(node, tables[node.name])
        for node in nodes[1:]:
            yield from tables_differ(nodes[0], node, tables[nodes[0].name], tables[node.name])
        if nodes:
            yield from usage.homes_differ(self.clients, nodes)
            yield from usage.watches_differ(self.clients, tables[nodes[0].name])
        yield from usage.sessions_wait(self.clients, self.elements, self.clock.now)

    def _peers_differ(self, node: Node, others: set[int]) -> Iterator[str]:
        assert node.registrar is not None
        enrp = node.registrar.enrp
        if not enrp.startup.over:
            yield f"{node.name} is still starting"
        for identifier in sorted(others - enrp.peers.keys()):
            yield f"{node.name} does not know registrar {identifier:08x}"
        for identifier, peer in sorted(enrp.peers.items()):
            if identifier not in others:
                yield f"{node.name} still knows registrar {identifier:08x}, which is gone ({peer.state.name})"
            elif peer.state is not PeerState.ALIVE or peer.link is None:
                how = "" if peer.link is not None else ", no association"
                yield f"{node.name} holds registrar {identifier:08x} for {peer.state.name}{how}"

    def _truth_differs(self, node: Node, held: dict[Key, tuple[int, int, bytes]]) -> Iterator[str]:
        truth = {(element.pool, element.identifier): element for element in self.elements if element.alive}
        homes = {other.host: other.identifier for other in self.running()}
        for key in sorted(held.keys() - truth.keys()):
            yield f"{node.name} holds {named(key)} of {held[key][0]:08x}, which is dead"
        for key, element in sorted(truth.items()):
            if key not in held:
                yield f"{node.name} lacks {named(key)}, which lives ({element.stage})"
                continue
            home, connection, parameter = held[key]
            believed = homes.get(element.home.there.host, 0) if element.home is not None else 0
            if home != believed:
                yield f"{node.name} has home {home:08x} for {named(key)}, which is at {believed:08x}"
            elif home == node.identifier and node.other_end(connection) is not element.home:
                yield f"{node.name} owns {named(key)} over association {connection}, which is not the element's"
            if element.policy.encode() not in parameter:
                yield f"{node.name} has another policy for {named(key)} than {element.policy}"


def table(node: Node) -> dict[Key, tuple[int, int, bytes]]:
    """All elements that a registrar holds: home, association and octets of each."""
    assert node.registrar is not None
    return {
        (pool.handle, view.identifier): (view.home_identifier, view.connection, view.parameter)
        for pool in node.registrar.handlespace.pools()
        for view in pool
    }


def tables_differ(
    one: Node, other: Node, ones: dict[Key, tuple[int, int, bytes]], others: dict[Key, tuple[int, int, bytes]]
) -> Iterator[str]:
    """Describe how the contents of two registrars, or their checksums, differ."""
    for key in sorted(ones.keys() & others.keys()):
        if ones[key][2] != others[key][2]:
            yield f"{one.name} and {other.name} hold {named(key)} differently"
    assert one.registrar is not None
    assert other.registrar is not None
    for home in sorted({home for home, _, _ in (*ones.values(), *others.values())}):
        sums = one.registrar.handlespace.checksum(home), other.registrar.handlespace.checksum(home)
        if sums[0] != sums[1]:
            yield f"{one.name} and {other.name} have checksums {sums[0]:04x} and {sums[1]:04x} of {home:08x}"


def named(key: Key) -> str:
    """An element's name in the history."""
    return f"element {key[1]:08x} of {key[0].decode('ascii', 'backslashreplace')}"

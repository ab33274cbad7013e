"""Measures the cost of takeover, download and re-registration: real protocol objects, simulated elements and
network."""

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any, cast

from rserpool.messages import PolicyType
from rserpool.protocol.registrar.registrar import Registrar
from tests.sim.clock import SECOND
from tests.sim.element import Element, policy
from tests.sim.network import Host
from tests.sim.node import ASAP_PORT, Node
from tests.sim.world import World, shape
from tests.support import elements as octets

Row = tuple[str, str, str, str]

TAKEN_OVER = 10_000
DOWNLOADED = 100_000
RENEWED = 1_000
PEERS = 3
POOLS = 10
SECONDS = 5


class Timed:
    """A registrar whose events are timed: ``spent`` sums up the seconds of CPU time in them."""

    EVENTS = ("associated", "received", "lost", "advance", "unreachable", "presence_heard")

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar
        self.spent = 0.0
        for name in self.EVENTS:
            setattr(self, name, self._timed(getattr(registrar, name)))

    def _timed(self, event: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began = time.process_time()
            result = event(*arguments)
            self.spent += time.process_time() - began
            return result

        return call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registrar, name)


def timed(node: Node) -> Timed:
    """Time a node's registrar from now on."""
    watched = Timed(cast(Registrar, node.registrar))
    node.registrar = cast(Registrar, watched)
    return watched


def world(registrars: int, **settings: Any) -> World:
    """Return registrars that have started and know each other, with the timers of the rsplib profile, and without
    elements."""
    made = World(
        1,
        replace(
            shape(0), registrars=registrars, elements=0, users=0, topology="all", heartbeat=2.444, last_heard=5.0,
            keep_alive_interval=5.0, no_response=5.0, slowest=0.002, **settings,
        ),
    )  # fmt: skip
    made.history.keep_nothing()
    for node in made.nodes:
        made.start(node)
        made.clock.run(made.clock.now + 6 * SECOND)
    return made


def populate(made: World, count: int) -> list[Element]:
    """Register elements at the first registrar, spread evenly over some seconds."""
    first = made.nodes[0].host.address
    places = tuple((node.host.address, ASAP_PORT) for node in made.nodes)
    registered = []
    for number in range(count):
        host = Host(f"E{number}", IPv4Address("10.2.0.1") + number)
        made.network.add(host)
        element = Element(
            network=made.network,
            host=host,
            randomness=made.random,
            pool=b"pool%d" % (number % POOLS),
            identifier=number + 1,
            policy=policy(PolicyType.LEAST_USED),
            life=made.shape.profile.registration_life_unit and round(600e6 / made.shape.profile.registration_life_unit),
            interval=500.0,
            places=((first, ASAP_PORT),),
        )
        made.clock.after(number / 2000, element.start)
        registered.append(element)
    made.clock.run(made.clock.now + (count // 2000 + 10) * SECOND)
    assert all(element.settled for element in registered)
    for element in registered:
        element.places = places
    return registered


def takeover() -> list[Row]:
    """Kill a registrar that has many elements; two others remain."""
    made = world(PEERS)
    registered = populate(made, TAKEN_OVER)
    victim = made.nodes[0]
    others = [timed(node) for node in made.nodes[1:]]
    heard = made.clock.now
    victim.stop(silently=True)
    identifiers: set[int] = set()
    while len(identifiers) != 1 or any(e.home is None or e.home.there.host is victim.host for e in registered):
        made.clock.run(made.clock.now + SECOND // 100)
        assert made.clock.now < heard + 120 * SECOND, "the takeover has no end"
        spaces = [cast(Any, node.registrar).handlespace for node in made.nodes[1:]]
        identifiers = {home for space in spaces for home in space.homes() if space.home_size(home)}
    seconds = (made.clock.now - heard) / SECOND
    winner, other = sorted(others, key=lambda watched: -watched.spent)
    what = f"takeover of {TAKEN_OVER} elements"
    return [
        (what, f"{seconds:.2f} s", f"{winner.spent:.2f} s", "last sign of life to last element owned; the new home"),
        ("", "", f"{other.spent:.2f} s", "the other registrar"),
    ]


def download() -> list[Row]:
    """Start a registrar that downloads many elements from another one."""
    made = world(1)
    mentor = made.nodes[0]
    space = cast(Registrar, mentor.registrar).handlespace
    for number in range(DOWNLOADED):
        element = octets.element(number + 1, octets.LU, (number,), life=600, asap=octets.sctp(9))
        space.register(b"pool %d" % (number % 1000), element, home=mentor.identifier)
    host = Host("R1", IPv4Address("10.1.0.2"))
    made.network.add(host)
    beginner = Node(made.network, host, made.random, made.history)
    giving = timed(mentor)
    began = made.clock.now
    beginner.start(made.settings(2), 2, (((mentor.host.address,), 9901),))
    taking = timed(beginner)
    while len(cast(Registrar, beginner.registrar).handlespace) < DOWNLOADED:
        made.clock.run(made.clock.now + SECOND // 100)
        assert made.clock.now < began + 600 * SECOND, "the download has no end"
    seconds = (made.clock.now - began) / SECOND
    return [
        (
            f"download of {DOWNLOADED} elements",
            f"{seconds:.2f} s",
            f"{taking.spent:.2f} s",
            "the registrar that starts",
        ),
        ("", "", f"{giving.spent:.2f} s", "its mentor"),
    ]


def renewals() -> list[Row]:
    """Measure a registrar with some peers while each of its elements changes its load 1 or 20 times per second."""
    rows = []
    for times in (1, 20):
        made = world(1 + PEERS)
        registered = populate(made, RENEWED)
        gc.collect()  # garbage of earlier worlds would be counted
        watched = [timed(node) for node in made.nodes]
        for tick in range(times * SECONDS):
            for number, element in enumerate(registered):
                made.clock.after((tick + number / RENEWED) / times, element.load, 1 + made.random.randrange(1000))
        made.clock.run(made.clock.now + SECONDS * SECOND)
        home, *peers = (spent.spent / SECONDS for spent in watched)
        what = f"{RENEWED} elements re-register {times}/s, {PEERS} peers"
        rows += [
            (what, f"{SECONDS} s", f"{100 * home:.1f} %", "of one core, the home registrar; keep-alives included"),
            ("", "", f"{100 * max(peers):.1f} %", "of one core, a peer registrar"),
        ]
    return rows

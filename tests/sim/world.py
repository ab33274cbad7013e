"""A scope of registrars and elements as one seed makes it: how many, how they are set, and who knows whom."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from random import Random

from rserpool.limits import Limits
from rserpool.messages import PolicyType
from rserpool.profile import RFC, RSPLIB, Profile
from rserpool.settings import Settings
from tests.sim.clock import Clock
from tests.sim.element import VALUES, Element, Flavour, policy
from tests.sim.history import History
from tests.sim.model import Model
from tests.sim.network import Host, Network
from tests.sim.node import ASAP_PORT, ENRP_PORT, Node, Place

REGISTRARS = (3, 3, 3, 3, 3, 3, 4, 4, 5, 7)
ELEMENTS = (20, 20, 20, 24, 24, 30, 30, 40, 60, 200)
TOPOLOGIES = ("all", "all", "all", "first", "ring")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a world is made of."""

    registrars: int
    elements: int
    pools: int
    profile: Profile
    topology: str
    """Whom each registrar has configured as peers: all, only the first, only the next one, or none (multicast)."""
    at_once: bool
    """Whether all registrars start at the same instant."""
    rsplib_elements: float
    """The share of elements that behave like rsplib's."""
    interval: float
    """Seconds between two registrations of an element (T4)."""
    keep_alive_interval: float
    heartbeat: float
    last_heard: float
    no_response: float
    """Seconds that a registrar has to answer, or to consent to a takeover."""
    slowest: float
    """Seconds of the longest delay of a message."""
    phases: int
    calm: float
    """The share of the phases in which one registrar dies and nothing else happens."""
    kinds: tuple[str, ...] = ()
    """What else may happen (scenario.DISTURBANCES); anything if empty."""
    disturbances: int = 8
    """The most of it in one phase."""

    @property
    def patience(self) -> float:
        """Seconds that elements may need for themselves before they look for a new home."""
        return self.interval if self.rsplib_elements else 0.0


def shape(seed: int) -> Shape:
    """The shape that a seed stands for: mostly small and quick."""
    rng = Random(f"shape {seed}")
    profile = rng.choice((RFC, RSPLIB))
    patient = rng.random() < 0.05
    rsplib_elements = rng.choice((0.0, 0.0, 0.3, 1.0))
    heartbeat, last_heard = rng.choice(((2.444, 5.0), (2.444, 5.0), (3.0, 10.0), (5.0, 12.0)))
    return Shape(
        registrars=rng.choice(REGISTRARS),
        elements=20 if patient else rng.choice(ELEMENTS),
        pools=rng.choice((1, 2, 3, 5)),
        profile=profile,
        topology="none" if profile.multicast_presence and rng.random() < 0.5 else rng.choice(TOPOLOGIES),
        at_once=rng.random() < 0.4,
        rsplib_elements=rsplib_elements,
        interval=rng.choice((20.0, 30.0, 40.0) if rsplib_elements else (30.0, 250.0, 600.0)),
        keep_alive_interval=rng.choice((3.0, 5.0, 8.0)),
        heartbeat=30.0 if patient else heartbeat,
        last_heard=61.0 if patient else last_heard,
        slowest=rng.choice((0.01, 0.05, 0.4)),
        phases=2,
        calm=rng.choice((0.2, 0.2, 1.0)),
        no_response=rng.choice((5.0, 5.0, 1.5)),
    )


class World:
    """Everything there is, made from one seed."""

    def __init__(self, seed: int, shape: Shape, *, verbose: bool = False) -> None:
        self.seed = seed
        self.shape = shape
        self.random = Random(f"world {seed}")
        self.clock = Clock()
        self.history = History(verbose=verbose)
        self.network = Network(self.clock, self.random, self.history, slowest=shape.slowest)
        self.nodes = [self._node(number) for number in range(shape.registrars)]
        kinds = [self.random.choice(tuple(VALUES)) for _ in range(shape.pools)]
        self.elements = [self._element(number, kinds) for number in range(shape.elements)]
        self.model = Model(self.clock, self.network, self.nodes, self.elements, self.settings(1), shape.patience)

    def settings(self, identifier: int) -> Settings:
        """What all registrars are set to, but for the identifier."""
        return Settings(
            identifier=identifier,
            identifier_drawn=True,
            profile=self.shape.profile,
            keep_alive_interval=self.shape.keep_alive_interval,
            peer_heartbeat_cycle=self.shape.heartbeat,
            max_time_last_heard=self.shape.last_heard,
            max_time_no_response=self.shape.no_response,
            takeover_expiry=self.shape.no_response,
            limits=Limits(resynchronisation_pause=16.0),
        )

    def _node(self, number: int) -> Node:
        host = Host(f"R{number}", IPv4Address(f"10.1.0.{number + 1}"))
        self.network.add(host)
        return Node(self.network, host, self.random, self.history)

    def _element(self, number: int, kinds: list[PolicyType]) -> Element:
        host = Host(f"E{number}", IPv4Address(f"10.2.{number // 250}.{number % 250 + 1}"))
        self.network.add(host)
        pool = number % len(kinds)
        rsplib = self.random.random() < self.shape.rsplib_elements
        life = 3 * self.shape.interval if rsplib else self.shape.interval + 50
        return Element(
            network=self.network,
            host=host,
            randomness=self.random,
            pool=b"pool%d" % pool,
            identifier=self.draw(),
            policy=policy(kinds[pool]),
            life=round(life * 1_000_000 / self.shape.profile.registration_life_unit),
            interval=self.shape.interval,
            flavour=Flavour.RSPLIB if rsplib else Flavour.OURS,
            places=tuple((node.host.address, ASAP_PORT) for node in self.nodes),
        )

    def draw(self) -> int:
        """A random identifier, of a registrar or an element."""
        return self.random.randrange(1, 1 << 32)

    def static_peers(self, node: Node) -> tuple[Place, ...]:
        """Whom a registrar has configured."""
        number = self.nodes.index(node)
        chosen = {
            "all": self.nodes,
            "first": self.nodes[:1],
            "ring": [self.nodes[(number + 1) % len(self.nodes)]],
            "none": [],
        }[self.shape.topology]
        return tuple(((other.host.address,), ENRP_PORT) for other in chosen)

    def start(self, node: Node, identifier: int = 0) -> None:
        """Start a registrar, with an identifier of its own or the given one."""
        if not node.running:
            node.start(self.settings(identifier or self.draw()), self.random.getrandbits(60), self.static_peers(node))

    def restart(self, element: Element) -> None:
        """Start an element that had ended: as itself again, or as a new one."""
        if element.alive:
            return
        if self.random.random() < 0.5:
            self.model.ended[element.pool, element.identifier] = element.changed
            element.identifier = self.draw()
        element.start()

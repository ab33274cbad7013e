"""A scope of registrars, elements and users made from one seed: how many, their settings, and what they know of one
another."""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from random import Random

from rserpool.messages import PolicyType
from rserpool.protocol.client.candidate_list import ServerAddress
from rserpool.protocol.registrar.slices import DEFAULT_SLICES, Slices
from rserpool.settings.client import FAST, ClientSettings
from rserpool.settings.limits import Limits
from rserpool.settings.profile import RFC, RSPLIB, Profile
from rserpool.settings.registrar import Settings
from rserpool.settings.session import Failover, SessionSettings
from tests.sim.caller import Caller
from tests.sim.client import Client
from tests.sim.clock import Clock
from tests.sim.element import SERVICE_PORT, VALUES, Element, policy
from tests.sim.history import History
from tests.sim.ledger import Ledger
from tests.sim.member import Member
from tests.sim.model import Model
from tests.sim.network import Host, Network
from tests.sim.node import ASAP_PORT, ENRP_PORT, Node, Place

REGISTRARS = (3, 3, 3, 3, 3, 3, 4, 4, 5, 7)
ELEMENTS = (20, 20, 20, 24, 24, 30, 30, 40, 60, 200)
TOPOLOGIES = ("all", "all", "all", "first", "ring")
CALLER_PORT = 6000
PATIENT = ClientSettings(
    request_timeout=2.0,
    registration_timeout=3.0,
    deregistration_timeout=3.0,
    server_hunt=3.0,
    hunt_max=9.0,
    stale_cache=6.0,
)
"""For a network that is slow."""
USE = (
    "elements die",
    "elements freeze",
    "users die",
    "users freeze",
    "users are cut off",
    "sessions move",
    "a partition",
)
"""The disturbances that move sessions from one element to another."""
WATCHING = 3
"""The most element nodes whose user also watches a pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The size and the settings of a world."""

    registrars: int
    elements: int
    pools: int
    profile: Profile
    topology: str
    """Whom each registrar has configured as peers: all, only the first, only the next one, or none (multicast)."""
    at_once: bool
    """Whether all registrars start at the same instant."""
    rsplib_elements: float
    """The share of elements that behave like rsplib's, in pools of their own."""
    client: ClientSettings
    """The settings of the nodes of elements and users."""
    per_node: int
    """The most elements of one node."""
    hearing: float
    """The share of nodes that find registrars by their announcements only."""
    users: int
    """Processes that only use pools."""
    cards: bool
    """Whether elements send business cards."""
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
    """The disturbances that may happen (simulated_run.DISTURBANCES); any if empty."""
    disturbances: int = 8
    """The most of it in one phase."""
    slices: Slices = DEFAULT_SLICES
    """How registrars cut their walks over many elements."""

    @property
    def patience(self) -> float:
        """Seconds that elements may take before they look for a new home."""
        return self.interval if self.rsplib_elements else 0.0


def shape(seed: int) -> Shape:
    """Draw the shape of a seed: mostly small and quick."""
    rng = Random(f"shape {seed}")
    profile = rng.choice((RFC, RSPLIB))
    patient = rng.random() < 0.05
    rsplib_elements = rng.choice((0.0, 0.0, 0.3, 1.0))
    slowest = rng.choice((0.01, 0.05, 0.4))
    fast = slowest < 0.4 and rng.random() < 0.7
    use = rng.random() < 0.3
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
        slowest=slowest,
        client=replace(FAST, stale_cache=rng.choice((0.0, 3.0))) if fast else PATIENT,
        per_node=rng.choice((1, 1, 2, 4)),
        hearing=rng.choice((0.0, 0.0, 0.3, 1.0)),
        users=rng.choice((1, 2, 2, 4)),
        cards=rng.random() < 0.3,
        phases=2,
        calm=rng.choice((0.2, 0.2, 1.0)),
        kinds=USE if use else (),
        disturbances=25 if use else 8,
        no_response=rng.choice((5.0, 5.0, 1.5)),
    )


class World:
    """All participants, made from one seed."""

    def __init__(self, seed: int, shape: Shape, *, verbose: bool = False) -> None:
        self.seed = seed
        self.shape = shape
        self.random = Random(f"world {seed}")
        self.clock = Clock()
        self.history = History(verbose=verbose)
        self.network = Network(self.clock, self.random, self.history, slowest=shape.slowest)
        self.nodes = [self._node(number) for number in range(shape.registrars)]
        self.ledger = Ledger()
        self.elements: list[Element | Member] = []
        self.clients: list[Client] = []
        """The processes of elements and users, those of rsplib's apart."""
        self._people(shape)
        self.users = [client for client in self.clients if client.callers]
        self.model = Model(self.clock, self.network, self.nodes, self.elements, self.settings(1), shape, self.clients)

    def _people(self, shape: Shape) -> None:
        kinds = [self.random.choice(tuple(VALUES)) for _ in range(shape.pools)]
        for number in range(shape.elements):
            host = Host(f"E{number}", IPv4Address(f"10.2.{number // 250}.{number % 250 + 1}"))
            if self.random.random() < shape.rsplib_elements:
                self.network.add(host)
                self.elements.append(self._element(number, host, kinds))
            else:
                self.elements.append(self._member(number, host, kinds))
        if shape.cards:
            self._introduce()
        pools = sorted({element.pool for element in self.elements})
        for number in range(shape.users if pools else 0):
            client = self._client(Host(f"U{number}", IPv4Address(f"10.3.0.{number + 1}")))
            client.pools = tuple(self.random.sample(pools, self.random.randint(0, len(pools))))
            self._call(client)
        for client in self.random.sample(self.clients, min(WATCHING, len(self.clients))):
            if client.members:
                client.pools = (self.random.choice(pools),)

    def settings(self, identifier: int) -> Settings:
        """The settings that all registrars share, except the identifier."""
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
        return Node(self.network, host, self.random, self.history, slices=self.shape.slices)

    def _client(self, host: Host) -> Client:
        self.network.add(host)
        hearing = self.random.random() < self.shape.hearing
        both = not hearing and self.random.random() < 0.2
        known = self.random.sample(self.nodes, self.random.randint(1, len(self.nodes))) if both else self.nodes
        client = Client(
            self.network,
            host,
            self.random,
            self.history,
            settings=self.shape.client,
            places=() if hearing else tuple(map(place, known)),
            hears=hearing or both,
        )
        self.clients.append(client)
        return client

    def _member(self, number: int, host: Host, kinds: list[PolicyType]) -> Member:
        client = self.clients[-1] if self.clients else None
        if client is None or len(client.members) >= self.random.randint(1, self.shape.per_node):
            client = self._client(host)
        pool = number % len(kinds)
        port = SERVICE_PORT + len(client.members)
        kind = policy(kinds[pool])
        member = Member(client, port, b"pool%d" % pool, self.draw(), kind, self.shape.interval, self.ledger)
        member.life = round((self.shape.interval + 50) * 1_000_000 / self.shape.profile.registration_life_unit)
        client.members.append(member)
        return member

    def _introduce(self) -> None:
        """Let some elements send business cards to their users."""
        members = [element for element in self.elements if isinstance(element, Member)]
        for member in members:
            same = [other for other in members if other.pool == member.pool and other is not member]
            member.friends = tuple(self.random.sample(same, min(len(same), self.random.randint(0, 3))))

    def _call(self, client: Client) -> None:
        """Draw a user's sessions."""
        pools = sorted({element.pool for element in self.elements if isinstance(element, Member)})
        for number in range(self.random.randint(1, 3) if pools else 0):
            settings = SessionSettings(
                failover=self.random.choice((Failover.EVENT, Failover.EVENT, Failover.EVENT, Failover.ERROR)),
                silence=self.random.choice((None, 4.0)),
                patience=self.random.choice((10.0, 60.0)),
            )
            port = CALLER_PORT + number
            client.callers.append(Caller(client, port, self.random.choice(pools), settings, self.ledger))

    def _element(self, number: int, host: Host, kinds: list[PolicyType]) -> Element:
        pool = number % len(kinds)
        return Element(
            network=self.network,
            host=host,
            randomness=self.random,
            pool=b"far%d" % pool,
            identifier=self.draw(),
            policy=policy(kinds[pool]),
            life=round(3 * self.shape.interval * 1_000_000 / self.shape.profile.registration_life_unit),
            interval=self.shape.interval,
            places=tuple((node.host.address, ASAP_PORT) for node in self.nodes),
        )

    def draw(self) -> int:
        """Draw an identifier for a registrar or an element."""
        return self.random.randrange(1, 1 << 32)

    def static_peers(self, node: Node) -> tuple[Place, ...]:
        """The configured peers of a registrar."""
        number = self.nodes.index(node)
        chosen = {
            "all": self.nodes,
            "first": self.nodes[:1],
            "ring": [self.nodes[(number + 1) % len(self.nodes)]],
            "none": [],
        }[self.shape.topology]
        return tuple(((other.host.address,), ENRP_PORT) for other in chosen)

    def start(self, node: Node, identifier: int = 0) -> None:
        """Start a registrar with its own or the given identifier."""
        if not node.running:
            node.start(self.settings(identifier or self.draw()), self.random.getrandbits(60), self.static_peers(node))

    def restart(self, element: Element | Member) -> None:
        """Restart an element that had ended, with the same or a new identity."""
        if element.alive:
            return
        if self.random.random() < 0.5:
            self.model.ended[element.pool, element.identifier] = element.changed
            element.identifier = self.draw()
        element.start()


def place(node: Node) -> ServerAddress:
    """Where a registrar serves ASAP."""
    return ServerAddress(addresses=(node.host.address,), port=ASAP_PORT)

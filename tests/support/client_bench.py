"""A node of pool elements and a pool user under test, with a clock that the test sets, and registrars that the test
plays."""

from collections.abc import Sequence
from ipaddress import ip_address
from random import Random
from typing import TypeVar

from rserpool.errors import Cause
from rserpool.messages import (
    AsapError,
    AsapMessage,
    DeregistrationResponse,
    EndpointKeepAlive,
    ErrorCause,
    HandleResolution,
    HandleResolutionResponse,
    Policy,
    PolicyType,
    PoolElement,
    Registration,
    RegistrationResponse,
    SCTPTransport,
    ServerAnnounce,
    decode,
)
from rserpool.protocol.actions import Abort, Send, Shutdown
from rserpool.protocol.client.actions import Action, Dial, Publish
from rserpool.protocol.client.candidate_list import ServerAddress
from rserpool.protocol.client.element import Element
from rserpool.protocol.client.events import ClientEvent, ElementState, ElementStatus, PoolChanged, Resolution
from rserpool.protocol.client.node import Node
from rserpool.protocol.peer import Peer
from rserpool.settings.client import ClientSettings

SECOND = 1_000_000
POOL = b"EchoPool"
ROUND_ROBIN = Policy(policy_type=PolicyType.ROUND_ROBIN)
OWN = ip_address("10.44.1.1")
SERVICE = SCTPTransport(port=7777, addresses=(OWN,))
ERROR = AsapError(operation_error=(ErrorCause(code=0x100B),))
E_ = TypeVar("E_", bound=ClientEvent)


def server(number: int, port: int = 3863, *, sctp: bool = True) -> ServerAddress:
    """The address of registrar ``number``."""
    return ServerAddress(addresses=(ip_address(f"10.44.0.{number}"),), port=port, sctp=sctp)


class NodeBench:
    """A started node whose actions are recorded instead of carried out."""

    def __init__(
        self,
        registrars: int = 1,
        *,
        places: Sequence[ServerAddress] | None = None,
        tcp: bool = False,
        start: bool = True,
        **settings: object,
    ) -> None:
        """``places``: the configured registrars; without them the first ``registrars`` servers."""
        self.now = SECOND
        if places is None:
            places = [server(number) for number in range(1, registrars + 1)]
        self.settings = ClientSettings(**settings)  # type: ignore[arg-type]
        self.node = Node(self.settings, Random(1), self.now, places, tcp=tcp)
        self.context = self.node.context
        self.actions: list[Action] = []
        self.events: list[ClientEvent] = []
        self.dialled: dict[int, Dial] = {}
        self.left: set[int] = set()
        if start:
            self.take(self.node.start(self.now))

    # Carrying out

    def take(self, actions: list[Action]) -> list[Action]:
        self.actions += actions
        for action in actions:
            match action:
                case Dial(number):
                    self.dialled[number] = action
                case Abort(number) | Shutdown(number):
                    self.left.add(number)
                case Publish(event):
                    self.events.append(event)
        return actions

    def drain(self) -> list[Action]:
        return self.take(self.node.drain())

    def wait(self, seconds: float) -> list[Action]:
        """Let time pass, timer by timer. Associations that the node gave up end during it."""
        end = self.now + round(seconds * SECOND)
        actions = self.bury()
        while (due := self.node.next_expiry) is not None and due <= end:
            self.now = max(due, self.now)
            actions += self.take(self.node.advance(self.now))
            actions += self.bury()
        self.now = end
        return actions

    def bury(self) -> list[Action]:
        """End the associations that the node gave up."""
        actions: list[Action] = []
        while self.left:
            number = self.left.pop()
            self.dialled.pop(number, None)
            actions += self.take(self.node.down(number, self.now))
        return actions

    def accept(self, number: int | None = None) -> int:
        """Let a registrar accept the association dialled under that number, or the only one."""
        if number is None:
            (number,) = self.dialled
        dial = self.dialled.pop(number)
        self.take(self.node.up(number, Peer(addresses=dial.addresses, port=dial.port, sctp=dial.sctp), self.now))
        return number

    def refuse(self, number: int) -> list[Action]:
        """Let an association be lost, or not come up."""
        self.dialled.pop(number, None)
        return self.take(self.node.down(number, self.now))

    def incoming(self, host: int, port: int = 3863) -> int:
        """Let a registrar open an association to the node."""
        number = self.node.number()
        peer = Peer(addresses=(ip_address(f"10.44.0.{host}"),), port=port, sctp=True)
        self.take(self.node.up(number, peer, self.now))
        return number

    def hosts(self) -> list[int]:
        """The registrars that the node is dialling."""
        return sorted(int(str(dial.addresses[0]).rpartition(".")[2]) for dial in self.dialled.values())

    def number_of(self, host: int) -> int:
        (number,) = (n for n, dial in self.dialled.items() if dial.addresses == server(host).addresses)
        return number

    # Messages

    def receive(self, number: int, message: AsapMessage | bytes) -> list[AsapMessage]:
        data = message if isinstance(message, bytes) else message.encode()
        return sent(self.take(self.node.received(number, data, self.now)))

    def grant(self, number: int, element: Element, *causes: ErrorCause) -> list[AsapMessage]:
        answer = RegistrationResponse(
            pool_handle=element.pool_handle, pe_identifier=element.identifier, operation_error=causes
        )
        return self.receive(number, answer)

    def reject(self, number: int, element: Element, code: int) -> list[AsapMessage]:
        answer = RegistrationResponse(
            reject=True,
            pool_handle=element.pool_handle,
            pe_identifier=element.identifier,
            operation_error=(ErrorCause(code=code),),
        )
        return self.receive(number, answer)

    def release(self, number: int, element: Element, *causes: ErrorCause) -> list[AsapMessage]:
        answer = DeregistrationResponse(
            pool_handle=element.pool_handle, pe_identifier=element.identifier, operation_error=causes
        )
        return self.receive(number, answer)

    def ask(
        self, number: int, identifier: int | None, handle: bytes = POOL, *, server: int = 0x33333333, home: bool = False
    ) -> list[AsapMessage]:
        """Send a keep-alive. Returns the node's messages."""
        message = EndpointKeepAlive(home=home, server_identifier=server, pool_handle=handle, pe_identifier=identifier)
        return self.receive(number, message)

    def answer(self, number: int, *identifiers: int, **changes: object) -> list[AsapMessage]:
        """Send a handle resolution response."""
        given = {"pool_handle": POOL, "pool_elements": tuple(map(listed, identifiers)), **changes}
        return self.receive(number, HandleResolutionResponse(**given))  # type: ignore[arg-type]

    def announce(self, *transports: object, host: int = 9, port: int = 4000, identifier: int = 7) -> list[Action]:
        message = ServerAnnounce(server_identifier=identifier, transports=transports)  # type: ignore[arg-type]
        return self.announce_octets(message.encode(), host, port)

    def announce_octets(self, data: bytes, host: int = 9, port: int = 4000) -> list[Action]:
        return self.take(self.node.announced(data, ip_address(f"10.44.0.{host}"), port, self.now))

    # Elements

    def element(self, identifier: int | None = 7, handle: bytes = POOL, **options: object) -> Element:
        """Start an element."""
        policy = options.pop("policy", ROUND_ROBIN)
        made = self.node.add(handle, SERVICE, policy, identifier=identifier, **options)  # type: ignore[arg-type]
        made.start(self.now)
        self.drain()
        return made

    def registered(self, **options: object) -> tuple[int, Element]:
        """Register an element. Returns the number of the home association, and the element."""
        home = self.accept()
        element = self.element(**options)  # type: ignore[arg-type]
        self.grant(home, element)
        return home, element

    def news(self, kind: type[E_]) -> list[E_]:
        """The events of a kind, each once."""
        found = [event for event in self.events if isinstance(event, kind)]
        self.events = [event for event in self.events if not isinstance(event, kind)]
        return found

    def states(self) -> list[ElementStatus]:
        return self.news(ElementStatus)

    def resolutions(self) -> list[Resolution]:
        return self.news(Resolution)

    def changes(self) -> list[list[int]]:
        """The identifiers in each event of a watched pool."""
        return [[one.identifier for one in event.elements] for event in self.news(PoolChanged)]

    def resolve(self, **options: object) -> int:
        ticket = self.node.user.resolve(POOL, self.now, **options)  # type: ignore[arg-type]
        self.drain()
        return ticket


def listed(identifier: int, policy: Policy = ROUND_ROBIN) -> PoolElement:
    """A pool element as a registrar lists it in an answer."""
    return PoolElement(
        identifier=identifier,
        home_identifier=0x22222222,
        registration_life=300,
        user_transport=SCTPTransport(port=7, addresses=(ip_address("10.44.2.1"),)),
        policy=policy,
    )


def sent(actions: list[Action]) -> list[AsapMessage]:
    """The messages that actions send."""
    return [decode(action.data, "asap") for action in actions if isinstance(action, Send)]  # type: ignore[misc]


def sent_to(actions: list[Action], number: int) -> list[AsapMessage]:
    return sent([action for action in actions if isinstance(action, Send) and action.association == number])


def registrations(actions: list[Action]) -> list[Registration]:
    return [message for message in sent(actions) if isinstance(message, Registration)]


def resolutions(actions: list[Action]) -> list[HandleResolution]:
    return [message for message in sent(actions) if isinstance(message, HandleResolution)]


def in_state(state: ElementState) -> tuple[NodeBench, Element]:
    """A node with a home, and an element in the given state."""
    bench = NodeBench(1)
    home = bench.accept()
    element = bench.node.add(POOL, SERVICE, ROUND_ROBIN, identifier=7)
    if state is not ElementState.IDLE:
        element.start(bench.now)
    if state is ElementState.HUNT:
        bench.reject(home, element, Cause.LACK_OF_RESOURCES)
    elif state is ElementState.REFUSED:
        bench.reject(home, element, Cause.INVALID_VALUES)
    elif state in (ElementState.READY, ElementState.DEREG):
        bench.grant(home, element)
    if state is ElementState.DEREG:
        element.deregister(bench.now)
    bench.drain()
    assert element.state is state
    return bench, element


def at_home(registrars: int = 1, **settings: object) -> tuple[NodeBench, int]:
    """A node with a home."""
    bench = NodeBench(registrars, **settings)  # type: ignore[arg-type]
    bench.accept(bench.number_of(1) if registrars > 1 else None)
    bench.wait(0.05)
    assert bench.context.home is not None
    return bench, bench.context.home.number


def with_pool(overall: Policy | None, *elements: PoolElement) -> NodeBench:
    """A node that has resolved a pool of these elements."""
    bench, home = at_home()
    bench.resolve()
    bench.answer(home, policy=overall, pool_elements=elements)
    return bench


def selected(bench: NodeBench, times: int, exclude: tuple[int, ...] = ()) -> list[int]:
    """The elements that so many selections return."""
    found = [bench.node.user.select(POOL, exclude) for _ in range(times)]
    return [one.identifier for one in found if one is not None]


def load(value: int) -> Policy:
    return Policy(policy_type=PolicyType.LEAST_USED, values=(value,))


def change(bench: NodeBench, element: Element, **what: object) -> list[Registration]:
    element.change(bench.now, **what)  # type: ignore[arg-type]
    return registrations(bench.drain())


def deregister(bench: NodeBench, element: Element) -> list[object]:
    element.deregister(bench.now)
    return list(sent(bench.drain()))

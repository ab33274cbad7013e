"""A whole registrar under test among peers that the test plays, with a clock that the test sets."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from random import Random

from rserpool.messages import (
    EndpointKeepAlive,
    EnrpMessage,
    HandleResolution,
    HandleResolutionResponse,
    HandleTableResponse,
    HandleUpdate,
    Policy,
    PolicyType,
    PoolElement,
    PoolEntry,
    Presence,
    Registration,
    SCTPTransport,
    ServerInformation,
    decode,
)
from rserpool.protocol.actions import Send
from rserpool.protocol.counters import Counters
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.access import UNRESTRICTED, Access
from rserpool.protocol.registrar.actions import Action, Connect, Protocol, SendRow
from rserpool.protocol.registrar.registrar import Reachable, Registrar
from rserpool.protocol.registrar.slices import DEFAULT_SLICES, Slices
from rserpool.settings.limits import Limits
from rserpool.settings.profile import RFC
from rserpool.settings.registrar import Settings

OWN = 0x22222222
LOW, HIGH = 0x11111111, 0x33333333
SECOND = 1_000_000
POOL = b"EchoPool"
EMPTY = 0xFFFF
HERE = IPv4Address("10.44.0.1")
ROUND_ROBIN = Policy(policy_type=PolicyType.ROUND_ROBIN, values=())


def host(number: int) -> IPv4Address:
    """The address of a peer's host."""
    return IPv4Address("10.44.0.0") + number


def element(identifier: int, home: int, where: int = 9) -> PoolElement:
    """A pool element as registrars describe it to one another."""
    return PoolElement(
        identifier=identifier,
        home_identifier=home,
        registration_life=300,
        user_transport=SCTPTransport(port=7777, addresses=(host(where),)),
        policy=ROUND_ROBIN,
        asap_transport=SCTPTransport(port=17777, addresses=(host(where),)),
    )


class Scope:
    """The registrar, and what it has sent to each association."""

    def __init__(
        self,
        *,
        static_peers: int = 0,
        slices: Slices = DEFAULT_SLICES,
        access: Access = UNRESTRICTED,
        **changes: object,
    ) -> None:
        limits = {name: value for name, value in changes.items() if name in Limits.__dataclass_fields__}
        rest = {"profile": replace(RFC, max_time_last_heard=5.0, peer_heartbeat_cycle=2.0)}
        rest |= {name: value for name, value in changes.items() if name not in limits}
        settings = Settings(identifier=OWN, limits=Limits(**limits), **rest)  # type: ignore[arg-type]
        self.now = 0
        self.peers: dict[int, int] = {}
        self.number = 0
        self.sent: dict[int, list[EnrpMessage]] = {}
        self.calls: list[Connect] = []
        self.others: list[Action] = []
        places = [((host(number),), 9901) for number in range(2, 2 + static_peers)]
        self.registrar = Registrar(
            settings, Random(1), seed=1, now=0, static_peers=places, slices=slices, access=access
        )
        here = Reachable(sctp=(HERE,), port=3863)
        self.take(self.registrar.start(0, here, replace(here, port=9901)))

    @property
    def counters(self) -> Counters:
        return self.registrar.counters

    def take(self, actions: list[Action]) -> None:
        """Sort the registrar's actions."""
        for action in actions:
            match action:
                case Send(number, data) if number in self.sent:
                    message = decode(data, "enrp")
                    assert isinstance(message, EnrpMessage)
                    self.sent[number].append(message)
                case SendRow(number, messages):
                    self.others += [Send(number, data) for data in messages]
                case Connect():
                    self.calls.append(action)
                case _:
                    self.others.append(action)
        self.registrar.handlespace._check()

    def associate(self, where: int, port: int = 9901, protocol: Protocol = Protocol.ENRP, *, sctp: bool = True) -> int:
        """Open an association from that host."""
        self.number += 1
        if protocol is Protocol.ENRP:
            self.sent[self.number] = []
        peer = Peer(addresses=(host(where),), port=port, sctp=sctp)
        self.take(self.registrar.associated(self.number, protocol, peer, self.now))
        return self.number

    def join(self, identifier: int, where: int, checksum: int = EMPTY) -> int:
        """Let a peer registrar associate and send its presence. Returns its association."""
        number = self.associate(where)
        self.send(number, presence(identifier, where, checksum))
        return number

    def send(self, number: int, message: EnrpMessage | bytes) -> list[EnrpMessage]:
        """Send a message over an association. Returns what comes back over it."""
        before = len(self.sent[number])
        data = message if isinstance(message, bytes) else message.encode()
        self.take(self.registrar.received(number, data, self.now))
        return self.sent[number][before:]

    def add(self, number: int, home: int, identifier: int, handle: bytes = POOL) -> None:
        """Let a peer announce an element."""
        self.send(number, update(home, element(identifier, home), handle))

    def register(self, identifier: int, where: int = 9, handle: bytes = POOL) -> int:
        """Register an element of the registrar over an association of its own."""
        number = self.associate(where, 17777, Protocol.ASAP)
        octets = Registration(pool_handle=handle, pool_element=element(identifier, 0, where)).encode()
        self.take(self.registrar.received(number, octets, self.now))
        return number

    def asked(self, number: int) -> list[int]:
        """The elements that were sent keep-alives over an association."""
        messages = [
            decode(one.data, "asap") for one in self.others if isinstance(one, Send) and one.association == number
        ]
        return [one.pe_identifier or 0 for one in messages if isinstance(one, EndpointKeepAlive)]

    def wait(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.now + round(seconds * SECOND)
        while (due := self.registrar.wheel.next_expiry()) is not None and due <= end:
            self.now = max(due, self.now)
            self.take(self.registrar.advance(self.now))
        self.now = end

    def homes(self, handle: bytes = POOL) -> dict[int, int]:
        """The elements of a pool and their homes, as a pool user sees them."""
        number = self.associate(8, 5, Protocol.ASAP)
        for action in self.registrar.received(number, HandleResolution(pool_handle=handle).encode(), self.now):
            if isinstance(action, Send):
                answer = decode(action.data, "asap")
                assert isinstance(answer, HandleResolutionResponse)
                return {one.identifier: one.home_identifier for one in answer.pool_elements}
        raise AssertionError("no answer")


def presence(identifier: int, where: int, checksum: int = EMPTY, *, reply: bool = False) -> Presence:
    """A peer's presence."""
    transport = SCTPTransport(port=9901, addresses=(host(where),))
    return Presence(
        sender_identifier=identifier,
        receiver_identifier=0,
        reply_required=reply,
        pe_checksum=checksum,
        server_information=ServerInformation(server_identifier=identifier, transport=transport),
    )


def table(sender: int, *elements: PoolElement, more: bool = False, reject: bool = False) -> HandleTableResponse:
    """A handle table response of a peer, with elements of one pool."""
    entries = (PoolEntry(pool_handle=POOL, pool_elements=elements),) if elements else ()
    return HandleTableResponse(
        sender_identifier=sender, receiver_identifier=OWN, reject=reject, more=more, pool_entries=entries
    )


def kinds(messages: Sequence[object]) -> list[str]:
    """The names of the messages' classes."""
    return [type(message).__name__ for message in messages]


def update(sender: int, told: PoolElement, handle: bytes = POOL, action: int = 0) -> HandleUpdate:
    """A handle update."""
    return HandleUpdate(
        sender_identifier=sender, receiver_identifier=0, update_action=action, pool_handle=handle, pool_element=told
    )

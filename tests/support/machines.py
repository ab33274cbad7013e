"""A pool user's session without I/O, and elements for it."""

from collections.abc import Callable
from ipaddress import ip_address

from rserpool.messages import BusinessCard, Policy, PolicyType, PoolElement, SCTPTransport, TCPTransport, Transport
from rserpool.messages.resolved import ResolvedElement, resolved
from rserpool.model.association_ends import Down
from rserpool.protocol.session.user_session import Select, UserSession, UserSessionAction
from rserpool.protocol.session.user_table import UserSessionState
from rserpool.settings.session import SessionSettings

POOL = b"EchoPool"
SECOND = 1_000_000

CONFIRMATION = (UserSessionState.CONFIRMING, UserSessionState.DOUBTING, UserSessionState.CONFIRMING_AGAIN)


def parameter(identifier: int, transport: Transport | None = None) -> PoolElement:
    """A pool element at 10.44.1.<identifier>, with a control channel unless another transport is given."""
    address = ip_address(f"10.44.1.{identifier}")
    return PoolElement(
        identifier=identifier,
        registration_life=300,
        user_transport=transport or SCTPTransport(port=7000, transport_use=1, addresses=(address,)),
        policy=Policy(policy_type=PolicyType.ROUND_ROBIN),
    )


def element(identifier: int, transport: Transport | None = None) -> ResolvedElement:
    """The same as applications get it."""
    return resolved(POOL, parameter(identifier, transport))


def data_only(identifier: int) -> ResolvedElement:
    """An element that is reached by TCP."""
    return element(identifier, TCPTransport(port=7000, address=ip_address(f"10.44.1.{identifier}")))


def card(*identifiers: int, handle: bytes = POOL) -> BusinessCard:
    """A business card with those elements."""
    return BusinessCard(pool_handle=handle, pool_elements=tuple(parameter(one) for one in identifiers))


class Machine:
    """A session whose clock and surroundings the test controls."""

    def __init__(self, own_card: Callable[[], BusinessCard | None] = lambda: None, **options: object) -> None:
        self.session = UserSession(POOL, SessionSettings(**options), lambda: 0.5, own_card)  # type: ignore[arg-type]
        self.now = 0
        self.actions: list[UserSessionAction] = []

    def did(self, actions: list[UserSessionAction]) -> list[UserSessionAction]:
        self.actions += actions
        return actions

    def reach(self, state: UserSessionState) -> "Machine":
        """Bring a session into a state by the shortest way."""
        session = self.session
        if state is UserSessionState.NEW:
            return self
        self.did(session.start(self.now))
        if state is UserSessionState.WAITING:
            self.did(session.nothing_selected(self.now))
        elif state is UserSessionState.ENDED:
            self.did(session.close(self.now))
        elif state is not UserSessionState.SELECTING:
            self.did(session.selected(element(1), self.now))
            if state is not UserSessionState.CONNECTING:
                self.did(session.up(session.channel, self.now))
            if state is UserSessionState.CLOSING:
                self.did(session.close(self.now))
            elif state in CONFIRMATION:
                self.lose(Down.SHUTDOWN)
                if state is not UserSessionState.CONFIRMING:
                    assert session.element is not None
                    self.did(session.confirmed(session.element, listed=True, now=self.now))
                if state is UserSessionState.CONFIRMING_AGAIN:
                    self.later(session.settings.doubt)
        assert session.state is state
        self.actions.clear()
        return self

    def opened(self, *identifiers: int) -> "Machine":
        """Answer the open selections with the first element that is not excluded, and let its association come up."""
        choice = next(one for one in identifiers if one not in self.excluded)
        self.did(self.session.selected(element(choice), self.now))
        self.up()
        return self

    def up(self) -> list[UserSessionAction]:
        return self.did(self.session.up(self.session.channel, self.now))

    def lose(self, reason: Down = Down.LOST) -> list[UserSessionAction]:
        return self.did(self.session.down(self.session.channel, reason, self.now))

    def control(self, data: bytes) -> list[UserSessionAction]:
        return self.did(self.session.control(self.session.channel, data, self.now))

    def later(self, seconds: float) -> list[UserSessionAction]:
        self.now += round(seconds * SECOND)
        return self.did(self.session.advance(self.now))

    def drain(self) -> list[tuple[bytes, int]]:
        """Let the channel accept what it is given."""
        taken = []
        while (entry := self.session.outgoing()) is not None:
            taken.append((entry.data, entry.ppid))
            self.did(self.session.sent(self.now))
        return taken

    @property
    def excluded(self) -> frozenset[int]:
        return [action for action in self.actions if isinstance(action, Select)][-1].exclude

    def of(self, kind: type[UserSessionAction]) -> list[UserSessionAction]:
        return [action for action in self.actions if isinstance(action, kind)]

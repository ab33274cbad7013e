"""One ASAP endpoint of pool elements and of a pool user (RFC 5352), without input and output.

Rules that no table shows: a node has at most one home registrar, and its elements and its user share it; an answer that
decides something is believed from the home only, or from a registrar that is being tried beside a home that has not
answered, which becomes home by that; what is wrong changes nothing but where the node looks for its home next.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.base.wheel import Wheel
from rserpool.errors import Cause, RemoteProtocolError
from rserpool.messages import (
    AsapError,
    AsapMessage,
    BusinessCard,
    Cookie,
    CookieEcho,
    DeregistrationResponse,
    EndpointKeepAlive,
    EndpointKeepAliveAck,
    ErrorCause,
    HandleResolutionResponse,
    Message,
    Policy,
    RegistrationResponse,
    ServerAnnounce,
    Transport,
    decode,
)
from rserpool.model.addresses import Address
from rserpool.model.numbers import MAX_MESSAGE_LENGTH, MICROSECONDS
from rserpool.protocol.actions import Abort, Level, Note, Send, Shutdown
from rserpool.protocol.client.actions import Action, Dial, Publish
from rserpool.protocol.client.candidates import Candidate, Candidates, ServerAddress
from rserpool.protocol.client.element import Element, Input
from rserpool.protocol.client.events import ClientEvent, ElementState, Home, HomeChanged
from rserpool.protocol.client.hunt import Hunt
from rserpool.protocol.client.link import Link, Stage, new_link
from rserpool.protocol.client.silence import Silence
from rserpool.protocol.client.user import Query, User
from rserpool.protocol.peer import Peer
from rserpool.protocol.policy_failures import COUNTER as FAILED_RULES
from rserpool.protocol.randomness import Randomness
from rserpool.protocol.timers import Timer
from rserpool.settings.client import ClientSettings

NOT_OUR_BUSINESS = (ServerAnnounce, Cookie, CookieEcho, BusinessCard)
"""What a node does not expect over an association with a registrar, and what yet harms nobody."""
STRANGER_IDLE = 30_000_000
"""Microseconds of silence after which an association that somebody else opened makes room for another one."""
UNRECOGNIZED = (Cause.UNRECOGNIZED_PARAMETER, Cause.UNRECOGNIZED_MESSAGE)
Asker = Element | Query


class Node:
    """Events and the time go in, actions come out, to be carried out in order. Times are integer microseconds of a
    clock that never goes back; association numbers come from ``number``.

    What is asked of ``user`` and of the elements leaves its actions behind: fetch them with ``drain``.
    """

    def __init__(
        self,
        settings: ClientSettings,
        randomness: Randomness,
        now: int,
        registrars: Iterable[ServerAddress] = (),
        *,
        tcp: bool = False,
    ) -> None:
        """``tcp``: whether registrars may be asked over TCP as long as there is no element."""
        self.settings = settings
        self.randomness = randomness
        self.wheel = Wheel(now)
        self.candidates = Candidates(settings, registrars)
        self.links: dict[int, Link] = {}
        self.home: Link | None = None
        self.home_identifier = 0
        """The home registrar's server identifier; 0 while it has not told it."""
        self.elements: dict[tuple[bytes, int], Element] = {}
        self.user = User(self)
        self._updates = Bucket(settings.update_rate, max(1.0, settings.update_rate), now)
        self.counters: Counter[str] = Counter()
        self.started = self.stopped = False
        self._hunt = Hunt(self)
        self._silence = Silence(self)
        self._losing = False
        """While the loss of the home is being told: the hunt for another one begins when all know."""
        self._tcp = tcp
        self._numbers = itertools.count(1)
        self._element_numbers = itertools.count(1)
        self._turns: dict[Element, None] = {}
        self._turn: Timer[None] | None = None
        self._asking: dict[Asker, set[int]] = {}
        self._actions: list[Action] = []

    # Events

    def start(self, now: int) -> list[Action]:
        """Begin to look for a home registrar."""
        self.started = True
        self.hunt(now)
        return self.drain()

    def stop(self, now: int) -> list[Action]:
        """End at once: whoever waits is told, associations are shut down, and nothing happens any more."""
        self.stopped = True
        self._hunt.stop(now)
        for link in tuple(self.links.values()):
            self.leave(link, abort=False)
        self.home = None
        self._silence.forget()
        for element in self.elements.values():
            element.drop()
            element.show("the node was stopped")
        self.elements.clear()
        self._turns.clear()
        if self._turn is not None:
            self._turn.cancel()
        self.user.stop()
        return self.drain()

    def number(self) -> int:
        """A number for an association that somebody opened to this node, never used before."""
        return next(self._numbers)

    def announced(self, data: bytes, source: Address, port: int, now: int) -> list[Action]:
        """A datagram came to a group where registrars announce themselves."""
        if self.candidates.announced(data, source, port, now):
            self._hunt.fill(now)
        else:
            self.counters["announcements ignored"] += 1
        return self.drain()

    def up(self, number: int, peer: Peer, now: int) -> list[Action]:
        """An association came up: one that was dialled, or one of a new number that somebody opened."""
        link = self.links.get(number)
        if link is None:
            if self.stopped or not self._takes_strangers(now):
                self.counters["associations refused"] += 1
                self._act(Abort(number))
            else:
                self.links[number] = new_link(number, now, peer=peer)
        elif link.stage is Stage.DIALING:
            link.stage, link.peer, link.heard = Stage.UP, peer, now
            self._hunt.came_up(link, now)
        return self.drain()

    def _takes_strangers(self, now: int) -> bool:
        """Whether one more association that somebody else opened is taken: one that has long been silent makes room,
        so that strangers cannot shut out a registrar that takes over."""
        strangers = [one for one in self.links.values() if one.candidate is None and one is not self.home]
        if len(strangers) < self.settings.incoming:
            return True
        idlest = min(strangers, key=lambda one: one.heard)
        if now < idlest.heard + STRANGER_IDLE:
            return False
        self.leave(idlest, abort=True)
        return len(strangers) < 2 * self.settings.incoming

    def down(self, number: int, now: int) -> list[Action]:
        """An association ended, however, or one that was dialled did not come up."""
        link = self.links.pop(number, None)
        if link is None:
            return self.drain()
        if link.candidate is not None:
            link.candidate.in_use = False
        for asked in self._asking.values():
            asked.discard(number)
        if link is self.home:
            self.note(Level.INFO, "home", f"the association with home registrar {link.peer} is lost")
            self._useless(link, now)
            self._lose_home(now)
        elif link.candidate is not None and link.stage is not Stage.LEAVING:
            self._hunt.failed(link, now)
        else:
            self._hunt.fill(now)
        return self.drain()

    def received(self, number: int, data: bytes, now: int) -> list[Action]:
        """A whole message with ASAP's payload protocol identifier arrived."""
        link = self.links.get(number)
        if link is not None and link.stage is Stage.UP and data:
            link.heard = now
            self._handle(link, data, now)
        return self.drain()

    def advance(self, now: int) -> list[Action]:
        """Everything that is due by now."""
        for alarm in self.wheel.expire(now):
            alarm.fire(now)
        return self.drain()

    @property
    def next_expiry(self) -> int | None:
        """Until when nothing is due; None if nothing ever is."""
        return self.wheel.next_expiry()

    def drain(self) -> list[Action]:
        """The actions so far, to be carried out in order."""
        actions, self._actions = self._actions, []
        return actions

    # Elements

    def add(
        self,
        handle: bytes,
        user_transport: Transport,
        policy: Policy,
        *,
        life: float = 300.0,
        identifier: int | None = None,
        life_on_wire: int | None = None,
        reregister_every: float | None = None,
    ) -> Element:
        """A new pool element, not started yet; see Element. LocalProtocolError for values that cannot be sent, and for
        an identifier that another element of this node and pool has."""
        element = Element(
            self,
            next(self._element_numbers),
            handle,
            user_transport,
            policy,
            life=life,
            identifier=identifier,
            life_on_wire=life_on_wire,
            reregister_every=reregister_every,
        )
        self.elements[handle, element.identifier] = element
        return element

    def remove(self, element: Element) -> None:
        """Forget an element, deregistered or not."""
        element.drop()
        self._turns.pop(element, None)
        if self.elements.get((element.pool_handle, element.identifier)) is element:
            del self.elements[element.pool_handle, element.identifier]

    # What elements and the user ask for

    @property
    def home_record(self) -> Home | None:
        """The home registrar, as the application gets it."""
        if self.home is None or self.home.peer is None:
            return None
        return Home(identifier=self.home_identifier, addresses=self.home.peer.addresses, port=self.home.peer.port)

    @property
    def tcp_allowed(self) -> bool:
        """Whether a registrar may be asked over TCP: never for elements (RFC 5352 2.1)."""
        return self._tcp and not self.elements

    def leave_tcp(self, now: int) -> None:
        """An element is about to register: a home over TCP is none for it."""
        for link in self.links.values():
            if link.candidate is not None and not link.candidate.where.sctp:
                self.leave(link, abort=link.stage is Stage.DIALING)
        if self.home is not None and self.home.stage is Stage.LEAVING:
            self._lose_home(now)

    def turn(self, element: Element, now: int) -> bool:
        """Whether a change of an element may be sent now; else it is told when its turn has come."""
        if not self._turns and self._updates.take(now):
            return True
        self._turns[element] = None
        self._await_turn(now)
        return False

    def _await_turn(self, now: int) -> None:
        if self._turns and (self._turn is None or not self._turn.armed):
            self._turn = Timer(self.wheel, now + round(MICROSECONDS / self.settings.update_rate), self._next_turns)

    def _next_turns(self, now: int) -> None:
        while self._turns and self._updates.take(now):
            element = next(iter(self._turns))
            del self._turns[element]
            element.feed(Input.TURN, now)
        self._await_turn(now)

    def hunt(self, now: int) -> None:
        """Look for a home, or for another one beside the home."""
        if self.started and not self._losing:
            self._hunt.start(now)

    def ask(self, asker: Asker, link: Link, message: AsapMessage) -> None:
        """Send a request whose answer ``asker`` waits for."""
        self._asking.setdefault(asker, set()).add(link.number)
        self._act(Send(link.number, message.encode()))

    def asked(self, asker: Asker) -> Collection[int]:
        """The associations, of those that last, over which it has asked."""
        return self._asking.get(asker, ())

    def settled(self, asker: Asker) -> None:
        """It waits no longer."""
        self._asking.pop(asker, None)

    def tell(self, message: AsapMessage) -> None:
        """Send to the home, if there is one, what nobody answers."""
        if self.home is not None:
            self._act(Send(self.home.number, message.encode()))

    def mistrust(self, link: Link, why: str, now: int) -> None:
        """A registrar has timed out or talked nonsense: another one is looked for."""
        if link.stage is not Stage.UP:
            return
        self.counters["registrars left"] += 1
        self.note(Level.WARNING, f"{link.peer} left", f"registrar {link.peer} {why}: another one is looked for")
        self._useless(link, now)
        self.leave(link, abort=True)
        if link is self.home:
            self._lose_home(now)
        elif link.candidate is not None:
            self._hunt.failed(link, now)

    def alternative(self, now: int) -> bool:
        """Whether another registrar than the home could be asked."""
        mine = self.home.candidate if self.home is not None else None
        return any(one is not mine and (one.where.sctp or self.tcp_allowed) for one in self.candidates.known(now))

    def happened(self, event: ClientEvent) -> None:
        """Tell the application."""
        self._act(Publish(event))

    def rule_failed(self, handle: bytes, policy_type: int, reason: str) -> None:
        """The rule of a custom policy failed; round robin took its place."""
        self.counters[FAILED_RULES] += 1
        text = f"the rule of policy 0x{policy_type:08x} failed for pool {handle!r}; round robin goes on: {reason}"
        self.note(Level.ERROR, f"policy 0x{policy_type:08x}", text)

    def note(self, level: Level, subject: str, text: str) -> None:
        """Tell the log."""
        self._act(Note(level, subject, text))

    # What the hunt asks for

    def dial(self, candidate: Candidate, now: int) -> None:
        """Open an association to a candidate."""
        number = self.number()
        self.links[number] = new_link(number, now, candidate)
        where = candidate.where
        self._act(Dial(number, where.addresses, where.port, where.sctp))

    def leave(self, link: Link, *, abort: bool) -> None:
        """Give an association up; it counts until it has ended."""
        if link.stage is Stage.LEAVING:
            return
        link.stage = Stage.LEAVING
        self._act(Abort(link.number) if abort else Shutdown(link.number))

    def probe(self, now: int) -> None:
        """The home has fallen silent: one element registers again, to see whether it is still there."""
        registered = next((one for one in self.elements.values() if one.state is ElementState.READY), None)
        if registered is not None:
            self.counters["homes fallen silent"] += 1
            registered.feed(Input.DUE, now)

    def rival(self, link: Link, now: int) -> None:
        """A registrar came up beside a home that has not answered: it is asked the same."""
        self.user.ask_also(link)

    def rivals(self) -> list[Link]:
        """Who has come up beside the home."""
        links = self.links.values()
        return [one for one in links if one.candidate is not None and one.stage is Stage.UP and one is not self.home]

    def set_home(self, link: Link, now: int, identifier: int = 0, *, adopted: Collection[Element] = ()) -> None:
        """This registrar is home from now on; ``adopted``: the elements of which it said so. It may not have the
        others, and their former home loses them with its association."""
        old, self.home = self.home, link
        self.home_identifier = identifier
        self._silence.forget()
        if old is not None and not adopted:
            self._useless(old, now)
        self._hunt.stop(now)
        for other in self.links.values():
            if other is not link and other.stage is Stage.UP and (other is old or other.candidate is not None):
                self.leave(other, abort=False)
        self._home_changed()
        for element in tuple(self.elements.values()):
            if old is not None and element not in adopted:
                element.feed(Input.LOST, now)
            element.feed(Input.MOVED if element in adopted else Input.HOME, now)
        self.user.home_found(now)

    def _lose_home(self, now: int) -> None:
        self.home, self.home_identifier = None, 0
        self._silence.forget()
        self._home_changed()
        self._losing = True
        for element in tuple(self.elements.values()):
            element.feed(Input.LOST, now)
        self._losing = False
        self.user.home_lost()
        if self.needed():
            self.hunt(now)
        else:
            self._hunt.stop(now)

    def needed(self) -> bool:
        """Whether anybody wants a registrar now: a user that asks nothing can do without."""
        return any(element.wanting for element in self.elements.values()) or self.user.wanting

    def _home_changed(self) -> None:
        self.happened(HomeChanged(home=self.home_record))

    def _useless(self, link: Link, now: int) -> None:
        if link.candidate is not None:
            link.candidate.troubled = max(now, 1)

    def _act(self, action: Action) -> None:
        self._actions.append(action)

    # Messages

    def _handle(self, link: Link, data: bytes, now: int) -> None:
        try:
            message = decode(data, "asap")
        except RemoteProtocolError as error:
            self._malformed(link, data, error, now)
            return
        handler = HANDLERS.get(type(message))
        if handler is not None:
            handler(self, link, message, now)
        elif not isinstance(message, NOT_OUR_BUSINESS):
            self._nonsense(link, f"sent {type(message).__name__}, which is not for an element or a user", now)
        if message.unrecognized and link.stage is Stage.UP:
            causes = (ErrorCause(code=Cause.UNRECOGNIZED_PARAMETER, information=tlv) for tlv in message.unrecognized)
            self._report(link, tuple(causes), now)

    def _malformed(self, link: Link, data: bytes, error: RemoteProtocolError, now: int) -> None:
        self.counters["malformed messages"] += 1
        if error.report and data[0] != AsapError.TYPE:
            self._report(link, (ErrorCause(code=error.cause, information=error.information),), now)
        if error.cause not in UNRECOGNIZED:
            self._nonsense(link, f"sent a message that is wrong ({error})", now)

    def _nonsense(self, link: Link, what: str, now: int) -> None:
        """A registrar of ours that talks nonsense is left; a stranger that does is noted."""
        self.counters["nonsense"] += 1
        if link is self.home or link.candidate is not None:
            self.mistrust(link, what, now)
        else:
            self.note(Level.WARNING, f"{link.peer} nonsense", f"{link.peer} {what}")

    def _report(self, link: Link, causes: tuple[ErrorCause, ...], now: int) -> None:
        """An ASAP_ERROR, unless this peer has had as many as it may; cut to what one message can carry."""
        if not link.errors.take(now):
            self.counters["errors not sent"] += 1
            return
        if sum(len(cause.information) + 8 for cause in causes) + 8 > MAX_MESSAGE_LENGTH:
            causes = tuple(ErrorCause(code=cause.code) for cause in causes)
        self._act(Send(link.number, AsapError(operation_error=causes).encode()))

    def _registered(self, link: Link, message: RegistrationResponse, now: int) -> None:
        element = self.elements.get((message.pool_handle, message.pe_identifier))
        if link is self.home and element is not None:
            self._useful(link)
            element.answered(message, now)

    def _deregistered(self, link: Link, message: DeregistrationResponse, now: int) -> None:
        element = self.elements.get((message.pool_handle, message.pe_identifier))
        if link is self.home and element is not None:
            element.released(message, now)

    def _resolved(self, link: Link, message: HandleResolutionResponse, now: int) -> None:
        if link is not self.home and not self.user.asked(message.pool_handle, link.number):
            return
        if not message.operation_error and not message.pool_elements:
            self._nonsense(link, "listed no element and gave no reason", now)
            return
        if link is not self.home:
            self.set_home(link, now)
        elif self._hunt.active:
            self._end_hunt(now)
        self._useful(link)
        self.user.answered(message, now)

    def _end_hunt(self, now: int) -> None:
        """The home has answered after all: those that were tried beside it are not needed."""
        self._hunt.stop(now)
        for link in self.links.values():
            if link is not self.home and link.candidate is not None:
                self.leave(link, abort=False)

    def _useful(self, link: Link) -> None:
        if link.candidate is not None:
            link.candidate.troubled = 0

    def _keep_alive(self, link: Link, message: EndpointKeepAlive, now: int) -> None:
        """KA1, KA2 (RFC 5352 3.4): acknowledged where it came from, for every element meant (A-10)."""
        handle, identifier = message.pool_handle, message.pe_identifier
        if identifier is None:
            meant: Sequence[Element | None] = [one for (pool, _), one in self.elements.items() if pool == handle]
        else:
            meant = [self.elements.get((handle, identifier))]
        elements = [element for element in meant if element is not None and element.acknowledges]
        if not elements or link.peer is None or not link.peer.sctp:
            self.counters["keep-alives ignored"] += 1
            return
        if link is self.home:
            self._identify(message.server_identifier)
            self._silence.heard(now)
        for element in elements:
            acknowledgement = EndpointKeepAliveAck(pool_handle=handle, pe_identifier=element.identifier)
            self._act(Send(link.number, acknowledgement.encode()))
        if link is self.home:
            return
        if message.home:
            self.counters["adoptions"] += 1
            self.set_home(link, now, message.server_identifier, adopted=elements)
        elif any(element.registered for element in elements):
            self.counters["former homes left"] += 1
            self.leave(link, abort=False)

    def _identify(self, identifier: int) -> None:
        """The home has told its server identifier."""
        if identifier != self.home_identifier:
            self.home_identifier = identifier
            self._home_changed()
            for element in self.elements.values():
                element.show()

    def _error(self, link: Link, message: AsapError, now: int) -> None:
        """The oldest request that this registrar was asked fails."""
        asker = next((one for one, asked in self._asking.items() if link.number in asked), None)
        if link is not self.home:
            if asker is not None:
                self._asking[asker].discard(link.number)
        elif asker is not None:
            asker.error(message.operation_error, now)


Handler = Callable[[Node, Link, "Message", int], None]
HANDLERS: dict[type, Callable[..., None]] = {
    RegistrationResponse: Node._registered,
    DeregistrationResponse: Node._deregistered,
    HandleResolutionResponse: Node._resolved,
    EndpointKeepAlive: Node._keep_alive,
    AsapError: Node._error,
}

"""One ASAP endpoint of pool elements and of a pool user (RFC 5352), without input and output.

Rules that no table shows: the elements and the user share one home registrar (homes.py). An answer counts only if it
comes from the home, or from a second candidate that got the same request; the second candidate then becomes home. A
wrong message has no effect, except that the node leaves its sender.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rserpool.errors import Cause, RemoteProtocolError
from rserpool.messages import (
    AsapError,
    BusinessCard,
    Cookie,
    CookieEcho,
    DeregistrationResponse,
    EndpointKeepAlive,
    ErrorCause,
    HandleResolutionResponse,
    Message,
    Policy,
    RegistrationResponse,
    ServerAnnounce,
    Transport,
    decode,
    message_type,
)
from rserpool.model.addresses import Address
from rserpool.protocol.actions import Level, Send
from rserpool.protocol.client.actions import Action
from rserpool.protocol.client.candidate_list import Candidates, ServerAddress
from rserpool.protocol.client.context import NodeContext
from rserpool.protocol.client.element import Element, RegisteredValues
from rserpool.protocol.client.elements import NodeElements
from rserpool.protocol.client.homes import Homes
from rserpool.protocol.client.link import Link, Stage
from rserpool.protocol.client.user import User
from rserpool.protocol.errors import asap_error
from rserpool.protocol.peer import Peer
from rserpool.protocol.randomness import Randomness
from rserpool.settings.client import ClientSettings

IGNORED_MESSAGES = (ServerAnnounce, Cookie, CookieEcho, BusinessCard)
"""Messages that a node ignores without leaving their sender."""
UNRECOGNIZED = (Cause.UNRECOGNIZED_PARAMETER, Cause.UNRECOGNIZED_MESSAGE)


class Node:
    """Composes the parts of a node, and dispatches events and messages to them.

    Events return the actions to carry out, in order. Calls on ``user`` and elements queue actions; fetch them with
    ``drain``. Times are integer microseconds of a clock that never goes back. Association numbers come from ``number``.
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
        """``tcp``: registrars may be reached over TCP while the node has no element."""
        candidates = Candidates(settings, registrars, tcp=tcp)
        self.context = NodeContext(settings, randomness, candidates, now)
        self._homes = Homes(self.context)
        self._elements = NodeElements(self.context, self._homes, now)
        self.user = User(self.context, self._homes)
        self._homes.serve(self._elements, self.user)
        self._handlers: dict[type[Message], Callable[[Link, Any, int], None]] = {
            RegistrationResponse: self._elements.registration_answered,
            DeregistrationResponse: self._elements.deregistration_answered,
            EndpointKeepAlive: self._elements.keep_alive,
            HandleResolutionResponse: self._resolution_answered,
            AsapError: self._error,
        }

    # Events

    def start(self, now: int) -> list[Action]:
        """Begin to look for a home registrar."""
        self._homes.start(now)
        return self.drain()

    def stop(self, now: int) -> list[Action]:
        """End at once: fail every resolution and shut down every association. The node cannot be started again."""
        self._homes.stop(now)
        self._elements.stop()
        self.user.stop()
        return self.drain()

    @property
    def stopped(self) -> bool:
        """True after ``stop``."""
        return self._homes.stopped

    @property
    def wanting(self) -> bool:
        """True if an element or the user needs a registrar now."""
        return self._homes.wanted

    def number(self) -> int:
        """Return an unused number for an incoming association."""
        return self.context.next_number()

    def announced(self, data: bytes, source: Address, port: int, now: int) -> list[Action]:
        """A datagram came to a multicast group of registrars."""
        if self.context.candidates.announced(data, source, port, now):
            self._homes.candidate_announced(now)
        else:
            self.context.counters["announcements ignored"] += 1
        return self.drain()

    def up(self, number: int, peer: Peer, now: int) -> list[Action]:
        """An association came up: one that was dialled, or an incoming one under a new number."""
        self._homes.up(number, peer, now)
        return self.drain()

    def down(self, number: int, now: int) -> list[Action]:
        """An association ended, for any reason, or a dialled one did not come up."""
        self._homes.down(number, now)
        return self.drain()

    def received(self, number: int, data: bytes, now: int) -> list[Action]:
        """A whole message with ASAP's payload protocol identifier arrived."""
        link = self.context.links.get(number)
        if link is not None and link.stage is Stage.UP and data:
            link.heard = now
            self._handle(link, data, now)
        return self.drain()

    def advance(self, now: int) -> list[Action]:
        """Fire the timers that have expired by now."""
        for timer in self.context.wheel.expire(now):
            timer.fire(now)
        return self.drain()

    @property
    def next_expiry(self) -> int | None:
        """No timer expires before this time; None if no timer is armed."""
        return self.context.wheel.next_expiry()

    def drain(self) -> list[Action]:
        """Return the queued actions, to be carried out in order."""
        return self.context.drain()

    # Pool elements

    @property
    def elements(self) -> Mapping[tuple[bytes, int], Element]:
        """The elements by pool handle and identifier."""
        return self._elements.known

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
        """Make a pool element, which is not started yet; see Element for the arguments. LocalProtocolError for values
        that cannot be sent, and for an identifier that another element of this node and pool has."""
        return self._elements.add(
            handle,
            RegisteredValues(policy, user_transport, life),
            identifier=identifier,
            life_on_wire=life_on_wire,
            reregister_every=reregister_every,
        )

    def remove(self, element: Element) -> None:
        """Forget an element, deregistered or not."""
        self._elements.remove(element)

    # Messages

    def _handle(self, link: Link, data: bytes, now: int) -> None:
        try:
            message = decode(data, "asap")
        except RemoteProtocolError as error:
            self._malformed(link, data, error, now)
            return
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(link, message, now)
        elif not isinstance(message, IGNORED_MESSAGES):
            self._nonsense(link, f"sent {type(message).__name__}, which is not for an element or a user", now)
        if message.unrecognized and link.stage is Stage.UP:
            causes = (ErrorCause(code=Cause.UNRECOGNIZED_PARAMETER, information=tlv) for tlv in message.unrecognized)
            self._report(link, causes, now)

    def _malformed(self, link: Link, data: bytes, error: RemoteProtocolError, now: int) -> None:
        self.context.counters["malformed messages"] += 1
        if error.report and message_type(data) != AsapError.TYPE:
            self._report(link, [ErrorCause(code=error.cause, information=error.information)], now)
        if error.cause not in UNRECOGNIZED:
            self._nonsense(link, f"sent a malformed message ({error})", now)

    def _nonsense(self, link: Link, what: str, now: int) -> None:
        """Abandon a registrar that sent nonsense. An incoming association is only noted in the log."""
        self.context.counters["nonsense"] += 1
        if link is self.context.home or link.candidate is not None:
            self._homes.abandon_registrar(link, what, now)
        else:
            self.context.note(Level.WARNING, f"{link.peer} nonsense", f"{link.peer} {what}")

    def _report(self, link: Link, causes: Iterable[ErrorCause], now: int) -> None:
        """Send an ASAP_ERROR within the rate of this association."""
        if not link.errors.take(now):
            self.context.counters["errors not sent"] += 1
            return
        self.context.emit(Send(link.number, asap_error(causes)))

    def _resolution_answered(self, link: Link, message: HandleResolutionResponse, now: int) -> None:
        """Handle ASAP_HANDLE_RESOLUTION_RESPONSE. A second candidate becomes home by its answer."""
        if link is not self.context.home and not self.user.has_asked(message.pool_handle, link.number):
            return
        if not message.operation_error and not message.pool_elements:
            self._nonsense(link, "listed no element and gave no reason", now)
            return
        if link is not self.context.home:
            self._homes.set_home(link, now)
        else:
            self._homes.home_answered(now)
        link.succeeded()
        self.user.answered(message, now)

    def _error(self, link: Link, message: AsapError, now: int) -> None:
        """Handle ASAP_ERROR, which answers the oldest request over this association. From the home it fails the
        request; from another registrar it only drops that copy of the request."""
        request = self.context.requests.oldest(link.number)
        if request is None:
            return
        if link is self.context.home:
            request.on_error(message.operation_error, now)
        else:
            request.associations.discard(link.number)

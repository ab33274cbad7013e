"""The pool elements of a node: their messages, and what they share."""

import itertools
from collections.abc import Collection, Sequence

from rserpool.messages import (
    DeregistrationResponse,
    EndpointKeepAlive,
    EndpointKeepAliveAck,
    RegistrationResponse,
)
from rserpool.protocol.client.context import NodeContext
from rserpool.protocol.client.element import Element, RegisteredValues, SharedByElements
from rserpool.protocol.client.element_table import ElementEvent
from rserpool.protocol.client.events import ElementState
from rserpool.protocol.client.homes import Homes
from rserpool.protocol.client.link import Link
from rserpool.protocol.client.silence import Silence
from rserpool.protocol.client.update_rate import UpdateRate


class NodeElements:
    """The pool elements of a node, by pool handle and identifier. A Dependent of Homes."""

    def __init__(self, context: NodeContext, homes: Homes, now: int) -> None:
        self.known: dict[tuple[bytes, int], Element] = {}
        self._context = context
        self._homes = homes
        self._update_rate = UpdateRate(context.wheel, context.settings.update_rate, now)
        self._shared = SharedByElements(context, homes, self._update_rate, self.known)
        self._silence = Silence(context.wheel, self._probe)
        self._numbers = itertools.count(1)

    def add(
        self,
        handle: bytes,
        values: RegisteredValues,
        *,
        identifier: int | None,
        life_on_wire: int | None,
        reregister_every: float | None,
    ) -> Element:
        """Make an element; see Element for the arguments and errors."""
        element = Element(
            self._shared,
            next(self._numbers),
            handle,
            values,
            identifier=identifier,
            life_on_wire=life_on_wire,
            reregister_every=reregister_every,
        )
        self.known[handle, element.identifier] = element
        self._context.candidates.sctp_only = True
        return element

    def remove(self, element: Element) -> None:
        """Forget an element, deregistered or not."""
        element.drop()
        if self.known.get((element.pool_handle, element.identifier)) is element:
            del self.known[element.pool_handle, element.identifier]
        self._context.candidates.sctp_only = bool(self.known)

    def stop(self) -> None:
        """Forget every element, and publish that the node has stopped."""
        self._silence.reset()
        for element in self.known.values():
            element.drop()
            element.show("the node was stopped")
        self.known.clear()
        self._update_rate.stop()

    # The home registrar (Dependent)

    @property
    def wanting(self) -> bool:
        """True if an element needs a registrar."""
        return any(element.wanting for element in self.known.values())

    def home_found(self, now: int, *, replaced: bool, adopted: Collection[object]) -> None:
        """A registrar became home. It has the ``adopted`` elements already; the others register there."""
        self._silence.reset()
        for element in tuple(self.known.values()):
            if replaced and element not in adopted:
                element.feed(ElementEvent.HOME_LOST, now)
            element.feed(ElementEvent.ADOPTED if element in adopted else ElementEvent.HOME_FOUND, now)

    def home_lost(self, now: int) -> None:
        """There is no home any more: every registration is lost."""
        self._silence.reset()
        for element in tuple(self.known.values()):
            element.feed(ElementEvent.HOME_LOST, now)

    def second_candidate(self, link: Link) -> None:
        """Ignored: elements register at the home only."""

    def _probe(self, now: int) -> None:
        """The home is silent: let one element register again, so that it answers or is abandoned."""
        registered = next((one for one in self.known.values() if one.state is ElementState.READY), None)
        if registered is not None:
            self._context.counters["homes fallen silent"] += 1
            registered.feed(ElementEvent.TIMEOUT, now)

    # Messages

    def registration_answered(self, link: Link, message: RegistrationResponse, now: int) -> None:
        """Handle ASAP_REGISTRATION_RESPONSE. Only a response of the home counts."""
        element = self.known.get((message.pool_handle, message.pe_identifier))
        if link is self._context.home and element is not None:
            link.succeeded()
            element.registration_answered(message, now)

    def deregistration_answered(self, link: Link, message: DeregistrationResponse, now: int) -> None:
        """Handle ASAP_DEREGISTRATION_RESPONSE. Only a response of the home counts."""
        element = self.known.get((message.pool_handle, message.pe_identifier))
        if link is self._context.home and element is not None:
            element.deregistration_answered(message, now)

    def keep_alive(self, link: Link, message: EndpointKeepAlive, now: int) -> None:
        """Handle ASAP_ENDPOINT_KEEP_ALIVE (KA1, KA2, RFC 5352 3.4). Each element that the sender means is acknowledged
        over the same association. With the H bit the sender becomes home."""
        context = self._context
        elements = self._meant(message)
        if not elements or link.peer is None or not link.peer.sctp:
            context.counters["keep-alives ignored"] += 1
            return
        if link is context.home:
            if self._homes.identify(message.server_identifier):
                for element in self.known.values():
                    element.show()
            self._silence.keep_alive(now)
        for element in elements:
            acknowledgement = EndpointKeepAliveAck(pool_handle=message.pool_handle, pe_identifier=element.identifier)
            context.send(link, acknowledgement)
        if link is context.home:
            return
        if message.home:
            context.counters["adoptions"] += 1
            self._homes.set_home(link, now, message.server_identifier, adopted=elements)
        elif any(element.registered for element in elements):
            context.counters["former homes left"] += 1
            context.leave(link, abort=False)

    def _meant(self, message: EndpointKeepAlive) -> list[Element]:
        """The elements that answer a keep-alive: the one named, or all of the pool."""
        handle, identifier = message.pool_handle, message.pe_identifier
        if identifier is None:
            meant: Sequence[Element | None] = [one for (pool, _), one in self.known.items() if pool == handle]
        else:
            meant = [self.known.get((handle, identifier))]
        return [element for element in meant if element is not None and element.acknowledges]

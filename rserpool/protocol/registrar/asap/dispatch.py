"""The registrar's side of ASAP (RFC 5352): dispatches messages, timers and associations' events.

An answer goes out over the association of its request. An invalid message changes nothing; it is counted and noted.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from rserpool._fast.handlespace.handlespace import Timer
from rserpool._fast.lane.lane import LaneContext
from rserpool.errors import Cause, RemoteProtocolError
from rserpool.messages import (
    AsapError,
    Deregistration,
    EndpointKeepAliveAck,
    EndpointUnreachable,
    HandleResolution,
    Message,
    Registration,
    decode,
    message_type,
)
from rserpool.model.addresses import Address
from rserpool.protocol.actions import Abort, Level, Note, Send
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.asap.acceptance import admission_limits
from rserpool.protocol.registrar.asap.announcing import Announcing
from rserpool.protocol.registrar.asap.asap_errors import ErrorReports
from rserpool.protocol.registrar.asap.liveness import Liveness
from rserpool.protocol.registrar.asap.registrations import Registrations
from rserpool.protocol.registrar.asap.request_rates import RequestRates
from rserpool.protocol.registrar.asap.resolutions import Resolutions
from rserpool.protocol.registrar.association import Association, new_association
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.elements import Elements
from rserpool.protocol.registrar.watching import Reason

LANE_COUNTS = {
    Count.RESOLUTIONS: "resolutions",
    Count.ACKNOWLEDGEMENTS: "acknowledgements",
    Count.RE_REGISTRATIONS: "reregistrations",
    Count.REGISTRATIONS: "registrations",
}
"""The counters to which fast lanes add, with the attributes of LaneCounters."""
Handler = Callable[[Association, Any, int], list[Action]]
"""Handles a message: called with the association, the message and the time."""


class AsapRegistrar:
    """One registrar's ASAP. Times are integer microseconds of a monotonic clock; every event returns the actions to
    carry out, in order."""

    def __init__(self, context: RegistrarContext, elements: Elements) -> None:
        self._context = context
        self._associations = context.associations
        self._elements = elements
        self._updates = elements.updates
        self._subscriptions = elements.updates.subscriptions
        self._associations_at: Counter[Address | None] = Counter()
        self._rates = RequestRates(context)
        self._errors = ErrorReports(context)
        self._liveness = Liveness(context, elements)
        self.announcing = Announcing(context)
        registrations = Registrations(context, elements)
        self._handlers: dict[type[Message], Handler] = {
            Registration: registrations.register,
            Deregistration: registrations.deregister,
            HandleResolution: Resolutions(context, self._subscriptions).resolve,
            EndpointKeepAliveAck: self._liveness.acknowledged,
            EndpointUnreachable: self._liveness.reported,
            AsapError: self._errors.received,
        }
        self._timers: dict[Timer, Callable[[tuple[bytes, int], int], list[Action]]] = {
            Timer.KEEP_ALIVE: self._liveness.keep_alive_expired,
            Timer.LIFE: self._liveness.life_expired,
        }
        limits, ownership = admission_limits(context.settings), elements.ownership
        self.lanes = LaneContext(context.handlespace, limits, ownership.unconfirmed, ownership.claims)
        for name, attribute in LANE_COUNTS.items():
            context.counters.add_source(name, partial(getattr, self.lanes.counters, attribute))

    # Associations

    def associated(self, number: int, peer: Peer, now: int) -> list[Action]:
        """An association or connection came up; ``number`` is not 0 and never used twice."""
        context, limits = self._context, self._context.settings.limits
        host = host_of(peer)
        if (
            len(self._associations) >= limits.associations
            or self._associations_at[host] >= limits.associations_per_host
        ):
            context.counters.count(Count.ASSOCIATIONS_REFUSED)
            return [Abort(number), Note(Level.WARNING, "associations", f"too many associations: {peer} was aborted")]
        self._associations_at[host] += 1
        lanes = None if context.access.restricted else self.lanes  # lanes ask for no rights
        association = new_association(number, peer, context.settings, now, lanes)
        self._associations[number] = association
        context.counters.count(Count.ASSOCIATIONS)
        return self._elements.adoption.associated(association, now)

    def lost(self, number: int, now: int) -> list[Action]:
        """An association ended. Its pool elements are removed (RFC 5352 3.5)."""
        actions: list[Action] = []
        for name in self._context.handlespace.connected(number):
            actions += self._elements.remove(name, Reason.ASSOCIATION_LOST, now)
            self._context.counters.count(Count.ELEMENTS_LOST)
        association = self._associations.pop(number, None)
        if association is not None:
            self._subscriptions.forget(association)
            self._elements.adoption.lost(association)
            host = host_of(association.peer)
            self._associations_at[host] -= 1
            if not self._associations_at[host]:
                del self._associations_at[host]
        return actions

    # Messages

    def received(self, number: int, data: bytes, now: int) -> list[Action]:
        """A whole message with the ASAP payload protocol identifier arrived."""
        association = self._associations.get(number)
        if association is None or not data:
            return []
        lane = association.lane
        answer = lane.answer(data, now) if lane is not None else None
        if answer is not None:
            actions = self._updates.renewed(now)
            if answer:
                actions.append(Send(number, answer))
            return actions
        if not self._rates.allow(association, message_type(data), now):
            return self._rates.refuse(association, data, now)
        try:
            message = self._decode(data)
        except RemoteProtocolError as error:
            return self._errors.malformed(association, data, error, now)
        handler = self._handlers.get(type(message))
        if handler is None:
            return self._unexpected(association, message)
        actions = handler(association, message, now)
        if message.unrecognized:
            actions += self._errors.unrecognized(association, message.unrecognized, now)
        return actions

    def _decode(self, data: bytes) -> Message:
        message = decode(data, "asap")
        if len(getattr(message, "pool_handle", b"")) > self._context.settings.limits.pool_handle_octets:
            raise RemoteProtocolError("the pool handle is too long", cause=Cause.INVALID_VALUES)
        return message

    def _unexpected(self, association: Association, message: Message) -> list[Action]:
        self._context.counters.count(Count.NOT_FOR_REGISTRARS)
        peer = association.peer
        return [Note(Level.INFO, f"{peer} role", f"{peer} sent {type(message).__name__} to a registrar")]

    # Time

    def expired(self, timer: Timer, handle: bytes, identifier: int, now: int) -> list[Action]:
        """One of an element's two timers has expired."""
        return self._timers[timer]((handle, identifier), now)


def host_of(peer: Peer) -> Address | None:
    """The address by which a peer's associations are counted."""
    return peer.addresses[0] if peer.addresses else None

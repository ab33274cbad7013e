"""Limits the rates of requests, and answers those beyond them with Lack of Resources."""

from rserpool.errors import Cause, RemoteProtocolError
from rserpool.messages import (
    Deregistration,
    EndpointUnreachable,
    ErrorCause,
    HandleResolution,
    Registration,
    decode,
)
from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.actions import Abort, Level, Note, Send
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.asap.answers import deregistered, refused, unresolved
from rserpool.protocol.registrar.association import Association
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count

RESOLUTION = HandleResolution.TYPE
REGISTRATIONS = (Registration.TYPE, Deregistration.TYPE)
REPORT = EndpointUnreachable.TYPE
LACK_OF_RESOURCES = ErrorCause(code=Cause.LACK_OF_RESOURCES)


class RequestRates:
    """The rates of each association's requests, by message type."""

    def __init__(self, context: RegistrarContext) -> None:
        self._context = context

    def allow(self, association: Association, message_type: int, now: int) -> bool:
        """Count a message. False if the association has sent too many of its type."""
        if message_type == RESOLUTION:
            return association.resolutions.take(now)
        if message_type in REGISTRATIONS:
            return association.registrations.take(now)
        if message_type == REPORT:
            return association.reports.take(now)
        return True

    def refuse(self, association: Association, data: bytes, now: int) -> list[Action]:
        """Answer a request beyond its rate with Lack of Resources; ignore a report. An association that sends too many
        registrations for longer than ``registration_excess`` is aborted."""
        self._context.counters.count(Count.OVER_RATE)
        peer, limits = association.peer, self._context.settings.limits
        note = Note(Level.WARNING, f"{peer} rate", f"{peer} exceeds the rate of requests")
        denied_since = association.registrations.denied_since
        if denied_since is not None and now - denied_since > limits.registration_excess * MICROSECONDS:
            return [Abort(association.number), note]
        try:
            message = decode(data, "asap")
        except RemoteProtocolError:
            return [note]
        if len(getattr(message, "pool_handle", b"")) > limits.pool_handle_octets:
            return [note]
        match message:
            case Registration():
                return [refused(association, message, (LACK_OF_RESOURCES,)), note]
            case Deregistration():
                return [deregistered(association, message, (LACK_OF_RESOURCES,)), note]
            case HandleResolution():
                return [Send(association.number, unresolved(message.pool_handle, LACK_OF_RESOURCES)), note]
        return [note]

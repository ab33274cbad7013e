"""Reports errors in received messages to their senders by ASAP_ERROR (RFC 5352 2.2.14)."""

from rserpool.errors import Cause, RemoteProtocolError
from rserpool.messages import AsapError, ErrorCause, Message, message_type
from rserpool.protocol.actions import Level, Note, Send
from rserpool.protocol.errors import asap_error
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.asap.answers import because
from rserpool.protocol.registrar.association import Association
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count


class ErrorReports:
    """Both directions of ASAP_ERROR."""

    def __init__(self, context: RegistrarContext) -> None:
        self._counters = context.counters

    def malformed(self, association: Association, data: bytes, error: RemoteProtocolError, now: int) -> list[Action]:
        """A message could not be decoded: report that, unless it is an ASAP_ERROR itself."""
        self._counters.count(Count.MALFORMED)
        peer = association.peer
        note = Note(Level.WARNING, f"{peer} malformed", f"{peer} sent a malformed message: {error}")
        if not error.report or message_type(data) == AsapError.TYPE:
            return [note]
        return [*self._send(association, (because(error.cause, error.information),), now), note]

    def unrecognized(self, association: Association, parameters: tuple[bytes, ...], now: int) -> list[Action]:
        """A message had parameters that must be reported (RFC 5354 3)."""
        causes = (ErrorCause(code=Cause.UNRECOGNIZED_PARAMETER, information=one) for one in parameters)
        return self._send(association, tuple(causes), now)

    def received(self, association: Association, message: Message, now: int) -> list[Action]:
        """An ASAP_ERROR is counted and noted. It is never answered (RFC 5352 2.2.14)."""
        self._counters.count(Count.ERRORS_RECEIVED)
        peer = association.peer
        return [Note(Level.INFO, f"{peer} error", f"{peer} reports {message}")]

    def _send(self, association: Association, causes: tuple[ErrorCause, ...], now: int) -> list[Action]:
        """Send an ASAP_ERROR, unless the association has had as many as it may."""
        if not association.errors.take(now):
            self._counters.count(Count.ERRORS_NOT_SENT)
            return []
        self._counters.count(Count.ERRORS_SENT)
        return [Send(association.number, asap_error(causes))]

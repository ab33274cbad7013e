"""Registers and deregisters pool elements (RFC 5352 3.1, 3.2).

Peers are updated before the registrant gets its answer. A request that is refused changes nothing.
"""

from rserpool._fast.handlespace.handlespace import Timer
from rserpool.errors import Cause
from rserpool.messages import Deregistration, PoolElement, Registration, RegistrationResponse
from rserpool.protocol.actions import Level, Note, Send
from rserpool.protocol.registrar.access import Right
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.asap.acceptance import Refusal, acceptable, check_identity, check_room, inconsistency
from rserpool.protocol.registrar.asap.answers import FORBIDDEN, because, deregistered, refused
from rserpool.protocol.registrar.association import Association
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.elements import STORED, Elements
from rserpool.protocol.registrar.watching import Reason

MAX_INFORMATION = 4096
"""The largest number of octets of an offending parameter that a refusal shows. A longer one is no honest mistake."""


class Registrations:
    """Registrations and deregistrations that do not take the fast lane."""

    def __init__(self, context: RegistrarContext, elements: Elements) -> None:
        self._context = context
        self._elements = elements

    def register(self, association: Association, message: Registration, now: int) -> list[Action]:
        """Register or re-register a pool element."""
        handle, context = message.pool_handle, self._context
        try:
            self._check_right(association, handle)
            element = acceptable(message, association, context.settings)
            name = handle, element.identifier
            old = context.handlespace.find(*name)
            check_room(association, handle, old, context.handlespace, context.settings.limits)
            if old is not None and old.home_identifier == context.identifier:
                check_identity(association, old, context.associations.get(old.connection))
            previous = old.connection if old is not None else 0
            renewal = old is not None and old.home_identifier == context.identifier
            self._store(association, handle, element)
        except Refusal as refusal:
            return self._refuse(association, message, refusal)
        self._elements.ownership.confirm(name)
        if previous != association.number:
            association.registrant.elements += 1
            self._elements.detach(previous)
        context.counters.count(Count.REGISTRATIONS if old is None else Count.RE_REGISTRATIONS)
        stored = context.handlespace.find(*name)
        assert stored is not None
        stored.probed = False
        stored.bad_reports = 0
        context.handlespace.arm(*name, Timer.KEEP_ALIVE, context.handlespace.jitter(now))
        self._elements.start_life(name, element.registration_life, now)
        updates = self._elements.updates.registered(name, now, added=old is None, renewal=renewal)
        answer = RegistrationResponse(pool_handle=handle, pe_identifier=element.identifier)
        return [*updates, Send(association.number, answer.encode())]

    def _check_right(self, association: Association, handle: bytes) -> None:
        principal = association.peer.principal
        if not self._context.access.may(principal, Right.REGISTER, handle):
            reason = f"{principal} may not register there"
            raise Refusal(reason, Cause.REJECTED_DUE_TO_SECURITY_CONSIDERATIONS)

    def _store(self, association: Association, handle: bytes, element: PoolElement) -> None:
        handlespace = self._context.handlespace
        verdict = handlespace.register(
            handle, element.encode(), home=self._context.identifier, connection=association.number
        )
        if verdict not in STORED:
            raise inconsistency(verdict, handlespace.pool(handle))

    def _refuse(self, association: Association, message: Registration, refusal: Refusal) -> list[Action]:
        self._context.counters.count(Count.REGISTRATIONS_REFUSED)
        information = refusal.information if len(refusal.information) <= MAX_INFORMATION else b""
        cause = because(refusal.cause, information)
        peer, identifier = association.peer, message.pool_element.identifier
        text = f"{peer}: element 0x{identifier:08x} of pool {message.pool_handle!r} is refused: {refusal}"
        return [refused(association, message, (cause,)), Note(Level.WARNING, f"{peer} refused", text)]

    def deregister(self, association: Association, message: Deregistration, now: int) -> list[Action]:
        """Deregister a pool element. One that is not registered counts as deregistered."""
        name = message.pool_handle, message.pe_identifier
        reason = self._objection(association, name)
        if reason:
            self._context.counters.count(Count.DEREGISTRATIONS_REFUSED)
            text = f"{association.peer}: element 0x{name[1]:08x} of pool {name[0]!r} is not deregistered: {reason}"
            note = Note(Level.WARNING, f"{association.peer} refused", text)
            return [deregistered(association, message, (FORBIDDEN,)), note]
        actions = self._elements.remove(name, Reason.DEREGISTERED, now)
        self._context.counters.count(Count.DEREGISTRATIONS)
        return [*actions, deregistered(association, message)]

    def _objection(self, association: Association, name: tuple[bytes, int]) -> str:
        """The reason to refuse a deregistration, or "". While the association that registered an element lasts, no
        other association may deregister the element (RFC 5352 2.2.2)."""
        principal = association.peer.principal
        if not self._context.access.may(principal, Right.DEREGISTER, name[0]):
            return f"{principal} may not deregister there"
        if not association.peer.sctp:
            return "pool elements deregister over SCTP only"
        view = self._context.handlespace.find(*name)
        if view is not None and view.connection != association.number:
            return "another association registered it"
        return ""

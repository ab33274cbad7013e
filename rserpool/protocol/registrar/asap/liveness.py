"""Finds out which pool elements are alive: keep-alives, reports of unreachable elements, registration lives
(RFC 5352 3.2, 3.4, 3.5)."""

from rserpool._fast.base.bucket import Bucket
from rserpool._fast.handlespace.handlespace import Timer
from rserpool._fast.handlespace.views import PoolElementView
from rserpool.messages import DeregistrationResponse, EndpointKeepAliveAck, EndpointUnreachable
from rserpool.protocol.actions import Abort, Level, Note, Send
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.association import Association
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.elements import Elements
from rserpool.protocol.registrar.ownership import ElementName
from rserpool.protocol.registrar.watching import Reason

MAX_REPORT_RATES = 512
"""The number of reported elements whose rates are remembered for one association. Beyond it, full rates are dropped."""


class Liveness:
    """The elements' two timers, and what peers report of elements."""

    def __init__(self, context: RegistrarContext, elements: Elements) -> None:
        self._context = context
        self._elements = elements

    # Keep-alives

    def acknowledged(self, association: Association, message: EndpointKeepAliveAck, now: int) -> list[Action]:
        """An element acknowledges a keep-alive. That confirms an element that was taken over, or claimed by a peer."""
        name, context = (message.pool_handle, message.pe_identifier), self._context
        view = context.handlespace.find(*name)
        if view is None or view.connection != association.number:
            context.counters.count(Count.STRAY_ACKNOWLEDGEMENTS)
            return []
        view.probed = False
        context.counters.count(Count.ACKNOWLEDGEMENTS)
        context.handlespace.arm(*name, Timer.KEEP_ALIVE, context.handlespace.jitter(now))
        if not self._elements.ownership.confirm(name):
            return []
        # The life begins again, because only the former home knew how much of it had passed.
        self._elements.start_life(name, view.registration_life, now)
        return self._elements.updates.confirmed(name)

    def keep_alive_expired(self, name: ElementName, now: int) -> list[Action]:
        """The keep-alive timer has expired: send a keep-alive, or remove the element if it did not acknowledge the
        last one."""
        keep_alive = self._elements.keep_alives.send(*name, now)
        if keep_alive:
            return keep_alive
        view = self._context.handlespace.find(*name)
        if view is None or view.home_identifier != self._context.identifier:
            return []
        number = view.connection
        self._context.counters.count(Count.ELEMENTS_SILENT)
        text = f"element 0x{name[1]:08x} of pool {name[0]!r} is removed: no answer to a keep-alive"
        actions = [*self._remove_dead(view, Reason.SILENT, now), Note(Level.INFO, "keep-alives", text)]
        association = self._context.associations.get(number)
        if association is not None and association.registrant.elements == 0:
            actions.append(Abort(number))
        return actions

    # Reports

    def reported(self, association: Association, message: EndpointUnreachable, now: int) -> list[Action]:
        """A pool user reports an element as unreachable: send it a keep-alive at once, and remove it when it has had
        more reports than the profile allows."""
        name, context = (message.pool_handle, message.pe_identifier), self._context
        view = context.handlespace.find(*name)
        if view is None or view.home_identifier != context.identifier:
            context.counters.count(Count.STRAY_REPORTS)
            return []
        context.counters.count(Count.REPORTS)
        if self._counts(association, name, now):
            view.bad_reports += 1
        if view.bad_reports > context.settings.profile.bad_reports:
            context.counters.count(Count.ELEMENTS_REPORTED)
            text = f"element 0x{name[1]:08x} of pool {name[0]!r} is removed: reported unreachable too often"
            return [*self._remove_dead(view, Reason.REPORTED, now), Note(Level.INFO, "reports", text)]
        return self._elements.keep_alives.send_out_of_turn(*name, now)

    def _counts(self, association: Association, name: ElementName, now: int) -> bool:
        """True if one more report of this association about this element counts."""
        if len(association.reported) > MAX_REPORT_RATES:
            association.reported = {key: rate for key, rate in association.reported.items() if not rate.full(now)}
        rate = association.reported.get(name)
        if rate is None:
            settings = self._context.settings
            burst = settings.profile.bad_reports + 1
            rate = association.reported[name] = Bucket(1 / settings.limits.report_interval, burst, now)
        return rate.take(now)

    # Removal

    def life_expired(self, name: ElementName, now: int) -> list[Action]:
        """The registration was not renewed: remove the element, and notify it before the peers (RFC 5352 3.2)."""
        view = self._context.handlespace.find(*name)
        if view is None:
            return []
        self._context.counters.count(Count.REGISTRATIONS_EXPIRED)
        if view.home_identifier != self._context.identifier:
            self._elements.discard(name, now, Reason.EXPIRED)
            return []
        notice = self._notice(name, view.connection)
        return [*notice, *self._elements.remove(name, Reason.EXPIRED, now)]

    def _remove_dead(self, view: PoolElementView, reason: Reason, now: int) -> list[Action]:
        """Remove an element of ours that appears to be dead, and notify it: if it lives, it has to register again.
        That applies even if a peer has claimed the element and becomes its home now, because the peer may have lost it
        since."""
        name, number = (view.pool_handle, view.identifier), view.connection
        return [*self._elements.remove(name, reason, now), *self._notice(name, number)]

    def _notice(self, name: ElementName, number: int) -> list[Action]:
        """An unrequested ASAP_DEREGISTRATION_RESPONSE to an element, if its association still exists."""
        notice = DeregistrationResponse(pool_handle=name[0], pe_identifier=name[1]).encode()
        return [Send(number, notice)] if number in self._context.associations else []

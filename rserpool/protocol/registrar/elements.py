"""Stores, moves and removes pool elements, and runs their registration lives: all that ASAP and ENRP do to elements."""

from rserpool._fast.handlespace.handlespace import Timer, Verdict
from rserpool._fast.handlespace.views import PoolElementView
from rserpool.messages import PoolElement
from rserpool.model.addresses import Address
from rserpool.protocol.registrar.actions import Action
from rserpool.protocol.registrar.adoption import Adoption
from rserpool.protocol.registrar.asap.acceptance import life_microseconds
from rserpool.protocol.registrar.context import RegistrarContext
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.keep_alive_sender import KeepAlives
from rserpool.protocol.registrar.ownership import ElementName, Ownership
from rserpool.protocol.registrar.updates import Updates
from rserpool.protocol.registrar.watching import Reason

STORED = (Verdict.ADDED, Verdict.UPDATED)
"""Verdicts of a handlespace that has stored an element."""


class Elements:
    """The pool elements that a registrar knows, its own and those of its peers."""

    def __init__(self, context: RegistrarContext) -> None:
        self._context = context
        self.ownership = Ownership()
        self.updates = Updates(context)
        self.keep_alives = KeepAlives(context)
        self.adoption = Adoption(context, self.ownership, self.updates)

    # Own elements

    def start_life(self, name: ElementName, life: int, now: int) -> None:
        """Let an element's registration last ``life`` units from now on."""
        lasting = life_microseconds(life, self._context.settings.profile, self._context.settings.limits)
        if lasting is None:
            self._context.handlespace.disarm(*name, Timer.LIFE)
        else:
            self._context.handlespace.arm(*name, Timer.LIFE, now + lasting)

    def remove(self, name: ElementName, reason: Reason, now: int) -> list[Action]:
        """Remove an element of ours, if it is there, and update the peers. An element that a peer has claimed passes to
        the claimant instead, unless it deregistered itself."""
        view = self._context.handlespace.find(*name)
        if view is None:
            return []
        claim = self.ownership.pop_claim(name)
        if claim is not None and reason is not Reason.DEREGISTERED and self._pass_to(*claim, view, now):
            return []
        parameter = view.parameter
        self.detach(view.connection)
        self.keep_alives.forget(name)
        self._context.handlespace.remove(*name)
        return self.updates.removed(name, parameter, reason, now)

    def _pass_to(self, claimant: int, parameter: bytes, view: PoolElementView, now: int) -> bool:
        """Make the claimant the home of a claimed element. False if the handlespace refuses the claimant's version of
        it."""
        name = view.pool_handle, view.identifier
        previous, life = view.connection, view.registration_life
        if self._context.handlespace.register(name[0], parameter, home=claimant) not in STORED:
            return False
        self._moved_away(name, previous)
        self.start_life(name, life, now)
        self.updates.stored(name, now, added=False)
        return True

    def detach(self, number: int) -> None:
        """Count one registered element less for an association, if the association still exists."""
        association = self._context.associations.get(number)
        if association is not None:
            association.registrant.elements -= 1

    def _moved_away(self, name: ElementName, previous: int) -> None:
        """The element has moved to another registrar: detach it from its association here."""
        self.detach(previous)
        self.keep_alives.forget(name)
        self.ownership.confirm(name)
        self.updates.moved_away(name)
        self._context.handlespace.disarm(*name, Timer.KEEP_ALIVE)

    # Elements of peers

    def store(self, handle: bytes, element: PoolElement, now: int) -> Verdict:
        """Store a pool element whose home is another registrar: new, changed, or moved there."""
        name = handle, element.identifier
        old = self._context.handlespace.find(*name)
        previous = old.connection if old is not None else 0
        verdict = self._context.handlespace.register(handle, element.encode(), home=element.home_identifier)
        if verdict in STORED:
            self._moved_away(name, previous)
            self.start_life(name, element.registration_life, now)
            self.updates.stored(name, now, added=verdict is Verdict.ADDED)
        return verdict

    def discard(self, name: ElementName, now: int, reason: Reason = Reason.REMOVED_BY_HOME) -> None:
        """Remove another registrar's element."""
        self._context.handlespace.remove(*name)
        self.updates.discarded(name, reason, now)

    def merged(self, handle: bytes, identifier: int, added: bool, now: int) -> None:
        """The merger of handle tables has stored another registrar's element."""
        self.updates.stored((handle, identifier), now, added=added)

    def swept(self, name: ElementName, now: int) -> None:
        """The handlespace has removed another registrar's element, because the home's handle table did not name it."""
        self.updates.discarded(name, Reason.REMOVED_BY_HOME, now)

    @property
    def subscribed_pools(self) -> dict[bytes, set[int]]:
        """The pools that have subscribers, by handle. The mapping is never replaced."""
        return self.updates.subscriptions.watchers

    # Changes of home

    def is_disputable(self, view: PoolElementView) -> bool:
        """True if a peer's claim on this element needs the element's answer, because it is ours and has an association
        here. An element that was just taken over has its keep-alive with H=1 already."""
        return view.home_identifier == self._context.identifier and view.connection != 0

    def dispute(self, view: PoolElementView, claimant: int, parameter: bytes, now: int) -> list[Action]:
        """Record a peer's claim on an element that has an association here, and send the element a keep-alive."""
        name = view.pool_handle, view.identifier
        self.ownership.add_claim(name, claimant, parameter)
        return self.keep_alives.send_out_of_turn(*name, now)

    def withdraw_claim(self, name: ElementName, claimant: int) -> None:
        """Drop a peer's claim on an element, if there is one: the peer has removed the element."""
        self.ownership.withdraw_claim(name, claimant)

    def adopt(self, found: dict[bytes, list[ElementName]], now: int) -> list[Action]:
        """Inform elements that were taken over, given by ASAP transport, of their new home."""
        return self.adoption.adopt(found, now)

    def follow_suggestion(self, handle: bytes, element: PoolElement, peer: int, now: int) -> list[Action]:
        """Take over an element because its home suggests it. The element returns to that peer if it does not
        acknowledge."""
        name, parameter = (handle, element.identifier), element.encode()
        self._context.handlespace.register(handle, parameter, home=self._context.identifier)
        view = self._context.handlespace.find(*name)
        if view is None or view.asap_transport is None:
            return []
        view.probed = True
        self.updates.stored(name, now, added=False)
        actions = self.adoption.adopt({view.asap_transport: [name]}, now)
        self.ownership.add_claim(name, peer, parameter)
        return actions

    def unreachable(self, addresses: tuple[Address, ...], port: int, now: int) -> list[Action]:
        """An association to elements that were taken over could not be opened: remove them."""
        actions: list[Action] = []
        for name in self.adoption.unreachable((addresses, port)):
            self._context.counters.count(Count.ELEMENTS_UNREACHABLE)
            actions += self.remove(name, Reason.UNREACHABLE, now)
        return actions

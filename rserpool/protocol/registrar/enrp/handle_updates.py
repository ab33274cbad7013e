"""Handle updates: sends changes of our elements to the peers, and stores the peers' elements here (RFC 5353 3.3)."""

from rserpool._fast.lane.merge import Merger
from rserpool.errors import Cause
from rserpool.messages import HandleUpdate, PoolElement, encode_handle_update, pool_element_identifier
from rserpool.protocol.actions import Level, Send
from rserpool.protocol.registrar.actions import Update
from rserpool.protocol.registrar.asap.acceptance import INFINITE_LIFE, Refusal, check_policy
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.elements import STORED, Elements
from rserpool.protocol.registrar.enrp.context import EnrpContext
from rserpool.protocol.registrar.enrp.peers import EnrpLink, PeerRegistrar, State

ADD_PE = 0
DEL_PE = 1


class HandleUpdates:
    """Handle updates both ways, and the checks that any element of a peer must pass."""

    def __init__(self, context: EnrpContext, elements: Elements) -> None:
        self._context = context
        self._elements = elements
        self._suggests = context.settings.takeover_suggestions
        limits = context.settings.limits
        self._handle_octets = min(context.settings.profile.max_pool_handle, limits.pool_handle_octets)
        self.merger = Merger(
            context.handlespace,
            handle_octets=self._handle_octets,
            pools=limits.pools,
            elements_per_home=limits.elements_per_peer,
            watchers=elements.subscribed_pools,
            merged=elements.merged,
        )

    # Ours, to the peers

    def send_all(self, update: Update) -> None:
        """Send an update on an element of ours to every peer that has an association."""
        context = self._context
        if not any(peer.link is not None for peer in context.peers.values()):
            return
        context.counters.count(Count.UPDATES_SENT)
        context.send_octets_to_all(self._encode(update))
        if update.added and self._suggests:
            self._suggest_takeover(update)

    def _encode(self, update: Update, *, takeover_suggested: bool = False) -> bytes:
        return encode_handle_update(
            sender_identifier=self._context.identifier,
            update_action=ADD_PE if update.added else DEL_PE,
            pool_handle=update.pool_handle,
            parameter=update.parameter,
            takeover_suggested=takeover_suggested,
        )

    def _suggest_takeover(self, update: Update) -> None:
        """Send the update again, with rsplib's takeover suggestion, to the registrar whose identifier differs most from
        the element's, unless that is this one."""
        context = self._context
        identifier = pool_element_identifier(update.parameter)
        linked = (peer for peer in context.peers.values() if peer.link is not None)
        best = max(linked, key=lambda peer: peer.identifier ^ identifier, default=None)
        if best is None or best.identifier ^ identifier <= context.identifier ^ identifier:
            return
        assert best.link is not None
        context.actions.append(Send(best.link.number, self._encode(update, takeover_suggested=True)))

    # Theirs, to us

    def merge(self, link: EnrpLink, data: bytes, now: int) -> bool:
        """Store the element of an ordinary ENRP_HANDLE_UPDATE without decoding the message. False if the message needs
        the readable way; then nothing has changed."""
        peer = link.peer
        if peer is None or peer.link is not link or peer.state is not State.ALIVE:
            return False
        if not self.merger.update(data, peer.identifier, now):
            return False
        self._context.counters.count(Count.UPDATES)
        return True

    def on_handle_update(self, link: EnrpLink, message: HandleUpdate, now: int) -> None:
        """ENRP_HANDLE_UPDATE: store or remove an element of the sender."""
        peer = link.peer
        assert peer is not None
        self._context.counters.count(Count.UPDATES)
        if message.update_action == ADD_PE:
            self._add(peer, message, now)
        elif message.update_action == DEL_PE:
            self._remove(peer, message, now)

    def _add(self, peer: PeerRegistrar, message: HandleUpdate, now: int) -> None:
        element = message.pool_element
        if element.home_identifier != peer.identifier:
            self._ignore(peer, message, Level.WARNING)
        elif self.store(peer, message.pool_handle, element, now) and message.takeover_suggested and self._suggests:
            self._context.actions += self._elements.follow_suggestion(
                message.pool_handle, element, peer.identifier, now
            )

    def _remove(self, peer: PeerRegistrar, message: HandleUpdate, now: int) -> None:
        """Remove an element of the sender. If the element has a new home, ignore the removal: the former home often
        sends it after the new home's update."""
        name = message.pool_handle, message.pool_element.identifier
        known = self._context.handlespace.find(*name)
        if known is None:
            return
        self._elements.withdraw_claim(name, peer.identifier)
        if known.home_identifier == peer.identifier:
            self._elements.discard(name, now)
        else:
            self._ignore(peer, message, Level.DEBUG)

    def _ignore(self, peer: PeerRegistrar, message: HandleUpdate, level: Level) -> None:
        """Ignore an update on an element whose home is not the sender. If the element is ours, send an update back."""
        context = self._context
        context.counters.count(Count.FOREIGN_UPDATES)
        identifier = message.pool_element.identifier
        text = f"{peer} updates element 0x{identifier:08x} of {message.pool_handle!r}, whose home it is not: ignored"
        context.note(level, f"{peer} foreign", text)
        known = context.handlespace.find(message.pool_handle, identifier)
        if known is not None and known.home_identifier == context.identifier and peer.link is not None:
            update = Update(True, message.pool_handle, known.parameter)
            context.actions.append(Send(peer.link.number, self._encode(update)))

    def store(self, peer: PeerRegistrar, handle: bytes, element: PoolElement, now: int) -> bool:
        """Store an element that ``peer`` has sent and whose home is another registrar: new, changed, or moved there.
        False if it was refused, or if the element has to be asked first because it is associated here."""
        context = self._context
        try:
            self._check(handle, element)
            known = context.handlespace.find(handle, element.identifier)
            if known is not None and self._elements.is_disputable(known):
                context.actions += self._elements.dispute(known, element.home_identifier, element.encode(), now)
                return False
            if self._elements.store(handle, element, now) not in STORED:
                raise Refusal("inconsistent with the pool as it is known here", Cause.INCONSISTENT_POOLING_POLICY)
        except Refusal as refusal:
            context.counters.count(Count.ELEMENTS_REFUSED)
            text = f"{peer}: element 0x{element.identifier:08x} of {handle!r} is not stored: {refusal}"
            context.note(Level.WARNING, f"{peer} refused", text)
            return False
        return True

    def _check(self, handle: bytes, element: PoolElement) -> None:
        """Raise Refusal if an element of a peer is unacceptable in itself, or exceeds a bound."""
        context = self._context
        limits = context.settings.limits
        check_policy(element.policy, context.settings.profile)
        if len(handle) > self._handle_octets:
            raise Refusal("the pool handle is too long", Cause.INVALID_VALUES)
        if element.asap_transport is None:
            raise Refusal("it has no ASAP transport", Cause.INVALID_VALUES)
        if element.registration_life < INFINITE_LIFE:
            raise Refusal(f"its registration life is {element.registration_life}", Cause.INVALID_VALUES)
        if context.handlespace.home_size(element.home_identifier) >= limits.elements_per_peer:
            raise Refusal("too many elements of one home", Cause.LACK_OF_RESOURCES)
        if context.handlespace.pool(handle) is None and context.handlespace.pool_count >= limits.pools:
            raise Refusal("too many pools", Cause.LACK_OF_RESOURCES)

"""The mirrored handlespace: what peers are told of our elements, and what is taken in of theirs (RFC 5353 3.3)."""

from typing import TYPE_CHECKING

from rserpool._fast.handlespace.handlespace import Verdict
from rserpool._fast.lane.merge import Merger
from rserpool.errors import Cause
from rserpool.messages import HandleUpdate, PoolElement
from rserpool.protocol.actions import Level, Send
from rserpool.protocol.registrar.actions import Update
from rserpool.protocol.registrar.asap.acceptance import INFINITE_LIFE, Refusal, check_policy
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.enrp.peers import EnrpLink, Event, PeerRegistrar, State

if TYPE_CHECKING:
    from rserpool.protocol.registrar.enrp.dispatch import EnrpRegistrar

ADD_PE = 0
DEL_PE = 1
TAKEOVER_SUGGESTED = 0x01
"""rsplib's flag of ENRP_HANDLE_UPDATE: the receiver should take the element over."""


class Mirror:
    """Handle updates both ways."""

    def __init__(self, enrp: "EnrpRegistrar") -> None:
        self._enrp = enrp
        limits = enrp.settings.limits
        self.merger = Merger(
            enrp.handlespace,
            handle_octets=min(enrp.settings.profile.max_pool_handle, limits.pool_handle_octets),
            pools=limits.pools,
            elements_per_home=limits.elements_per_peer,
            watchers=enrp.elements.subscribed_pools,
            changed=lambda handle: enrp.elements.pool_changed(handle, enrp.now),
        )

    def listened_to(self) -> bool:
        """Whether there is an association to any peer."""
        return any(peer.link is not None for peer in self._enrp.peers.values())

    def tell(self, update: Update) -> None:
        """Tell all peers of a pool element of ours."""
        enrp = self._enrp
        if not self.listened_to():
            return
        enrp.counters.count(Count.UPDATES_SENT)
        data = update_octets(enrp.identifier, update)
        links = (peer.link for peer in enrp.peers.values())
        enrp.out += [Send(link.number, data) for link in links if link is not None]
        if update.added and enrp.settings.takeover_suggestions:
            self._suggest(update, data)

    def _suggest(self, update: Update, data: bytes) -> None:
        """Say the update once more, with the T flag, to the registrar whose identifier differs most from the element's,
        if that is not this one."""
        enrp = self._enrp
        identifier = int.from_bytes(update.parameter[4:8], "big")
        linked = [peer for peer in enrp.peers.values() if peer.link is not None]
        best = max(linked, key=lambda peer: peer.identifier ^ identifier, default=None)
        if best is not None and best.link is not None and best.identifier ^ identifier > enrp.identifier ^ identifier:
            enrp.out.append(Send(best.link.number, data[:1] + bytes((TAKEOVER_SUGGESTED,)) + data[2:]))

    def _suggested(self, message: HandleUpdate) -> bool:
        return message.takeover_suggested and self._enrp.settings.takeover_suggestions

    def _follow(self, peer: PeerRegistrar, handle: bytes, element: PoolElement) -> None:
        """Take the suggested element over. It stays the peer's should it not answer."""
        enrp = self._enrp
        enrp.out += enrp.elements.follow_suggestion(handle, element, peer.identifier, enrp.now)

    def updated_plainly(self, link: EnrpLink, data: bytes) -> bool:
        """Whether a message was an update of a peer's own element with nothing unusual about it, and is taken in."""
        peer = link.peer
        if peer is None or peer.link is not link or peer.state is not State.ALIVE:
            return False
        if not self.merger.update(data, peer.identifier, self._enrp.now):
            return False
        self._enrp.counters.count(Count.UPDATES)
        self._enrp.happen(peer, Event.HEARD)
        return True

    def updated(self, link: EnrpLink, message: HandleUpdate) -> None:
        peer = link.peer
        assert peer is not None
        element = message.pool_element
        self._enrp.counters.count(Count.UPDATES)
        if message.update_action == ADD_PE:
            if element.home_identifier != peer.identifier:
                self._not_theirs(peer, message)
            elif self.store(peer, message.pool_handle, element) and self._suggested(message):
                self._follow(peer, message.pool_handle, element)
        elif message.update_action == DEL_PE:
            known = self._enrp.handlespace.find(message.pool_handle, element.identifier)
            if known is None:
                return
            self._enrp.elements.withdraw_claim((message.pool_handle, element.identifier), peer.identifier)
            if known.home_identifier == peer.identifier:
                self.discard(message.pool_handle, element.identifier)
            else:
                self._not_theirs(peer, message)

    def _not_theirs(self, peer: PeerRegistrar, message: HandleUpdate) -> None:
        """An update of somebody else's element: nothing changes; if it is ours, its home says so once more. That an
        element's old home removes it after its new home has told of it is nothing unusual."""
        self._enrp.counters.count(Count.FOREIGN_UPDATES)
        identifier = message.pool_element.identifier
        text = f"{peer} updates element 0x{identifier:08x} of {message.pool_handle!r}, whose home it is not: ignored"
        level = Level.WARNING if message.update_action == ADD_PE else Level.DEBUG
        self._enrp.note(level, f"{peer} foreign", text)
        known = self._enrp.handlespace.find(message.pool_handle, identifier)
        if known is not None and known.home_identifier == self._enrp.identifier and peer.link is not None:
            update = Update(True, message.pool_handle, known.parameter)
            self._enrp.out.append(Send(peer.link.number, update_octets(self._enrp.identifier, update)))

    def store(self, peer: PeerRegistrar, handle: bytes, element: PoolElement) -> bool:
        """A pool element whose home is another registrar: new, changed, or moved there. False where it cannot be
        taken."""
        limits, profile = self._enrp.settings.limits, self._enrp.settings.profile
        home = element.home_identifier
        old = self._enrp.handlespace.find(handle, element.identifier)
        try:
            check_policy(element.policy, profile)
            if len(handle) > min(profile.max_pool_handle, limits.pool_handle_octets) or element.asap_transport is None:
                raise Refusal("a pool handle that is too long, or no ASAP transport", Cause.INVALID_VALUES)
            if element.registration_life < INFINITE_LIFE:
                raise Refusal(f"a registration life of {element.registration_life}", Cause.INVALID_VALUES)
            if self._enrp.handlespace.home_size(home) >= limits.elements_per_peer or (
                self._enrp.handlespace.pool(handle) is None and self._enrp.handlespace.pool_count >= limits.pools
            ):
                raise Refusal("too many elements or pools", Cause.LACK_OF_RESOURCES)
            if old is not None and self._enrp.elements.is_disputable(old):
                self._enrp.out += self._enrp.elements.dispute(old, home, element.encode(), self._enrp.now)
                return False
            verdict = self._enrp.elements.store(handle, element, self._enrp.now)
            if verdict not in (Verdict.ADDED, Verdict.UPDATED):
                raise Refusal("inconsistent with the pool as it is known here", Cause.INCONSISTENT_POOLING_POLICY)
        except Refusal as refusal:
            self._enrp.counters.count(Count.ELEMENTS_REFUSED)
            text = f"{peer}: element 0x{element.identifier:08x} of {handle!r} is not taken: {refusal}"
            self._enrp.note(Level.WARNING, f"{peer} refused", text)
            return False
        return True

    def discard(self, handle: bytes, identifier: int) -> None:
        """Remove another registrar's element."""
        self._enrp.elements.discard((handle, identifier), self._enrp.now)


def update_octets(sender: int, update: Update) -> bytes:
    """ENRP_HANDLE_UPDATE to everybody, from the element's encoded parameter (RFC 5353 2.4)."""
    padding = bytes(-len(update.pool_handle) % 4)
    handle = b"\x00\x09" + (4 + len(update.pool_handle)).to_bytes(2, "big") + update.pool_handle + padding
    action = ADD_PE if update.added else DEL_PE
    body = sender.to_bytes(4, "big") + bytes(4) + action.to_bytes(2, "big") + bytes(2) + handle + update.parameter
    return bytes((HandleUpdate.TYPE, 0)) + (4 + len(body)).to_bytes(2, "big") + body

"""Checks who sends a message: server identifiers, and registrars that use one twice (RFC 5353 3.2.1)."""

from rserpool.messages import EnrpMessage, ListRequest, Presence
from rserpool.model.addresses import Address
from rserpool.protocol.actions import Level
from rserpool.protocol.registrar.actions import Renumber
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.enrp.context import TO_ALL, EnrpContext
from rserpool.protocol.registrar.enrp.lists import Lists
from rserpool.protocol.registrar.enrp.peers import EnrpLink, PeerRegistrar
from rserpool.protocol.registrar.enrp.places import address_order


class Identities:
    """Binds associations to peers, and finds duplicate identifiers."""

    def __init__(self, context: EnrpContext, lists: Lists) -> None:
        self._context = context
        self._lists = lists

    def identify(self, link: EnrpLink, message: EnrpMessage, now: int) -> bool:
        """Check sender and receiver identifiers. The first message binds the association to its sender."""
        context = self._context
        sender = message.sender_identifier
        if message.receiver_identifier not in (TO_ALL, context.identifier):
            context.counters.count(Count.MISDIRECTED)
            return False
        if sender in (0, context.identifier):
            self._refuse_identifier(link, message, now)
            return False
        peer = link.peer
        if peer is not None and peer.identifier == sender:
            peer.link = peer.link or link
            return True
        if peer is not None:
            context.counters.count(Count.CHANGED_IDENTIFIERS)
            text = f"{link.remote} changed its identifier from {peer} to 0x{sender:08x}: aborted"
            context.note(Level.WARNING, f"{link.remote} identifier", text)
            context.abort(link)
            return False
        return self._bind(link, message)

    def _refuse_identifier(self, link: EnrpLink, message: EnrpMessage, now: int) -> None:
        """The sender uses 0 or our own identifier. One of two registrars with the same identifier takes another."""
        context = self._context
        sender = message.sender_identifier
        context.counters.count(Count.DUPLICATE_IDENTIFIERS)
        kind = "this registrar's own" if sender else "reserved"
        text = f"{link.remote} uses server identifier 0x{sender:08x}, which is {kind}"
        context.note(Level.ERROR, f"{link.remote} identifier", text)
        if not sender:
            return
        if self._gives_up_identifier(link.remote.addresses):
            context.actions.append(Renumber())
        elif isinstance(message, Presence) and message.reply_required and context.within_error_rate(now):
            context.send(link, context.presence(TO_ALL))

    def check_duplicate(self, address: Address) -> None:
        """A registrar at that address announced our identifier by multicast, or we heard our own announcement."""
        if address not in self._context.place[0] and self._gives_up_identifier((address,)):
            self._context.actions.append(Renumber())

    def _gives_up_identifier(self, duplicate: tuple[Address, ...]) -> bool:
        """True if we give up an identifier that the registrar at ``duplicate`` has too. We give up only a random
        identifier, and only if we are still starting or have the lower address."""
        context = self._context
        if not context.settings.identifier_drawn or not duplicate or not context.place[0]:
            return False
        return not context.started or address_order(context.place[0][0]) < address_order(duplicate[0])

    def _bind(self, link: EnrpLink, message: EnrpMessage) -> bool:
        """Bind an association to the sender, unless the sender has a working association to another host. In that case
        the sender may be another registrar with the same identifier. It notices this if it gets our peer list."""
        context = self._context
        sender = message.sender_identifier
        peer = context.peers.get(sender)
        if peer is None:
            peer = self._add(link, sender)
            if peer is None:
                return False
        elif peer.link is not None and set(peer.link.remote.addresses).isdisjoint(link.remote.addresses):
            context.counters.count(Count.DUPLICATE_IDENTIFIERS)
            text = f"{link.remote} uses the identifier of {peer}, which is at {peer.link.remote}"
            context.note(Level.ERROR, f"{link.remote} identifier", text)
            if isinstance(message, ListRequest):
                self._lists.send(link, sender)
            return False
        peer.must_download = not context.started or context.handlespace.home_size(sender) > 0
        peer.link = link
        link.peer = peer
        return True

    def _add(self, link: EnrpLink, sender: int) -> PeerRegistrar | None:
        """Add a peer. None if there are too many."""
        context = self._context
        if len(context.peers) >= context.settings.limits.peers:
            context.counters.count(Count.PEERS_REFUSED)
            context.note(Level.WARNING, "peers", f"too many peer registrars: {link.remote} is ignored")
            return None
        peer = context.peers[sender] = PeerRegistrar(sender, link.remote.addresses, link.remote.port)
        context.note(Level.INFO, str(peer), f"{peer} at {link.remote} is a peer")
        if context.watching.active:
            context.watching.peer_changed(sender, peer.state.name)
        if not link.opened_here:
            context.send(link, context.presence(sender, reply_required=True))
        return peer

"""Runs the life of each peer registrar by its table, and watches that peers are alive (RFC 5353 3.4)."""

from collections.abc import Callable, Mapping
from functools import partial

from rserpool.protocol.registrar.enrp.connector import Connector
from rserpool.protocol.registrar.enrp.context import EnrpContext
from rserpool.protocol.registrar.enrp.peers import PEER, Event, PeerRegistrar, Reaction, State
from rserpool.protocol.registrar.watching import PeerRemoved
from rserpool.protocol.table import step

React = Callable[[PeerRegistrar, int], None]
"""Carries out a reaction: called with the peer and the time."""


class Peering:
    """The state of every peer. EnrpRegistrar adds the reactions of the machines that build on this one."""

    def __init__(self, context: EnrpContext, connector: Connector) -> None:
        self._context = context
        self._connector = connector
        self.reactions: dict[Reaction, React] = {
            Reaction.IGNORE: self.ignore,
            Reaction.WATCH: self.watch,
            Reaction.ASK_FOR_PRESENCE: self.ask_for_presence,
        }

    def add_reactions(self, reactions: Mapping[Reaction, React]) -> None:
        """Add the reactions of another machine."""
        self.reactions.update(reactions)

    def feed(self, peer: PeerRegistrar, event: Event, now: int) -> None:
        """Feed an event to the table of a peer, and carry out the reaction."""
        previous = peer.state
        reaction, peer.state = step(PEER, previous, event)
        if peer.state is not previous and peer.state is not State.FORGOTTEN and self._context.watching.active:
            self._context.watching.peer_changed(peer.identifier, peer.state.name)
        self.reactions[reaction](peer, now)

    def heard(self, peer: PeerRegistrar, now: int) -> None:
        """A message of a peer arrived."""
        peer.last_heard = now
        self.feed(peer, Event.HEARD, now)

    def set_timer(self, peer: PeerRegistrar, seconds: float, now: int) -> None:
        """Feed TIME_OUT to a peer after this many seconds. This replaces the peer's present timer."""
        self._context.disarm(peer.timer)
        peer.timer = self._context.arm(seconds, partial(self._expire, peer), now)

    def _expire(self, peer: PeerRegistrar, now: int) -> None:
        peer.timer = None
        self.feed(peer, Event.TIME_OUT, now)

    def remove(self, peer: PeerRegistrar) -> None:
        """Remove a peer from the list of peers and abort its associations."""
        context = self._context
        context.disarm(peer.timer)
        peer.timer = None
        context.peers.pop(peer.identifier, None)
        peer.link = None
        for link in context.links.values():
            if link.peer is peer:
                link.peer = None
                context.abort(link)
        if context.watching.active:
            context.watching.publish(PeerRemoved(identifier=peer.identifier))

    # Reactions

    def ignore(self, peer: PeerRegistrar, now: int) -> None:
        """Do nothing."""

    def watch(self, peer: PeerRegistrar, now: int) -> None:
        """Allow the peer MAX-TIME-LAST-HEARD of silence from now on."""
        peer.consented_to = None
        self.set_timer(peer, self._context.settings.last_heard, now)

    def ask_for_presence(self, peer: PeerRegistrar, now: int) -> None:
        """Ask for a presence, over a new association if there is none (RFC 5353 3.4.3)."""
        context = self._context
        if peer.link is not None:
            context.send(peer.link, context.presence(peer.identifier, reply_required=True))
        else:
            self._connector.connect((peer.addresses, peer.port), now)
        self.set_timer(peer, context.settings.max_time_no_response, now)

"""Sends this registrar's presence each heartbeat cycle, and looks for registrars that are missing (RFC 5353 3.4.2)."""

from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.registrar.actions import AnnouncePresence
from rserpool.protocol.registrar.enrp.connector import Connector
from rserpool.protocol.registrar.enrp.context import TO_ALL, EnrpContext
from rserpool.protocol.registrar.enrp.lists import Lists
from rserpool.protocol.registrar.enrp.peering import Peering
from rserpool.protocol.registrar.enrp.peers import Event, PeerRegistrar, State
from rserpool.protocol.registrar.enrp.places import leads_to

JITTER = 0.125
"""The largest deviation from a cycle, as a share of it, so that registrars do not send in step."""
EARLY_LISTS = (2, 4)
"""The first cycles in which peers are asked for their lists: soon after the start, as others may have started too."""
LIST_CYCLE = 10
"""Cycles between two list requests to a peer. Registrars that could not meet at first do so then (after a partition, or
when the mentor knew only one of them)."""
TAKEOVER_STATES = frozenset({State.TARGET, State.CLAIMING, State.WON})
"""States in which a peer is dead, so that no association to it is opened."""


class Heartbeat:
    """The cycle of presences."""

    def __init__(self, context: EnrpContext, connector: Connector, lists: Lists, peering: Peering) -> None:
        self._context = context
        self._connector = connector
        self._lists = lists
        self._peering = peering
        self._cycles = 0
        self._unknown_homes: dict[int, int] = {}
        """Registrars that are the home of elements but not our peers, and the time at which each was first seen."""

    def run(self, now: int) -> None:
        """Run one cycle, and arm the timer of the next."""
        context = self._context
        self._cycles += 1
        self._send_presence()
        if self._cycles in EARLY_LISTS or self._cycles % LIST_CYCLE == 0:
            for peer in context.peers.values():
                self._lists.request(peer)
        self._connect_to_missing(now)
        self._find_unknown_homes(now)
        draw = 1 + JITTER * (2 * context.randomness.random() - 1)
        context.arm(context.settings.heartbeat * draw, self.run, now)

    def _send_presence(self) -> None:
        """Send a presence to every peer and by multicast, and ask for one over associations that have no peer yet."""
        context = self._context
        presence = context.presence(TO_ALL).encode()
        context.send_octets_to_all(presence)
        if context.settings.profile.multicast_presence:
            context.actions.append(AnnouncePresence(presence))
        for link in context.links.values():
            if link.peer is None:
                context.send(link, context.presence(TO_ALL, reply_required=True))

    def _connect_to_missing(self, now: int) -> None:
        """Try again to reach peers without an association."""
        context = self._context
        for peer in context.peers.values():
            if peer.link is None and peer.state not in TAKEOVER_STATES:
                self._connector.connect((peer.addresses, peer.port), now)
        for place in context.static_peers:
            if not any(leads_to(link, place) for link in context.links.values()):
                self._connector.connect(place, now)

    def _find_unknown_homes(self, now: int) -> None:
        """Treat a home that is not a peer like a silent peer. Elements have such a home if the mentor's table still
        contained them although their registrar had ended."""
        context = self._context
        since = {
            home: self._unknown_homes.get(home, now)
            for home in context.handlespace.homes()
            if home != context.identifier and home not in context.peers
        }
        self._unknown_homes = since
        patience = (context.settings.last_heard + context.settings.max_time_no_response) * MICROSECONDS
        for home, first in since.items():
            if now - first > patience and len(context.peers) < context.settings.limits.peers:
                peer = context.peers[home] = PeerRegistrar(home, (), 0)
                self._peering.feed(peer, Event.UNREACHABLE, now)

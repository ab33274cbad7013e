"""Opens associations to other registrars, one at a time to each."""

from collections.abc import Iterable
from functools import partial

from rserpool._fast.base.wheel import Entry
from rserpool.messages import ServerInformation
from rserpool.model.addresses import usable
from rserpool.protocol.peer import Peer
from rserpool.protocol.registrar.actions import Connect, Protocol
from rserpool.protocol.registrar.enrp.context import TO_ALL, EnrpContext
from rserpool.protocol.registrar.enrp.places import Place, leads_to, same_place

CONNECT_TIMEOUT = 60.0
"""Seconds after which an attempt whose outcome the transport has not reported may be repeated."""


class Connector:
    """The associations that are being opened."""

    def __init__(self, context: EnrpContext) -> None:
        self._context = context
        self._attempts: dict[Place, Entry] = {}

    def connect(self, place: Place, now: int) -> None:
        """Open an association to a registrar, unless an attempt is under way. If there is an association that has no
        peer yet, ask for a presence over it."""
        context = self._context
        if not place[0] or place in self._attempts or same_place(place, context.place):
            return
        existing = next((link for link in context.links.values() if leads_to(link, place)), None)
        if existing is not None:
            if existing.peer is None:
                context.send(existing, context.presence(TO_ALL, reply_required=True))
            return
        self._attempts[place] = context.arm(CONNECT_TIMEOUT, partial(self._expire, place), now)
        context.actions.append(Connect(Protocol.ENRP, *place))

    def connect_to_unknown(self, servers: Iterable[ServerInformation], now: int) -> None:
        """Open associations to the registrars of a list that are not peers yet. A registrar at another address that has
        our own identifier counts as one of them."""
        context = self._context
        room = context.settings.limits.peers - len(context.peers)
        for server in servers:
            if server.server_identifier == 0 or server.server_identifier in context.peers:
                continue
            place = (usable(server.transport.addresses, context.settings.address_scope), server.transport.port)
            if place[0] and room > 0:
                room -= 1
                self.connect(place, now)

    def opened(self, remote: Peer) -> bool:
        """An association came up. True if this registrar opened it."""
        place = next((place for place in self._attempts if same_place((remote.addresses, remote.port), place)), None)
        if place is None:
            return False
        self.ended(place)
        return True

    def ended(self, place: Place) -> None:
        """The attempt, if there is one, has succeeded or failed."""
        self._context.disarm(self._attempts.pop(place, None))

    def _expire(self, place: Place, now: int) -> None:
        self.ended(place)

"""The home registrar of a node, and the ASAP associations to registrars (RFC 5352 3.6, 3.7).

A node has at most one home registrar, which its elements and its user share. Another registrar becomes home if it
adopts an element (RFC 5352 3.4, KA2.4), or if it answers as a second candidate before the home does.
"""

from collections.abc import Collection
from typing import Protocol

from rserpool.messages import AsapMessage
from rserpool.protocol.actions import Abort, Level
from rserpool.protocol.client.context import NodeContext
from rserpool.protocol.client.events import HomeChanged
from rserpool.protocol.client.hunt import Hunt
from rserpool.protocol.client.link import Link, Stage, new_link
from rserpool.protocol.peer import Peer

STRANGER_IDLE = 30_000_000
"""Microseconds of silence after which an incoming association makes room for another one."""


class Dependent(Protocol):
    """A part of the node that needs the home registrar, and is notified of its changes."""

    @property
    def wanting(self) -> bool:
        """True if it needs a registrar now."""

    def home_found(self, now: int, *, replaced: bool, adopted: Collection[object]) -> None:
        """A registrar became home. ``replaced``: another one was home until now. ``adopted``: the elements that the new
        home has taken over; it may not know the others."""

    def home_lost(self, now: int) -> None:
        """There is no home any more."""

    def second_candidate(self, link: Link) -> None:
        """An association to another registrar came up while the home does not answer."""


class Homes:
    """Elects, replaces and abandons the home registrar."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._hunt = Hunt(context, elect=self.set_home, second_candidate=self._second_candidate)
        self._dependents: tuple[Dependent, ...] = ()
        self._started = False
        self.stopped = False
        self._losing = False
        """True while dependents are notified of a lost home. The next hunt begins after the last of them."""

    def serve(self, *dependents: Dependent) -> None:
        """Notify these parts of changes, in this order."""
        self._dependents = dependents

    def start(self, now: int) -> None:
        """Allow hunts, and begin the first one."""
        self._started = True
        self.hunt(now)

    def stop(self, now: int) -> None:
        """End the hunt and shut down every association. Dependents are not notified."""
        self.stopped = True
        self._hunt.stop(now)
        for link in tuple(self._context.links.values()):
            self._context.leave(link, abort=False)
        self._context.home = None

    @property
    def wanted(self) -> bool:
        """True if a dependent needs a registrar now."""
        return any(dependent.wanting for dependent in self._dependents)

    # Requests of the dependents

    def hunt(self, now: int) -> None:
        """Look for a home, or for a second candidate in addition to the home."""
        if self._started and not self.stopped and not self._losing:
            self._hunt.start(now)

    def send(self, message: AsapMessage) -> None:
        """Send a message that needs no answer to the home, if there is one."""
        if self._context.home is not None:
            self._context.send(self._context.home, message)

    def leave_tcp(self, now: int) -> None:
        """Leave every registrar that is reached over TCP: pool elements register over SCTP only (RFC 5352 2.1)."""
        context = self._context
        for link in context.links.values():
            if link.candidate is not None and not link.candidate.where.sctp:
                context.leave(link, abort=link.stage is Stage.DIALING)
        if context.home is not None and context.home.stage is Stage.LEAVING:
            self._lose_home(now)

    def has_alternative(self, now: int) -> bool:
        """True if there is another candidate than the home."""
        home = self._context.home
        own = home.candidate if home is not None else None
        return any(one is not own for one in self._context.candidates.allowed(now))

    def second_candidates(self) -> list[Link]:
        """The associations to registrars that have come up in addition to the home."""
        context = self._context
        links = context.links.values()
        return [one for one in links if one.candidate is not None and one.stage is Stage.UP and one is not context.home]

    def abandon_registrar(self, link: Link, why: str, now: int) -> None:
        """Leave a registrar that timed out or sent nonsense, and look for another one."""
        if link.stage is not Stage.UP:
            return
        context = self._context
        context.counters["registrars left"] += 1
        context.note(Level.WARNING, f"{link.peer} left", f"registrar {link.peer} {why}: looking for another one")
        link.failed(now)
        context.leave(link, abort=True)
        if link is context.home:
            self._lose_home(now)
        elif link.candidate is not None:
            self._hunt.failed(link, now)

    # The home

    def set_home(self, link: Link, now: int, identifier: int = 0, *, adopted: Collection[object] = ()) -> None:
        """Make a registrar home. ``adopted``: the elements that this registrar has taken over. It may not know the
        others, and the former home removes them when its association ends."""
        context = self._context
        old, context.home = context.home, link
        context.home_identifier = identifier
        if old is not None and not adopted:
            old.failed(now)
        self._hunt.stop(now)
        for other in context.links.values():
            if other is not link and other.stage is Stage.UP and (other is old or other.candidate is not None):
                context.leave(other, abort=False)
        context.publish(HomeChanged(home=context.home_record))
        for dependent in self._dependents:
            dependent.home_found(now, replaced=old is not None, adopted=adopted)

    def home_answered(self, now: int) -> None:
        """The home has answered a resolution: give up the hunt for a second candidate."""
        if not self._hunt.active:
            return
        self._hunt.stop(now)
        for link in self._context.links.values():
            if link is not self._context.home and link.candidate is not None:
                self._context.leave(link, abort=False)

    def identify(self, identifier: int) -> bool:
        """The home has named its server identifier. True if it was unknown or different."""
        if identifier == self._context.home_identifier:
            return False
        self._context.home_identifier = identifier
        self._context.publish(HomeChanged(home=self._context.home_record))
        return True

    def _lose_home(self, now: int) -> None:
        self._context.home, self._context.home_identifier = None, 0
        self._context.publish(HomeChanged(home=None))
        self._losing = True
        for dependent in self._dependents:
            dependent.home_lost(now)
        self._losing = False
        if self.wanted:
            self.hunt(now)
        else:
            self._hunt.stop(now)

    def _second_candidate(self, link: Link) -> None:
        for dependent in self._dependents:
            dependent.second_candidate(link)

    # Events of associations

    def candidate_announced(self, now: int) -> None:
        """A registrar has announced itself."""
        self._hunt.dial_more(now)

    def up(self, number: int, peer: Peer, now: int) -> None:
        """An association came up: one that was dialled, or an incoming one under a new number."""
        context = self._context
        link = context.links.get(number)
        if link is None:
            if self.stopped or not self._accepts_incoming(now):
                context.counters["associations refused"] += 1
                context.emit(Abort(number))
            else:
                context.links[number] = new_link(number, now, peer=peer)
        elif link.stage is Stage.DIALING:
            link.stage, link.peer, link.heard = Stage.UP, peer, now
            self._hunt.came_up(link, now)

    def _accepts_incoming(self, now: int) -> bool:
        """True if there is room for one more incoming association. The one that has been silent for longest makes
        room after STRANGER_IDLE, so that strangers cannot shut out a registrar that takes over."""
        context = self._context
        strangers = [one for one in context.links.values() if one.candidate is None and one is not context.home]
        if len(strangers) < context.settings.incoming:
            return True
        idlest = min(strangers, key=lambda one: one.heard)
        if now < idlest.heard + STRANGER_IDLE:
            return False
        context.leave(idlest, abort=True)
        return len(strangers) < 2 * context.settings.incoming

    def down(self, number: int, now: int) -> None:
        """An association ended, or a dialled one did not come up."""
        context = self._context
        link = context.links.pop(number, None)
        if link is None:
            return
        if link.candidate is not None:
            link.candidate.in_use = False
        context.requests.association_ended(number)
        if link is context.home:
            context.note(Level.INFO, "home", f"the association with home registrar {link.peer} is lost")
            link.failed(now)
            self._lose_home(now)
        elif link.candidate is not None and link.stage is not Stage.LEAVING:
            self._hunt.failed(link, now)
        else:
            self._hunt.dial_more(now)

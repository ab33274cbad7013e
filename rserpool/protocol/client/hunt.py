"""The server hunt: finds a home registrar among the candidates (RFC 5352 3.6).

Nobody outside can control the order of the candidates: those that were not tried yet come first, and equal ones are in
random order. A candidate that refused the association, timed out or sent malformed messages is tried after all others
have failed. While the home registrar does not answer, the hunt looks for a second candidate in addition (RFC 5352
3.7.2).
"""

from collections.abc import Callable

from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.client.candidate_list import FOREVER, Candidate
from rserpool.protocol.client.context import NodeContext
from rserpool.protocol.client.link import Link, Stage
from rserpool.protocol.timers import Timer

AT_ONCE = 3
"""The largest number of associations of a node that hunts, incoming and abandoned ones included (RFC 5352 3.6 SH1)."""
GATHER = 20_000
"""Microseconds for which the first registrar that comes up waits for the others that are being dialled. Without it, all
nodes would choose the nearest registrar."""


class Hunt:
    """The rounds of one node's hunt. Times are integer microseconds.

    ``elect`` is called with the association to the registrar that the hunt has found. ``second_candidate`` is called
    instead when a registrar comes up while there is a home.
    """

    def __init__(
        self,
        context: NodeContext,
        *,
        elect: Callable[[Link, int], None],
        second_candidate: Callable[[Link], None],
    ) -> None:
        self._context = context
        self._elect = elect
        self._second_candidate = second_candidate
        self.active = False
        self.rounds = 0
        """Rounds begun since the node was made."""
        self._length = 0
        self._t5: Timer[None] | None = None
        self._retry: Timer[None] | None = None
        self._gathering: Timer[None] | None = None

    def start(self, now: int) -> None:
        """Begin unless the hunt is running. If the home is lost and a second candidate is up, it becomes home."""
        if not self.active:
            self.active = True
            self._length = round(self._context.settings.server_hunt * MICROSECONDS)
            self._begin_round(now)
        if self._context.home is None:
            self._choose(now)
        self.dial_more(now)

    def stop(self, now: int) -> None:
        """End the hunt and give up every association that is being dialled."""
        self.active = False
        for timer in (self._t5, self._retry, self._gathering):
            if timer is not None:
                timer.cancel()
        self._t5 = self._retry = self._gathering = None
        for link in self._dialing():
            if link.candidate is not None:
                link.candidate.tried = -FOREVER
            self._context.leave(link, abort=True)

    def _begin_round(self, now: int) -> None:
        self.rounds += 1
        self._t5 = Timer(self._context.wheel, now + self._length, self._end_round)
        self.dial_more(now)

    def _end_round(self, now: int) -> None:
        """T5 expired: give up what is being dialled and begin a longer round with other candidates."""
        self._length = min(2 * self._length, round(self._context.settings.hunt_max * MICROSECONDS))
        for link in self._dialing():
            link.failed(now)
            self._context.leave(link, abort=True)
        self._begin_round(now)

    def dial_more(self, now: int) -> None:
        """Dial as many candidates as are allowed at once."""
        if not self.active:
            return
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        pause = round(self._context.settings.hunt_retry * MICROSECONDS)
        ready = self._eligible(now, pause)
        ready.sort(key=lambda one: (one.troubled, one.round, self._context.randomness.random()))
        for candidate in ready:
            if self._elect_incoming(candidate, now):
                return
            if not self._has_room():
                break
            candidate.tried, candidate.round, candidate.in_use = now, self.rounds, True
            self._context.dial(candidate, now)
        waiting = [one.tried + pause for one in self._allowed(now) if one.tried + pause > now]
        if waiting:
            self._retry = Timer(self._context.wheel, min(waiting), self.dial_more)

    def _allowed(self, now: int) -> list[Candidate]:
        return self._context.candidates.allowed(now)

    def _eligible(self, now: int, pause: int) -> list[Candidate]:
        """The candidates that may be dialled now. A candidate with a failure (``troubled``) may be dialled only if none
        without a failure is left, or if those that are being dialled have not answered within ``pause``
        microseconds."""
        usable = [one for one in self._allowed(now) if one.usable(now) and one.tried + pause <= now]
        untroubled = [one for one in usable if not one.troubled]
        for link in self._dialing():
            trying = link.candidate
            if trying is not None and not trying.troubled and trying.tried + pause > now:
                return untroubled
        return untroubled or usable

    def _elect_incoming(self, candidate: Candidate, now: int) -> bool:
        """Use an association that this candidate has opened to us instead of dialling a second one."""
        if self._context.home is not None:
            return False
        for link in self._context.links.values():
            peer = link.peer
            if link.candidate is None and link.stage is Stage.UP and peer is not None and peer.sctp:
                here = candidate.where
                if here.sctp and peer.port == here.port and set(peer.addresses) & set(here.addresses):
                    candidate.in_use = True
                    link.candidate = candidate
                    self._elect(link, now)
                    return True
        return False

    def _has_room(self) -> bool:
        """True if one more candidate may be dialled. Incoming associations always leave room for one."""
        links = self._context.links
        own = [link for link in links.values() if link.candidate is not None]
        return len(own) < AT_ONCE and (len(links) < AT_ONCE or not self._dialing())

    # Outcomes

    def came_up(self, link: Link, now: int) -> None:
        """A dialled registrar accepted. The first one waits GATHER for others; then one of them is elected."""
        if self._context.home is not None:
            self._second_candidate(link)
        elif not self._dialing():
            self._choose(now)
        elif self._gathering is None:
            self._gathering = Timer(self._context.wheel, now + GATHER, self._choose)

    def _choose(self, now: int) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        up = [one for one in self._context.links.values() if one.stage is Stage.UP and one.candidate is not None]
        if up:
            self._elect(up[int(self._context.randomness.random() * len(up))], now)

    def failed(self, link: Link, now: int) -> None:
        """A candidate did not come up, or was lost: dial another one at once (SH4)."""
        link.failed(now)
        if self._gathering is not None and not self._dialing():
            self._choose(now)
        self.dial_more(now)

    def _dialing(self) -> list[Link]:
        return [link for link in self._context.links.values() if link.stage is Stage.DIALING]

"""The hunt for a home registrar (RFC 5352 3.6).

Candidates are tried in an order that nobody outside can steer: those that were not tried yet before those that were, at
random among equals. One that refused the association, timed out or talked nonsense is tried when all others have
failed. While there is a home, the hunt looks for another one beside it (RFC 5352 3.7.2).
"""

import typing

from rserpool.model.numbers import MICROSECONDS
from rserpool.protocol.client.candidates import FOREVER, Candidate
from rserpool.protocol.client.link import Link, Stage
from rserpool.protocol.timers import Timer

if typing.TYPE_CHECKING:
    from rserpool.protocol.client.node import Node

AT_ONCE = 3
"""Associations that a node has at most while it hunts, incoming and abandoned ones included (RFC 5352 3.6 SH1)."""
GATHER = 20_000
"""Microseconds for which the first registrar that comes up waits for others that are being tried, so that not all
nodes choose the nearest."""


class Hunt:
    """The rounds of one node's hunt. Times are integer microseconds."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.active = False
        self.rounds = 0
        """Rounds begun since the node was made."""
        self._length = 0
        self._t5: Timer[None] | None = None
        self._retry: Timer[None] | None = None
        self._gathering: Timer[None] | None = None

    def start(self, now: int) -> None:
        """Begin, if it has not begun; who has come up beside a home that is lost becomes home."""
        if self._node.stopped:
            return
        if not self.active:
            self.active = True
            self._length = round(self._node.settings.server_hunt * MICROSECONDS)
            self._begin_round(now)
        if self._node.home is None:
            self._choose(now)
        self.fill(now)

    def stop(self, now: int) -> None:
        """End it: what is being tried is given up."""
        self.active = False
        for name in ("_t5", "_retry", "_gathering"):
            self._cancel(name)
        for link in self._dialing():
            if link.candidate is not None:
                link.candidate.tried = -FOREVER
            self._node.leave(link, abort=True)

    def _begin_round(self, now: int) -> None:
        self.rounds += 1
        self._t5 = Timer(self._node.wheel, now + self._length, self._round_over)
        self.fill(now)

    def _round_over(self, now: int) -> None:
        """T5: the next round is longer, and with other addresses."""
        self._length = min(2 * self._length, round(self._node.settings.hunt_max * MICROSECONDS))
        for link in self._dialing():
            self._useless(link, now)
            self._node.leave(link, abort=True)
        self._begin_round(now)

    def fill(self, now: int) -> None:
        """Try as many as may be tried at once."""
        if not self.active:
            return
        self._cancel("_retry")
        pause = round(self._node.settings.hunt_retry * MICROSECONDS)
        ready = self._eligible(now, pause)
        ready.sort(key=lambda one: (one.troubled, one.round, self._node.randomness.random()))
        for candidate in ready:
            if self._take_over_incoming(candidate, now):
                return
            if not self._has_room():
                break
            candidate.tried, candidate.round, candidate.in_use = now, self.rounds, True
            self._node.dial(candidate, now)
        waiting = [one.tried + pause for one in self._mine(now) if one.tried + pause > now]
        if waiting:
            self._retry = Timer(self._node.wheel, min(waiting), self.fill)

    def _mine(self, now: int) -> list[Candidate]:
        """The candidates of a transport that this node may use."""
        return [one for one in self._node.candidates.known(now) if one.where.sctp or self._node.tcp_allowed]

    def _eligible(self, now: int, pause: int) -> list[Candidate]:
        """Who may be tried: one in trouble only when all others have failed, or say nothing for a while."""
        usable = [one for one in self._mine(now) if one.usable(now) and one.tried + pause <= now]
        untroubled = [one for one in usable if not one.troubled]
        for link in self._dialing():
            trying = link.candidate
            if trying is not None and not trying.troubled and trying.tried + pause > now:
                return untroubled
        return untroubled or usable

    def _take_over_incoming(self, candidate: Candidate, now: int) -> bool:
        """A registrar that has opened an association to us needs no second one."""
        if self._node.home is not None:
            return False
        for link in self._node.links.values():
            peer = link.peer
            if link.candidate is None and link.stage is Stage.UP and peer is not None and peer.sctp:
                here = candidate.where
                if here.sctp and peer.port == here.port and set(peer.addresses) & set(here.addresses):
                    candidate.in_use = True
                    link.candidate = candidate
                    self._node.set_home(link, now)
                    return True
        return False

    def _has_room(self) -> bool:
        """Whether one more may be tried: associations that strangers opened leave room for one at least."""
        links = self._node.links
        own = [link for link in links.values() if link.candidate is not None]
        return len(own) < AT_ONCE and (len(links) < AT_ONCE or not self._dialing())

    # What becomes of it

    def came_up(self, link: Link, now: int) -> None:
        """A registrar accepted: the first one waits a moment for others, then one of them is chosen."""
        if self._node.home is not None:
            self._node.rival(link, now)
        elif not self._dialing():
            self._choose(now)
        elif self._gathering is None:
            self._gathering = Timer(self._node.wheel, now + GATHER, self._choose)

    def _choose(self, now: int) -> None:
        self._cancel("_gathering")
        up = [one for one in self._node.links.values() if one.stage is Stage.UP and one.candidate is not None]
        if up:
            self._node.set_home(up[int(self._node.randomness.random() * len(up))], now)

    def failed(self, link: Link, now: int) -> None:
        """A candidate did not come up, or went away: another one is tried at once (SH4)."""
        self._useless(link, now)
        if self._gathering is not None and not self._dialing():
            self._choose(now)
        self.fill(now)

    def _useless(self, link: Link, now: int) -> None:
        if link.candidate is not None:
            link.candidate.troubled = max(now, 1)

    def _dialing(self) -> list[Link]:
        return [link for link in self._node.links.values() if link.stage is Stage.DIALING]

    def _cancel(self, name: str) -> None:
        alarm: Timer[None] | None = getattr(self, name)
        if alarm is not None:
            alarm.cancel()
            setattr(self, name, None)

"""Takeover of a dead registrar's elements: arbitration, and the elements' new home (RFC 5353 3.5).

A dead peer that has elements becomes a target. After a random pause, so that not all begin at once, INIT_TAKEOVER asks
all peers; who consents is struck off the voters. With no voter left the takeover is won; when the time is over, voters
that are silent themselves do not count; if others remain, the round is repeated.
"""

from functools import partial
from typing import TYPE_CHECKING

from rserpool._fast.lane.takeover import collect_unreached
from rserpool.messages import InitTakeover, InitTakeoverAck, TakeoverServer
from rserpool.protocol.actions import Level
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.enrp.peers import EnrpLink, Event, PeerRegistrar, State

if TYPE_CHECKING:
    from rserpool.protocol.registrar.enrp.dispatch import EnrpRegistrar

ROUNDS = 3
"""Rounds of arbitration before the takeover is won against voters that neither consent nor compete."""


class Takeovers:
    """Both sides of takeovers."""

    def __init__(self, enrp: "EnrpRegistrar") -> None:
        self._enrp = enrp
        self._giving: dict[int, int] = {}
        """Lost targets whose elements change their home, slice by slice, and who has won them."""
        self._greeting = False
        self._more = False

    # The initiator

    def bury(self, peer: PeerRegistrar) -> None:
        """A peer is dead: forget it if it has no elements, otherwise take it over after a random pause."""
        enrp = self._enrp
        if not enrp.handlespace.home_size(peer.identifier):
            enrp.note(Level.INFO, f"{peer} dead", f"{peer} is dead and had no elements: forgotten")
            enrp.forget(peer)
            return
        enrp.note(Level.WARNING, f"{peer} dead", f"{peer} is dead: a takeover begins")
        enrp.tables.interrupted(peer)
        peer.round, peer.won = 0, False
        pause = enrp.settings.max_time_no_response * enrp.randomness.random()
        peer.timer = enrp.arm(pause, partial(enrp.silent, peer))

    def go_on(self, peer: PeerRegistrar) -> None:
        """The pause or the round is over."""
        enrp = self._enrp
        if peer.round:
            peer.voters = {voter for voter in peer.voters if self._votes(voter)}
            if not peer.voters or peer.round >= ROUNDS:
                self._won(peer)
                return
        peer.round += 1
        peer.voters = {voter for voter in enrp.peers if voter != peer.identifier and self._votes(voter)}
        enrp.tell_all(
            InitTakeover(sender_identifier=enrp.identifier, receiver_identifier=0, target_identifier=peer.identifier)
        )
        if peer.voters:
            expiry = enrp.settings.takeover_expiry * (1 + enrp.randomness.random() * (peer.round - 1))
            peer.timer = enrp.arm(expiry, partial(enrp.silent, peer))
        else:
            self._won(peer)

    def _votes(self, identifier: int) -> bool:
        """Whether a peer is there to consent."""
        peer = self._enrp.peers.get(identifier)
        return peer is not None and peer.state is State.ALIVE and peer.link is not None

    def consented(self, link: EnrpLink, message: InitTakeoverAck) -> None:
        """INIT_TAKEOVER_ACK: one voter less."""
        assert link.peer is not None
        target = self._enrp.peers.get(message.target_identifier)
        if target is None or target.state is not State.TARGET or not target.round:
            self._enrp.counters.count(Count.UNEXPECTED_RESPONSES)
            return
        self.voter_gone(target, link.peer.identifier)

    def voter_gone(self, target: PeerRegistrar, voter: int) -> None:
        """A voter has consented or is gone; with none left the takeover is won."""
        if target.state is State.TARGET and voter in target.voters:
            target.voters.discard(voter)
            if not target.voters:
                self._won(target)

    def abandon(self, peer: PeerRegistrar) -> None:
        """The target lives. Elements that have changed their home already decide themselves."""
        self._enrp.note(Level.WARNING, f"{peer} back", f"{peer} is alive after all: its takeover is abandoned")
        peer.round = 0
        peer.voters = set()
        self._enrp.watch(peer)
        if peer.won:
            peer.won = False
            self._greet()

    def _won(self, target: PeerRegistrar) -> None:
        """The elements come home, slice by slice. Then TAKEOVER_SERVER goes to all, and keep-alives to the elements."""
        enrp = self._enrp
        count = enrp.handlespace.home_size(target.identifier)
        enrp.counters.count(Count.TAKEOVERS)
        enrp.note(Level.WARNING, f"{target} taken over", f"{target} is taken over with {count} elements")
        enrp.disarm(target.timer)
        target.timer = None
        target.won = True
        self._move(target)

    def _move(self, target: PeerRegistrar) -> None:
        enrp = self._enrp
        identifier = target.identifier
        enrp.handlespace.take_over(identifier, enrp.identifier, enrp.slices.taken_over)
        if enrp.handlespace.home_size(identifier):
            target.timer = enrp.arm(enrp.slices.pause, partial(self._move, target))
            return
        enrp.forget(target)
        enrp.tell_all(
            TakeoverServer(sender_identifier=enrp.identifier, receiver_identifier=0, target_identifier=identifier)
        )
        self._greet()

    def _greet(self) -> None:
        """Tell the elements that are ours now, so many at a time. Peers hear of each element when it has answered: one
        that has registered elsewhere meanwhile must not be claimed."""
        if self._greeting:
            self._more = True
        else:
            self._greeting = True
            self._greet_from(None)

    def _greet_from(self, position: tuple[int, int] | None) -> None:
        enrp = self._enrp
        found, position = collect_unreached(enrp.handlespace, position, enrp.slices.scanned)
        enrp.out += enrp.elements.adopt(found, enrp.now)
        if position is None and not self._more:
            self._greeting = False
            return
        self._more = self._more and position is not None
        enrp.arm(enrp.slices.pause, partial(self._greet_from, position))

    # The others

    def initiated(self, link: EnrpLink, message: InitTakeover) -> None:
        """INIT_TAKEOVER of a peer: we live, or we consent, or we compete."""
        enrp = self._enrp
        assert link.peer is not None
        if message.target_identifier == enrp.identifier:
            enrp.note(Level.WARNING, "declared dead", f"{link.peer} takes this registrar for dead")
            enrp.tell_all(enrp.presence(0))
            return
        target = enrp.peers.get(message.target_identifier)
        if target is None or target is link.peer:
            self._acknowledge(link, message.target_identifier)
            return
        target.claimant = link
        enrp.happen(target, Event.CLAIMED)

    def consent(self, target: PeerRegistrar) -> None:
        """Another registrar takes the target over: it is not watched meanwhile, but asked once, because it may live
        and be wronged."""
        enrp = self._enrp
        assert target.claimant is not None
        assert target.claimant.peer is not None
        target.claimed_by = target.claimant.peer.identifier
        self._acknowledge(target.claimant, target.identifier)
        if target.link is not None:
            enrp.send(target.link, enrp.presence(target.identifier, reply_required=True))
        for other in tuple(enrp.peers.values()):
            self.voter_gone(other, target.identifier)
        target.timer = enrp.arm(2 * enrp.settings.max_time_no_response, partial(enrp.silent, target))

    def arbitrate(self, target: PeerRegistrar) -> None:
        """Two take the same target over: the preferred one goes on, the other consents (RFC 5353 3.5.1)."""
        enrp = self._enrp
        assert target.claimant is not None
        assert target.claimant.peer is not None
        if target.won:
            target.timer = enrp.arm(enrp.slices.pause, partial(self._move, target))
            return
        rival = target.claimant.peer.identifier
        ours_preferred = (enrp.identifier < rival) == enrp.settings.profile.smaller_identifier_wins
        if target.round and ours_preferred:
            expiry = enrp.settings.takeover_expiry
            target.timer = enrp.arm(expiry, partial(enrp.silent, target))
            return
        target.round = 0
        target.voters = set()
        target.state = State.INACTIVE
        self.consent(target)

    def _acknowledge(self, link: EnrpLink, target: int) -> None:
        assert link.peer is not None
        self._enrp.send(
            link,
            InitTakeoverAck(
                sender_identifier=self._enrp.identifier,
                receiver_identifier=link.peer.identifier,
                target_identifier=target,
            ),
        )

    def taken_over(self, link: EnrpLink, message: TakeoverServer) -> None:
        """TAKEOVER_SERVER: believed of a target that we gave to this winner, or lost; never of one that lives."""
        enrp = self._enrp
        assert link.peer is not None
        winner, identifier = link.peer.identifier, message.target_identifier
        if identifier == enrp.identifier:
            enrp.note(Level.ERROR, "taken over", f"{link.peer} has taken over this registrar, which lives")
            enrp.tell_all(enrp.presence(0))
            return
        target = enrp.peers.get(identifier)
        if target is not None and not self._believable(target, winner):
            enrp.counters.count(Count.TAKEOVERS_DISBELIEVED)
            text = f"{link.peer} claims to have taken over {target}, who lives"
            enrp.note(Level.WARNING, f"{link.peer} takeover", text)
            return
        if identifier == winner:
            return
        if target is not None:
            enrp.forget(target)
            if target.won:
                self._greet()
        if identifier not in self._giving:
            self._giving[identifier] = winner
            self._give(identifier)

    def _give(self, identifier: int) -> None:
        """The elements of a lost target change their home, slice by slice; where it comes back, those that are left
        stay its."""
        enrp = self._enrp
        winner = self._giving[identifier]
        if identifier not in enrp.peers:
            enrp.handlespace.take_over(identifier, winner, enrp.slices.taken_over)
            if enrp.handlespace.home_size(identifier):
                enrp.arm(enrp.slices.pause, partial(self._give, identifier))
                return
        del self._giving[identifier]

    def gives_to(self, winner: int) -> bool:
        """Whether elements are still about to become this peer's."""
        return winner in self._giving.values()

    def _believable(self, target: PeerRegistrar, winner: int) -> bool:
        if target.state is State.ALIVE:
            return False
        return target.state is not State.INACTIVE or target.claimed_by == winner

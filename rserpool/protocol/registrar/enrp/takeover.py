"""Takes over the elements of dead registrars: arbitration, and the elements' new home (RFC 5353 3.5).

The table in peers.py shows the course. A dead peer that has elements becomes a target. After a random pause, so that
not all registrars begin at once, INIT_TAKEOVER asks all peers for consent. A peer that consents is no longer a voter.
The takeover is won when no voter is left. At the end of a round, voters that are silent themselves are dropped. If
other voters are left, another round begins; there are at most ROUNDS.
"""

from collections.abc import Mapping
from functools import partial

from rserpool._fast.lane.takeover import collect_unreached
from rserpool.messages import InitTakeover, InitTakeoverAck, TakeoverServer
from rserpool.protocol.actions import Level
from rserpool.protocol.registrar.counter_names import Count
from rserpool.protocol.registrar.elements import Elements
from rserpool.protocol.registrar.enrp.context import TO_ALL, EnrpContext
from rserpool.protocol.registrar.enrp.handle_tables import HandleTables
from rserpool.protocol.registrar.enrp.peering import Peering, React
from rserpool.protocol.registrar.enrp.peers import EnrpLink, Event, PeerRegistrar, Reaction, State
from rserpool.protocol.registrar.watching import TakeoverFinished, TakeoverStarted

ROUNDS = 3
"""Rounds of arbitration before the takeover is won against voters that neither consent nor compete."""


class Takeovers:
    """Both sides of takeovers."""

    def __init__(self, context: EnrpContext, peering: Peering, tables: HandleTables, elements: Elements) -> None:
        self._context = context
        self._peering = peering
        self._tables = tables
        self._elements = elements
        self._winners: dict[int, int] = {}
        """The winner of each lost target whose elements still change their home, slice by slice."""
        self._scanning = False
        self._scan_again = False

    @property
    def reactions(self) -> Mapping[Reaction, React]:
        """The reactions to the events of a peer's life that concern its takeover."""
        return {
            Reaction.BEGIN_TAKEOVER: self._begin,
            Reaction.CLAIM: self._claim,
            Reaction.CLAIM_AGAIN: self._claim_again,
            Reaction.INSIST: self._insist,
            Reaction.WIN: self._win,
            Reaction.MOVE_ELEMENTS: self._move_elements,
            Reaction.ANNOUNCE_TAKEOVER: self._announce,
            Reaction.ABANDON: self._abandon,
            Reaction.KEEP_MOVED: self._keep_moved,
            Reaction.CONSENT: self._consent,
            Reaction.LOSE: self._lose,
            Reaction.LOSE_REST: self._lose_rest,
            Reaction.DISBELIEVE: self._disbelieve,
            Reaction.FORGET: self._forget,
        }

    # Messages

    def on_init_takeover(self, link: EnrpLink, message: InitTakeover, now: int) -> None:
        """ENRP_INIT_TAKEOVER: a peer considers a registrar dead and wants to take it over."""
        context = self._context
        assert link.peer is not None
        if message.target_identifier == context.identifier:
            text = f"{link.peer} takes this registrar for dead: sending presences"
            context.note(Level.WARNING, "declared dead", text)
            context.send_all(context.presence(TO_ALL))
            return
        target = context.peers.get(message.target_identifier)
        if target is None or target is link.peer:
            self._acknowledge(link, message.target_identifier)
            return
        target.claim_link = link
        ours_preferred = (context.identifier < link.peer.identifier) == context.settings.profile.smaller_identifier_wins
        self._peering.feed(target, Event.CHALLENGED if ours_preferred else Event.CLAIMED, now)

    def on_init_takeover_ack(self, link: EnrpLink, message: InitTakeoverAck, now: int) -> None:
        """ENRP_INIT_TAKEOVER_ACK: a peer consents to our takeover."""
        assert link.peer is not None
        target = self._context.peers.get(message.target_identifier)
        if target is None or target.state not in (State.CLAIMING, State.WON):
            self._context.counters.count(Count.UNEXPECTED_RESPONSES)
            return
        self._drop_voter(target, link.peer.identifier, now)

    def on_takeover_server(self, link: EnrpLink, message: TakeoverServer, now: int) -> None:
        """ENRP_TAKEOVER_SERVER: a peer has taken over a registrar."""
        context = self._context
        assert link.peer is not None
        winner, identifier = link.peer.identifier, message.target_identifier
        if identifier == context.identifier:
            text = f"{link.peer} has taken over this registrar, which is alive"
            context.note(Level.ERROR, "taken over", text)
            context.send_all(context.presence(TO_ALL))
            return
        target = context.peers.get(identifier)
        if target is None:
            self._hand_over(identifier, winner, now)
            return
        target.winner_link = link
        usurped = target.consented_to not in (None, winner)
        self._peering.feed(target, Event.USURPED if usurped else Event.TAKEN_OVER, now)

    # Reactions: our takeover

    def _begin(self, target: PeerRegistrar, now: int) -> None:
        """A peer is dead. Wait for a random time, unless it has no elements."""
        context = self._context
        if not context.handlespace.home_size(target.identifier):
            context.note(Level.INFO, f"{target} dead", f"{target} is dead and had no elements: forgotten")
            self._peering.feed(target, Event.EMPTIED, now)
            return
        context.note(Level.WARNING, f"{target} dead", f"{target} is dead: a takeover begins")
        if context.watching.active:
            context.watching.publish(TakeoverStarted(target=target.identifier))
        self._tables.cancel_download(target)
        pause = context.settings.max_time_no_response * context.randomness.random()
        self._peering.set_timer(target, pause, now)

    def _claim(self, target: PeerRegistrar, now: int) -> None:
        """The random pause is over: open the first round of arbitration."""
        target.round = 0
        self._open_round(target, now)

    def _claim_again(self, target: PeerRegistrar, now: int) -> None:
        """A round is over: open another one if voters are left that count."""
        target.voters = {voter for voter in target.voters if self._votes(voter)}
        if target.voters and target.round < ROUNDS:
            self._open_round(target, now)
        else:
            self._peering.feed(target, Event.ELECTED, now)

    def _open_round(self, target: PeerRegistrar, now: int) -> None:
        context = self._context
        target.round += 1
        target.voters = {voter for voter in context.peers if voter != target.identifier and self._votes(voter)}
        context.send_all(
            InitTakeover(
                sender_identifier=context.identifier, receiver_identifier=TO_ALL, target_identifier=target.identifier
            )
        )
        if target.voters:
            expiry = context.settings.takeover_expiry * (1 + context.randomness.random() * (target.round - 1))
            self._peering.set_timer(target, expiry, now)
        else:
            self._peering.feed(target, Event.ELECTED, now)

    def _votes(self, identifier: int) -> bool:
        """True if a registrar can consent: it is alive and has an association."""
        peer = self._context.peers.get(identifier)
        return peer is not None and peer.state is State.ALIVE and peer.link is not None

    def _drop_voter(self, target: PeerRegistrar, voter: int, now: int) -> None:
        """A voter has consented or is gone. The takeover is won when no voter is left."""
        if target.state is State.CLAIMING and voter in target.voters:
            target.voters.discard(voter)
            if not target.voters:
                self._peering.feed(target, Event.ELECTED, now)

    def _drop_voter_everywhere(self, voter: int, now: int) -> None:
        for target in tuple(self._context.peers.values()):
            self._drop_voter(target, voter, now)

    def _insist(self, target: PeerRegistrar, now: int) -> None:
        """Two registrars take the same target over, and the other one has to give way (RFC 5353 3.5.1)."""
        self._peering.set_timer(target, self._context.settings.takeover_expiry, now)

    def _win(self, target: PeerRegistrar, now: int) -> None:
        """Record the takeover and begin to move the elements."""
        context = self._context
        count = context.handlespace.home_size(target.identifier)
        context.counters.count(Count.TAKEOVERS)
        context.note(Level.WARNING, f"{target} taken over", f"{target} is taken over with {count} elements")
        self._move_elements(target, now)

    def _move_elements(self, target: PeerRegistrar, now: int) -> None:
        """Move a slice of the elements to this registrar."""
        context = self._context
        context.handlespace.take_over(target.identifier, context.identifier, context.slices.taken_over)
        if context.handlespace.home_size(target.identifier):
            self._peering.set_timer(target, context.slices.pause, now)
        else:
            self._peering.feed(target, Event.EMPTIED, now)

    def _announce(self, target: PeerRegistrar, now: int) -> None:
        """All elements have moved: inform the peers and the elements."""
        context = self._context
        self._forget(target, now)
        context.send_all(
            TakeoverServer(
                sender_identifier=context.identifier, receiver_identifier=TO_ALL, target_identifier=target.identifier
            )
        )
        self._adopt_moved(now)
        self._report_finished(target.identifier, context.identifier)

    def _report_finished(self, target: int, winner: int) -> None:
        """Publish the end of a takeover to watches."""
        if self._context.watching.active:
            self._context.watching.publish(TakeoverFinished(target=target, winner=winner))

    def _abandon(self, target: PeerRegistrar, now: int) -> None:
        """The target is alive."""
        text = f"{target} is alive after all: its takeover is abandoned"
        self._context.note(Level.WARNING, f"{target} back", text)
        self._peering.watch(target, now)

    def _keep_moved(self, target: PeerRegistrar, now: int) -> None:
        """The target is alive, but some elements have moved: they choose their home."""
        self._abandon(target, now)
        self._adopt_moved(now)

    def _forget(self, target: PeerRegistrar, now: int) -> None:
        """Remove a peer from the list of peers. It does not vote any more."""
        self._tables.cancel_download(target)
        self._peering.remove(target)
        self._drop_voter_everywhere(target.identifier, now)

    def _adopt_moved(self, now: int) -> None:
        """Send keep-alives with H=1 to the elements that have moved here, slice by slice. Peers get an update on each
        element when it has answered: an element that has registered elsewhere in the meantime must not be claimed."""
        if self._scanning:
            self._scan_again = True
        else:
            self._scanning = True
            self._scan(None, now)

    def _scan(self, position: tuple[int, int] | None, now: int) -> None:
        """Search a slice of our own elements for those that have moved here. After the last slice begin again from the
        start if more elements have moved since the scan began."""
        context = self._context
        found, position = collect_unreached(context.handlespace, position, context.slices.scanned)
        context.actions += self._elements.adopt(found, now)
        if position is None and not self._scan_again:
            self._scanning = False
            return
        if position is None:
            self._scan_again = False
        context.arm(context.slices.pause, partial(self._scan, position), now)

    # Reactions: another registrar's takeover

    def _consent(self, target: PeerRegistrar, now: int) -> None:
        """Another registrar takes the target over. The target is not watched for a while, but asked once for a
        presence, in case it is alive."""
        context = self._context
        assert target.claim_link is not None
        assert target.claim_link.peer is not None
        target.consented_to = target.claim_link.peer.identifier
        self._acknowledge(target.claim_link, target.identifier)
        if target.link is not None:
            context.send(target.link, context.presence(target.identifier, reply_required=True))
        self._drop_voter_everywhere(target.identifier, now)
        self._peering.set_timer(target, 2 * context.settings.max_time_no_response, now)

    def _acknowledge(self, link: EnrpLink, target: int) -> None:
        assert link.peer is not None
        ack = InitTakeoverAck(
            sender_identifier=self._context.identifier,
            receiver_identifier=link.peer.identifier,
            target_identifier=target,
        )
        self._context.send(link, ack)

    def _lose(self, target: PeerRegistrar, now: int) -> None:
        """Another registrar has taken the target over."""
        winner = self._winner(target)
        self._forget(target, now)
        self._hand_over(target.identifier, winner.identifier, now)

    def _lose_rest(self, target: PeerRegistrar, now: int) -> None:
        """Another registrar has taken the target over, but some elements have moved here: they choose their home."""
        winner = self._winner(target)
        self._forget(target, now)
        self._adopt_moved(now)
        self._hand_over(target.identifier, winner.identifier, now)

    def _disbelieve(self, target: PeerRegistrar, now: int) -> None:
        """The target is alive, or another registrar has our consent."""
        context = self._context
        winner = self._winner(target)
        context.counters.count(Count.TAKEOVERS_DISBELIEVED)
        reason = "which is alive" if target.state is State.ALIVE else "to which another registrar had our consent"
        text = f"{winner} announces the takeover of {target}, {reason}: ignored"
        context.note(Level.WARNING, f"{winner} takeover", text)

    def _winner(self, target: PeerRegistrar) -> PeerRegistrar:
        assert target.winner_link is not None
        assert target.winner_link.peer is not None
        return target.winner_link.peer

    def _hand_over(self, identifier: int, winner: int, now: int) -> None:
        """Begin to move a lost target's elements to the winner."""
        if identifier not in self._winners:
            self._winners[identifier] = winner
            self._hand_over_slice(identifier, now)

    def _hand_over_slice(self, identifier: int, now: int) -> None:
        """Move a slice of a lost target's elements to the winner. If the target has come back, it keeps the rest."""
        context = self._context
        if identifier not in context.peers:
            has_elements = context.handlespace.home_size(identifier) > 0
            context.handlespace.take_over(identifier, self._winners[identifier], context.slices.taken_over)
            if context.handlespace.home_size(identifier):
                context.arm(context.slices.pause, partial(self._hand_over_slice, identifier), now)
                return
            if has_elements:
                self._report_finished(identifier, self._winners[identifier])
        del self._winners[identifier]

    def hands_over_to(self, winner: int) -> bool:
        """True while elements move to this peer."""
        return winner in self._winners.values()

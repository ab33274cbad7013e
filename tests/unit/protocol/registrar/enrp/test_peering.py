"""The life of a peer registrar: every (state, event) pair follows the table when messages and time cause it."""

from collections.abc import Callable
from functools import partial

import pytest

from rserpool.errors import LocalProtocolError
from rserpool.messages import InitTakeover, InitTakeoverAck, TakeoverServer
from rserpool.protocol.registrar.actions import Protocol
from rserpool.protocol.registrar.enrp.peers import PEER, Event, PeerRegistrar, Reaction, State
from rserpool.protocol.registrar.slices import Slices
from tests.support.scope import HIGH, LOW, Scope, host, presence

TARGET = 0x44444444
"""The peer whose life the tests lead. HIGH wins an arbitration against the registrar under test, LOW loses it."""
WHERE = {LOW: 2, HIGH: 3, TARGET: 4}
INTERNAL = {(State.TARGET, Event.EMPTIED), (State.FORGOTTEN, Event.TIME_OUT), (State.FORGOTTEN, Event.UNREACHABLE)}
"""Pairs that the outside cannot cause alone: they follow from other events, or come with them."""


class Life:
    """A registrar with two peers that stay alive, and a third one that has three elements."""

    def __init__(self) -> None:
        self.scope = Scope(keep_alive_timeout=1000.0, slices=Slices(pause=1.0, taken_over=1))
        self.links = {identifier: self.scope.join(identifier, where) for identifier, where in WHERE.items()}
        self.peer = self.scope.registrar.enrp.peers[TARGET]
        for identifier in (1, 2, 3):
            self.scope.add(self.links[TARGET], TARGET, identifier)
        self.reactions: list[Reaction] = []
        reactions = self.scope.registrar.enrp.peering.reactions
        for reaction, react in reactions.items():
            reactions[reaction] = partial(self._record, reaction, react)

    def _record(
        self, reaction: Reaction, react: Callable[[PeerRegistrar, int], None], peer: PeerRegistrar, now: int
    ) -> None:
        if peer is self.peer:
            self.reactions.append(reaction)
        react(peer, now)

    # Events

    def cause(self, event: Event) -> None:
        match event:
            case Event.HEARD:
                self.scope.send(self.scope.associate(WHERE[TARGET]), presence(TARGET, WHERE[TARGET]))
            case Event.TIME_OUT:
                self.expire()
            case Event.UNREACHABLE if self.peer.link is not None:
                self.scope.take(self.scope.registrar.lost(self.peer.link.number, self.scope.now))
            case Event.UNREACHABLE:
                place = (host(WHERE[TARGET]),), 9901
                self.scope.take(self.scope.registrar.unreachable(Protocol.ENRP, *place, self.scope.now))
            case Event.CLAIMED:
                self.say(HIGH, InitTakeover)
            case Event.CHALLENGED:
                self.say(LOW, InitTakeover)
            case Event.ELECTED:
                self.say(LOW, InitTakeoverAck)
                self.say(HIGH, InitTakeoverAck)
            case Event.EMPTIED:
                self.expire()
                self.reactions.clear()
                self.expire()
                assert self.reactions.pop(0) is Reaction.MOVE_ELEMENTS
            case Event.TAKEN_OVER:
                self.say(HIGH, TakeoverServer)
            case Event.USURPED:
                self.say(LOW, TakeoverServer)

    def say(self, sender: int, kind: type[InitTakeover | InitTakeoverAck | TakeoverServer]) -> None:
        message = kind(sender_identifier=sender, receiver_identifier=0, target_identifier=TARGET)
        self.scope.send(self.links[sender], message)

    def expire(self) -> None:
        """Let time pass until the peer's timer has expired, while the others send presences."""
        timer = self.peer.timer
        assert timer is not None
        while timer.armed:
            self.scope.wait(min(0.5, (timer.deadline - self.scope.now) / 1_000_000))
            for identifier in (LOW, HIGH):
                self.scope.send(self.links[identifier], presence(identifier, WHERE[identifier]))


def life_in(state: State, *, after_consent: bool = False) -> Life:
    """A life that has come to a state; with ``after_consent`` HIGH had our consent to a takeover before."""
    life = Life()
    if state is State.CONCEDED or after_consent:
        life.cause(Event.CLAIMED)
    if state in (State.SUSPECT, State.TARGET, State.CLAIMING, State.WON):
        life.cause(Event.TIME_OUT if after_consent else Event.UNREACHABLE)
    if state in (State.TARGET, State.CLAIMING, State.WON):
        life.cause(Event.TIME_OUT)
    if state in (State.CLAIMING, State.WON):
        life.cause(Event.TIME_OUT)
    if state is State.WON:
        life.cause(Event.ELECTED)
    assert life.peer.state is state
    life.reactions.clear()
    return life


@pytest.mark.parametrize(("state", "event"), sorted(PEER.keys() - INTERNAL, key=str))
def test_an_event_leads_to_the_reaction_and_state_of_its_row(state: State, event: Event) -> None:
    life = life_in(state, after_consent=event is Event.USURPED)
    life.cause(event)
    assert life.reactions[:1] == [PEER[state, event].reaction]
    assert life.peer.state is PEER[state, event].next


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_a_pair_that_is_missing_is_an_error(state: State, event: Event) -> None:
    life = Life()
    life.peer.state = state
    if (state, event) not in PEER:
        with pytest.raises(LocalProtocolError):
            life.scope.registrar.enrp.peering.feed(life.peer, event, 0)
        assert (life.reactions, life.peer.state) == ([], state)


@pytest.mark.parametrize("event", [Event.TIME_OUT, Event.UNREACHABLE])
def test_a_forgotten_peer_stays_forgotten(event: Event) -> None:
    life = Life()
    life.cause(Event.UNREACHABLE)
    life.cause(Event.TAKEN_OVER)
    assert life.peer.state is State.FORGOTTEN
    life.scope.registrar.enrp.peering.feed(life.peer, event, life.scope.now)
    assert life.peer.state is State.FORGOTTEN
    assert life.reactions[-1] is Reaction.IGNORE


@pytest.mark.conformance("ENRP-3.5.2-02")
def test_a_dead_peer_without_elements_is_forgotten_at_once() -> None:
    life = life_in(State.SUSPECT)
    life.scope.registrar.handlespace.take_over(TARGET, LOW, 3)
    life.cause(Event.TIME_OUT)
    assert life.reactions == [Reaction.BEGIN_TAKEOVER, Reaction.FORGET]
    assert life.peer.state is State.FORGOTTEN
    assert TARGET not in life.scope.registrar.enrp.peers


def test_every_reaction_is_in_the_table_and_has_a_method() -> None:
    assert {row.reaction for row in PEER.values()} == set(Reaction)
    assert Scope().registrar.enrp.peering.reactions.keys() == set(Reaction)


def test_a_late_consent_does_not_win_a_takeover_twice() -> None:
    life = life_in(State.CLAIMING)
    for _ in range(3):
        life.expire()
    assert life.peer.state is State.WON
    life.cause(Event.ELECTED)
    assert life.scope.counters["takeovers"] == 1
    assert life.scope.counters["unasked responses"] == 0

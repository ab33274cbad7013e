"""The start of a registrar: every (phase, event) pair follows the table when messages and time cause it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from rserpool.errors import LocalProtocolError
from rserpool.messages import HandleTableRequest, ListRequest, ListResponse, ServerInformation
from rserpool.protocol.registrar.enrp.mentor import REFUSALS, START, Event, Phase, Reaction
from tests.support.scope import HIGH, LOW, OWN, Scope, element, host, kinds, table

RESPONSES = 3
"""Most parts of a mentor's table in these tests."""


def listed(sender: int, *, reject: bool = False) -> ListResponse:
    return ListResponse(sender_identifier=sender, receiver_identifier=OWN, reject=reject)


class Start:
    """A registrar that starts. Its first mentor is LOW; HIGH is a candidate if ``candidates``."""

    def __init__(self, *, candidates: bool = True) -> None:
        self.scope = Scope(static_peers=2, table_responses=RESPONSES)
        self.startup = self.scope.registrar.enrp.startup
        self.candidates = candidates
        self.reactions: list[Reaction] = []
        for reaction, react in self.startup.reactions.items():
            self.startup.reactions[reaction] = partial(self._record, reaction, react)

    def _record(self, reaction: Reaction, react: Callable[[int], None], now: int) -> None:
        self.reactions.append(reaction)
        react(now)

    def cause(self, event: Event) -> None:
        match event:
            case Event.MET:
                self.mentor = self.scope.associate(2)
                if self.candidates:
                    self.scope.associate(3)
            case Event.LISTED:
                self.scope.send(self.mentor, listed(LOW))
            case Event.PART_LOADED:
                self.scope.send(self.mentor, table(LOW, element(1, LOW), more=True))
            case Event.LOADED:
                self.scope.send(self.mentor, table(LOW, element(1, LOW)))
            case Event.REFUSED if self.startup.phase in (Phase.LIST, Phase.PAUSE):
                self.scope.send(self.mentor, listed(LOW, reject=True))
            case Event.REFUSED:
                self.scope.send(self.mentor, table(LOW, reject=True))
            case Event.UNSUITABLE if self.startup.phase is Phase.LIST:
                for _ in range(REFUSALS - 1):
                    self.cause(Event.REFUSED)
                    self.cause(Event.TIME_OUT)
                self.reactions.clear()
                self.cause(Event.REFUSED)
            case Event.UNSUITABLE if self.startup.phase is Phase.PAUSE:
                for _ in range(REFUSALS - 2):
                    self.cause(Event.REFUSED)
                self.reactions.clear()
                self.cause(Event.REFUSED)
            case Event.UNSUITABLE:
                for _ in range(RESPONSES - 1):
                    self.cause(Event.PART_LOADED)
                self.reactions.clear()
                self.cause(Event.PART_LOADED)
            case Event.LOST | Event.EXHAUSTED:
                self.scope.take(self.scope.registrar.lost(self.mentor, self.scope.now))
                if event is Event.EXHAUSTED:
                    del self.reactions[:1]
            case Event.TIME_OUT:
                timer = self.startup._timer
                assert timer is not None
                self.scope.wait((timer.deadline - self.scope.now) / 1_000_000)


def start_in(phase: Phase, *, candidates: bool) -> Start:
    """A start that has come to a phase."""
    start = Start(candidates=candidates)
    ways = {
        Phase.WAITING: (),
        Phase.LIST: (Event.MET,),
        Phase.PAUSE: (Event.MET, Event.REFUSED),
        Phase.TABLE: (Event.MET, Event.LISTED),
        Phase.OVER: (Event.MET, Event.LISTED, Event.LOADED),
    }
    for event in ways[phase]:
        start.cause(event)
    assert start.startup.phase is phase
    start.reactions.clear()
    return start


CAUSED = START.keys() - {(Phase.WAITING, Event.ALONE), (Phase.OVER, Event.TIME_OUT)}
"""The pairs that the outside can cause after the registrar has begun to wait."""


@pytest.mark.parametrize(("phase", "event"), sorted(CAUSED, key=str))
def test_an_event_leads_to_the_reaction_and_phase_of_its_row(phase: Phase, event: Event) -> None:
    start = start_in(phase, candidates=event is not Event.EXHAUSTED)
    start.cause(event)
    assert start.reactions[:1] == [START[phase, event].reaction]
    assert start.startup.phase is START[phase, event].next


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_a_pair_that_is_missing_is_an_error(phase: Phase, event: Event) -> None:
    start = Start()
    start.startup.phase = phase
    if (phase, event) not in START:
        with pytest.raises(LocalProtocolError):
            start.startup._feed(event, 0)
        assert start.startup.phase is phase


@pytest.mark.conformance("ENRP-3.2.2.1-03")
def test_a_registrar_without_peers_serves_at_once() -> None:
    assert Scope().registrar.enrp.startup.over


@pytest.mark.conformance(
    "ENRP-3.2.2.1-01", "ENRP-3.2.2.2-01", "ENRP-3.2.2.2-04", "ENRP-3.2.3-01", "ENRP-3.2.3-04", "ENRP-3.2.3-05",
    "ENRP-3.2.3-06", "ENRP-3.2.3-07", "ENRP-3.2.3-09", "ENRP-2.6-01", "ENRP-2.3-01", "ENRP-3.2.2.2-05", "ENRP-3.2.3-10",
)  # fmt: skip
def test_a_mentor_sends_its_list_and_its_table() -> None:
    scope = Scope(static_peers=1)
    assert [(call.addresses, call.port) for call in scope.calls] == [((host(2),), 9901)]
    low = scope.associate(2)
    assert kinds(scope.sent[low]) == ["Presence", "ListRequest"]
    stranger = scope.join(5, 7)
    for request in (ListRequest, HandleTableRequest):
        answer = scope.send(stranger, request(sender_identifier=5, receiver_identifier=OWN))
        assert answer[-1].reject, "a registrar that starts refuses"  # type: ignore[attr-defined]
    servers = tuple(
        ServerInformation(server_identifier=one, transport=replace(element(1, 1, where).asap_transport, port=9901))  # type: ignore[type-var]
        for one, where in ((0, 4), (OWN, 1), (HIGH, 3))
    )
    answer = scope.send(low, ListResponse(sender_identifier=LOW, receiver_identifier=OWN, servers=servers))
    assert kinds(answer) == ["HandleTableRequest"]
    assert [call.addresses for call in scope.calls[1:]] == [(host(3),)], "no call to identifier 0 or to itself"
    answer = scope.send(low, table(LOW, element(1, LOW), more=True))
    assert kinds(answer) == ["HandleTableRequest"]
    scope.send(low, table(LOW, element(2, HIGH), element(3, OWN)))
    assert scope.registrar.enrp.startup.over
    assert scope.homes() == {1: LOW, 2: HIGH}


@pytest.mark.conformance("ENRP-3.2.2.1-02", "ENRP-3.2.2.2-02", "ENRP-3.2.2.2-06", "ENRP-3.2.3-11", "ENRP-3.2.3-12")
def test_the_next_mentor_is_asked_if_one_is_silent_or_refuses() -> None:
    scope = Scope(static_peers=3)
    silent, unwilling, willing = (scope.associate(where) for where in (2, 3, 4))
    scope.wait(5)
    assert "ListRequest" in kinds(scope.sent[unwilling])
    for _ in range(REFUSALS):
        scope.send(unwilling, listed(HIGH, reject=True))
        scope.wait(4.9)
    assert "ListRequest" in kinds(scope.sent[willing])
    scope.send(willing, listed(5))
    scope.send(willing, table(5))
    assert scope.registrar.enrp.startup.over
    assert kinds(scope.sent[silent])[:2] == ["Presence", "ListRequest"]


def test_a_registrar_serves_alone_if_no_mentor_is_met_and_goes_on_connecting() -> None:
    scope = Scope(static_peers=1)
    assert not scope.registrar.enrp.startup.over
    scope.wait(5)
    assert scope.registrar.enrp.startup.over
    scope.wait(60)
    assert len(scope.calls) > 1

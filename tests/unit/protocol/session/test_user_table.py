"""Every (state, event) pair of a pool user's session, and the events that a reaction goes on with."""

from collections.abc import Callable
from itertools import product

import pytest

from rserpool.errors import LocalProtocolError
from rserpool.model.association_ends import Down
from rserpool.protocol.session.user_session import Open, UserSessionEnded
from rserpool.protocol.session.user_table import TABLE, UserSessionEvent, UserSessionReaction, UserSessionState
from rserpool.settings.session import Failover
from tests.support.machines import Machine, card, element

S, E = UserSessionState, UserSessionEvent
WITHOUT_TIMER = (S.NEW, S.OPEN, S.ENDED)


@pytest.mark.parametrize(("state", "event"), [*product(UserSessionState, UserSessionEvent)])
def test_every_event_in_every_state(state: UserSessionState, event: UserSessionEvent) -> None:
    machine = Machine(silence=1.0).reach(state)
    session = machine.session
    session._next = element(2)
    session.element = session.element or element(1)
    before = session.deadline
    if (state, event) not in TABLE:
        with pytest.raises(LocalProtocolError, match=f"{event.name} is impossible in state {state.name}"):
            session._feed(event, machine.now)
        assert session.state is state
        return
    row = TABLE[state, event]
    actions = session._feed(event, machine.now)
    assert session.state is row.next
    if row.reaction is UserSessionReaction.IGNORE:
        assert actions == []
        assert session.deadline == before
    else:
        assert (session.deadline is None) == (row.next in WITHOUT_TIMER)
    assert any(isinstance(action, UserSessionEnded) for action in actions) == (S.ENDED is row.next is not state)


def test_every_reaction_is_used_and_has_a_method() -> None:
    ignore = UserSessionReaction.IGNORE
    assert set(Machine().session._reactions) == set(UserSessionReaction) - {ignore}
    assert {row.reaction for row in TABLE.values()} == set(UserSessionReaction)


def named(machine: Machine) -> None:
    machine.control(card(1, 3).encode())


def forbidden(machine: Machine) -> None:
    machine.session.settings = type(machine.session.settings)(failover=Failover.ERROR)


def impatient(machine: Machine) -> None:
    machine.session._patience = machine.now
    machine.session._heard = False


@pytest.mark.parametrize(("condition", "after"), [(named, S.CONNECTING), (forbidden, S.ENDED), (impatient, S.ENDED)])
@pytest.mark.parametrize("event", [E.FAILED, E.EXPIRED, E.NONSENSE, E.RESTARTED])
def test_failover_goes_on_by_card_settings_and_patience(
    condition: Callable[[Machine], None], after: UserSessionState, event: UserSessionEvent
) -> None:
    machine = Machine().reach(S.OPEN)
    condition(machine)
    machine.session._feed(event, machine.now)
    assert machine.session.state is after


@pytest.mark.parametrize("state", [S.OPEN, S.CONFIRMING, S.DOUBTING, S.CONFIRMING_AGAIN])
def test_a_forced_failover_is_never_forbidden(state: UserSessionState) -> None:
    machine = Machine().reach(state)
    forbidden(machine)
    machine.session.force(machine.now)
    assert machine.session.state is S.SELECTING


def test_another_element_is_tried_by_card_or_until_patience_is_over() -> None:
    machine = Machine().reach(S.OPEN)
    machine.control(card(1, 3, 4).encode())
    machine.lose(Down.LOST)
    assert machine.session.element == element(3)
    (opened,) = [action for action in machine.lose(Down.LOST) if isinstance(action, Open)]
    assert opened.element == element(4)
    impatient(machine)
    machine.lose(Down.LOST)
    assert machine.session.state is S.ENDED


@pytest.mark.parametrize(
    ("reopen", "failover", "after"),
    [
        (None, Failover.EVENT, S.CONFIRMING),
        (False, Failover.EVENT, S.ENDED),
        (True, Failover.EVENT, S.SELECTING),
        (True, Failover.ERROR, S.ENDED),
    ],
)
def test_the_settings_decide_what_an_orderly_end_means(
    reopen: bool | None, failover: Failover, after: UserSessionState
) -> None:
    machine = Machine(reopen=reopen, failover=failover).reach(S.OPEN)
    machine.lose(Down.SHUTDOWN)
    assert machine.session.state is after


@pytest.mark.parametrize("state", [S.SELECTING, S.WAITING])
def test_a_search_ends_when_patience_is_over(state: UserSessionState) -> None:
    machine = Machine(patience=1.0, backoff=5.0, backoff_max=5.0).reach(state)
    machine.later(1.0)
    assert machine.session.state is S.ENDED


def test_a_pause_that_would_begin_after_patience_is_over_ends_the_session() -> None:
    machine = Machine().reach(S.SELECTING)
    impatient(machine)
    machine.session.nothing_selected(machine.now)
    assert machine.session.state is S.ENDED


@pytest.mark.parametrize("state", [S.CONNECTING, S.OPEN, S.CLOSING])
def test_events_of_former_channels_are_dropped(state: UserSessionState) -> None:
    machine = Machine().reach(state)
    session = machine.session
    former = session.channel - 1
    assert session.up(former, 1) == []
    assert session.down(former, Down.LOST, 1) == []
    assert session.restarted(former, 1) == []
    assert session.control(former, b"garbage!", 1) == []
    assert session.state is state
    assert not session.counters


@pytest.mark.parametrize("state", [S.NEW, S.SELECTING, S.WAITING, S.CONFIRMING, S.DOUBTING, S.ENDED])
def test_channel_events_are_dropped_in_states_without_a_channel(state: UserSessionState) -> None:
    session = Machine().reach(state).session
    assert session.up(session.channel, 1) == session.down(session.channel, Down.LOST, 1) == []
    assert session.state is state

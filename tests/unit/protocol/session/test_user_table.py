"""Every (state, event) pair of a session's tables: what is absent is an error, the rest goes where the table says."""

import itertools

import pytest

from rserpool.errors import LocalProtocolError
from rserpool.model.association_ends import Down
from rserpool.protocol.session import element_session
from rserpool.protocol.session.element_session import ElementSession, ElementSessionEvent, ElementSessionState
from rserpool.protocol.session.user_table import LET_BE, TABLE
from rserpool.protocol.session.user_table import UserSessionEvent as Event
from rserpool.protocol.session.user_table import UserSessionState as State
from rserpool.settings.session import ServiceSettings
from tests.support.machines import SECOND, Machine, element


@pytest.mark.parametrize(("state", "event"), [*itertools.product(State, Event)])
def test_every_pair_of_a_user_session(state: State, event: Event) -> None:
    machine = Machine(silence=1.0).reach(state)
    session = machine.session
    details = (element(2),) if event is Event.SELECTED else ()
    if (state, event) not in TABLE:
        with pytest.raises(LocalProtocolError, match=f"{state.name} cannot be {event.name}"):
            session._input(event, machine.now, *details)
        assert session.state is state
        return
    action, after = TABLE[state, event]
    actions = session._input(event, machine.now, *details)
    if action == "doubt_on":
        after = State.ENDED  # nobody has answered
    assert session.state is after
    if action == LET_BE:
        assert actions == []
    assert (session.deadline is None) == (after in (State.NEW, State.OPEN, State.ENDED)) or action == LET_BE


@pytest.mark.parametrize("state", [State.CONNECTING, State.OPEN, State.CLOSING])
def test_what_happens_to_a_former_channel_is_of_no_interest(state: State) -> None:
    machine = Machine().reach(state)
    session = machine.session
    former = session.channel - 1
    assert session.up(former, 1) == []
    assert session.down(former, Down.LOST, 1) == []
    assert session.restarted(former, 1) == []
    assert session.control(former, b"garbage!", 1) == []
    assert session.state is state
    assert not session.counters


@pytest.mark.parametrize("state", [State.NEW, State.SELECTING, State.WAITING, State.ENDED])
def test_without_a_channel_nothing_can_happen_to_it(state: State) -> None:
    session = Machine().reach(state).session
    assert session.up(session.channel, 1) == session.down(session.channel, Down.LOST, 1) == []
    assert session.state is state


def test_each_action_of_the_table_exists() -> None:
    for action, _ in TABLE.values():
        assert action == LET_BE or callable(getattr(Machine().session, "_" + action))


@pytest.mark.parametrize(("state", "event"), [*itertools.product(ElementSessionState, ElementSessionEvent)])
def test_every_pair_of_an_element_session(state: ElementSessionState, event: ElementSessionEvent) -> None:
    session = ElementSession(1, ServiceSettings(), control=True)
    if state is ElementSessionState.CLOSING:
        session.close(0)
    elif state is ElementSessionState.ENDED:
        session.down(Down.LOST, 0)
    assert session.state is state
    happen = {
        ElementSessionEvent.DOWN: lambda: session.down(Down.SHUTDOWN, 1),
        ElementSessionEvent.RESTARTED: lambda: session.restarted(1),
        ElementSessionEvent.LEFT: lambda: session.leave(1),
        ElementSessionEvent.CLOSED: lambda: session.close(1),
        ElementSessionEvent.EXPIRED: lambda: session._input(event, 1),
    }[event]
    session._failed = False
    if (state, event) not in element_session.TABLE:
        with pytest.raises(LocalProtocolError):
            happen()
        return
    happen()
    assert session.state is element_session.TABLE[state, event][1]


def test_an_orderly_end_that_takes_too_long_is_an_abort() -> None:
    session = ElementSession(1, ServiceSettings(close_timeout=2), control=True)
    session.close(0)
    assert session.deadline == 2 * SECOND
    assert session.advance(2 * SECOND - 1) == []
    assert session.advance(2 * SECOND) == [element_session.Abort(1), element_session.ElementSessionEnded(True)]
    assert session.state is ElementSessionState.ENDED

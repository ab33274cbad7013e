"""A session at its pool element, and the outbox of both sides."""

from itertools import product

import pytest

from rserpool.errors import LocalProtocolError
from rserpool.messages import AsapError, Cookie, CookieEcho, ErrorCause, decode
from rserpool.model.association_ends import Down
from rserpool.model.numbers import ASAP_PPID
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.session.element_session import (
    TABLE,
    CardReceived,
    CookieEchoed,
    ElementSession,
    ElementSessionEnded,
    ElementSessionEvent,
    ElementSessionReaction,
    ElementSessionState,
)
from rserpool.protocol.session.outbox import Outbox
from rserpool.settings.session import ENTRY_COST, MAX_COOKIE, MAX_MALFORMED, ServiceSettings
from tests.support.machines import card


def session(*, control: bool = True, **options: object) -> ElementSession:
    return ElementSession(1, ServiceSettings(**options), control=control)  # type: ignore[arg-type]


def drained(made: ElementSession) -> list[tuple[bytes, int]]:
    taken = []
    while (entry := made.outgoing()) is not None:
        taken.append((entry.data, entry.ppid))
        made.sent(0)
    return taken


def test_second_echo_is_ignored_while_one_is_pending() -> None:
    made = session()
    assert made.control(CookieEcho(cookie=b"a").encode(), 0) == [CookieEchoed(b"a")]
    assert made.control(CookieEcho(cookie=b"b").encode(), 0) == []
    assert made.counters["surplus echoes"] == 1
    made.echo_taken()
    assert made.control(CookieEcho(cookie=b"c").encode(), 0) == [CookieEchoed(b"c")]


@pytest.mark.conformance("ASAP-3.8-01", "ASAP-3.9-03")
def test_without_a_control_channel_cookies_and_cards_are_not_sent() -> None:
    made = session(control=False)
    with pytest.raises(LocalProtocolError, match="no control channel"):
        made.send_cookie(b"state")
    made.send_card(card(1))
    assert drained(made) == []


def test_cookie_size_is_limited() -> None:
    made = session()
    for wrong in (b"", bytes(MAX_COOKIE + 1), bytes(100_000)):
        with pytest.raises(LocalProtocolError, match="1 to 65527 octets"):
            made.send_cookie(wrong)
    largest = bytes(255 - number % 256 for number in range(MAX_COOKIE))
    made.send_cookie(largest)
    ((data, ppid),) = drained(made)
    assert ppid == ASAP_PPID
    assert decode(data, "asap") == Cookie(cookie=largest)


def test_new_cookie_replaces_the_waiting_one_in_its_place() -> None:
    made = session()
    made.send(b"before", 0)
    for number in range(1000):
        made.send_cookie(b"%d" % number)
        if number < 2:
            made.send(b"after", 0)
    assert drained(made) == [
        (b"before", 0),
        (Cookie(cookie=b"999").encode(), ASAP_PPID),
        (b"after", 0),
        (b"after", 0),
    ]
    made.send_cookie(b"next")
    assert drained(made) == [(Cookie(cookie=b"next").encode(), ASAP_PPID)]


def test_card_and_cookie_do_not_replace_each_other() -> None:
    made = session()
    made.send_card(card(1))
    made.send_cookie(b"x")
    made.send_card(card(2))
    assert drained(made) == [(card(2).encode(), ASAP_PPID), (Cookie(cookie=b"x").encode(), ASAP_PPID)]


def test_card_of_the_user_is_passed_on() -> None:
    assert session().control(card(1).encode(), 0) == [CardReceived(card(1))]


def test_user_that_sends_nonsense_is_aborted() -> None:
    made = session()
    for number in range(MAX_MALFORMED):
        assert made.control(bytes(number), 0) == []
    assert made.control(Cookie(cookie=b"no user sends this").encode(), 0) == [Abort(1), ElementSessionEnded(True)]
    assert made.control(b"", 0) == []
    assert made.counters == {"malformed": MAX_MALFORMED, "unexpected": 1}


def test_asap_error_of_the_user_is_not_answered() -> None:
    made = session()
    for _ in range(100):
        assert made.control(AsapError(operation_error=(ErrorCause(code=2),)).encode(), 0) == []
    assert drained(made) == []


def test_each_end_is_reported_as_in_order_or_failed() -> None:
    assert session().down(Down.SHUTDOWN, 0) == [ElementSessionEnded(False)]
    assert session().down(Down.LOST, 0) == [ElementSessionEnded(True)]
    assert session().restarted(0) == [ElementSessionEnded(True)]
    assert session().leave(0) == [Abort(1), ElementSessionEnded(True)]
    made = session()
    assert made.close(0) == [Shutdown(1)]
    for sending in (lambda: made.send(b"x", 0), lambda: made.send_cookie(b"x")):
        with pytest.raises(LocalProtocolError, match="closed"):
            sending()
    made = session()
    made.send(b"x", 0)
    assert made.close(0) == []
    assert made.outgoing() is not None
    assert made.sent(0) == [Shutdown(1)]


@pytest.mark.conformance("ASAP-5-04")
def test_element_data_cannot_use_the_ppid_of_the_control_channel() -> None:
    with pytest.raises(LocalProtocolError, match="PPID 11"):
        session().send(b"x", 11)


@pytest.mark.parametrize("name", ["max_sessions", "idle_timeout"])
def test_settings_must_be_positive(name: str) -> None:
    with pytest.raises(LocalProtocolError, match=name):
        session(**{name: 0})


def test_room_ignores_control_messages() -> None:
    box = Outbox(1000)
    box.put_control(b"\x0b" + bytes(5000))
    assert box.room(100_000)
    box.put(bytes(100), 0)
    assert box.room(1000 - 100 - 2 * ENTRY_COST)
    assert not box.room(1000 - 100 - 2 * ENTRY_COST + 1)
    box.pop()
    box.pop()
    assert box.room(100_000)
    assert not box
    assert box.first() is None


def test_restart_keeps_only_the_data() -> None:
    box = Outbox(1000)
    box.put(b"a", 1)
    box.put_control(b"\x0bold")
    box.put(b"b", 2)
    box.restart(b"\x0cecho", b"\x0dcard")
    box.put_control(b"\x0dnew card")
    assert [one.data for one in box.unsent()] == [b"a", b"b"]
    assert [box.pop().data for _ in range(len(box))] == [b"\x0cecho", b"\x0dnew card", b"a", b"b"]
    box.put(b"x", 0)
    box.clear()
    assert not box


# The table


def in_state(state: ElementSessionState) -> ElementSession:
    made = session()
    if state is ElementSessionState.CLOSING:
        made.close(0)
    elif state is ElementSessionState.ENDED:
        made.down(Down.LOST, 0)
    assert made.state is state
    return made


@pytest.mark.parametrize(("state", "event"), [*product(ElementSessionState, ElementSessionEvent)])
def test_every_event_in_every_state(state: ElementSessionState, event: ElementSessionEvent) -> None:
    made = in_state(state)
    before = made.deadline
    if (state, event) not in TABLE:
        with pytest.raises(LocalProtocolError, match=f"{event.name} is impossible in state {state.name}"):
            made._feed(event, 1)
        assert made.state is state
        return
    row = TABLE[state, event]
    actions = made._feed(event, 1)
    assert made.state is row.next
    if row.reaction is ElementSessionReaction.IGNORE:
        assert actions == []
        assert made.deadline == before
    else:
        assert (made.deadline is None) == (row.next is ElementSessionState.ENDED)


def test_every_reaction_is_used_and_has_a_method() -> None:
    assert set(session()._reactions) == set(ElementSessionReaction) - {ElementSessionReaction.IGNORE}
    assert {row.reaction for row in TABLE.values()} == set(ElementSessionReaction)


def test_an_orderly_end_that_takes_too_long_is_an_abort() -> None:
    made = ElementSession(1, ServiceSettings(close_timeout=2), control=True)
    made.close(0)
    assert made.deadline == 2_000_000
    assert made.advance(1_999_999) == []
    assert made.advance(2_000_000) == [Abort(1), ElementSessionEnded(failed=True)]
    assert made.state is ElementSessionState.ENDED

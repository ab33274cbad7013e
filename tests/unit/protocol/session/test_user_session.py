"""A pool user's session: selection, failover, cookies, business cards, silence, end."""

import pytest

from rserpool.errors import LocalProtocolError
from rserpool.messages import AsapError, BusinessCard, Cookie, CookieEcho, ErrorCause, HandleResolution, decode
from rserpool.model.association_ends import Down
from rserpool.protocol.actions import Abort, Shutdown
from rserpool.protocol.session.user_session import FailedOver, Open, Report, Resolve, Select, UserSessionEnded
from rserpool.protocol.session.user_table import UserSessionState
from rserpool.settings.session import MAX_COOKIE, MAX_MALFORMED, Failover, SessionSettings
from tests.support.machines import POOL, SECOND, Machine, card, data_only, element


@pytest.mark.conformance("ASAP-6.5.5-01", "ASAP-6.5.1-01", "ASAP-3.5-02")
def test_unsent_messages_go_to_the_next_element() -> None:
    machine = Machine()
    machine.did(machine.session.start(0))
    for number in range(3):
        machine.session.send(b"%d" % number, 7)
    assert machine.session.outgoing() is None
    machine.opened(1)
    entry = machine.session.outgoing()
    assert entry is not None
    assert (entry.data, entry.ppid) == (b"0", 7)
    machine.session.sent(0)
    assert machine.lose() == [Report(element(1)), Select(frozenset({1}))]
    assert machine.session.outgoing() is None
    machine.opened(1, 2)
    assert machine.session.element == element(2)
    assert machine.drain() == [(b"1", 7), (b"2", 7)]
    assert machine.session.failovers == 1


@pytest.mark.conformance("ASAP-6.5.5-02")
def test_without_failover_unsent_messages_are_returned() -> None:
    machine = Machine(failover=Failover.ERROR)
    machine.did(machine.session.start(0))
    machine.opened(1)
    machine.session.send(b"one", 0)
    machine.session.send(b"two", 9)
    machine.session.sent(0)
    report, ended = machine.lose(Down.ABORTED)
    assert report == Report(element(1))
    assert isinstance(ended, UserSessionEnded)
    assert "0x00000001" in (ended.reason or "")
    assert [(one.data, one.ppid) for one in ended.unsent] == [(b"two", 9)]
    assert machine.session.state is UserSessionState.ENDED


def test_without_failover_another_element_is_tried_until_one_serves() -> None:
    machine = Machine(failover=Failover.ERROR).reach(UserSessionState.CONNECTING)
    assert machine.lose(Down.CANT_START) == [Report(element(1)), Select(frozenset({1}))]


@pytest.mark.conformance("SEC-5355-2.9-01")
def test_failover_is_published() -> None:
    machine = Machine(failover=Failover.EVENT).reach(UserSessionState.OPEN)
    machine.control(Cookie(cookie=b"state").encode())
    machine.session.send(b"unsent", 0)
    machine.lose()
    machine.now += SECOND // 2
    machine.opened(2)
    (happened,) = machine.of(FailedOver)
    assert isinstance(happened, FailedOver)
    event = happened.event
    assert (event.old, event.new) == (element(1), element(2))
    assert (event.had_cookie, event.unsent, event.duration) == (True, 1, 0.5)


def test_transparent_failover_is_not_published() -> None:
    machine = Machine().reach(UserSessionState.OPEN)
    machine.lose()
    machine.opened(2)
    assert not machine.of(FailedOver)


@pytest.mark.conformance("ASAP-3.5-04")
@pytest.mark.parametrize("reason", [Down.LOST, Down.ABORTED, Down.CANT_START])
def test_each_failure_is_reported_once(reason: Down) -> None:
    machine = Machine().reach(UserSessionState.OPEN)
    channel = machine.session.channel
    machine.lose(reason)
    machine.did(machine.session.down(channel, reason, 5))
    assert machine.of(Report) == [Report(element(1))]
    machine.opened(2)
    machine.lose(reason)
    assert machine.of(Report) == [Report(element(1)), Report(element(2))]


@pytest.mark.conformance("ASAP-3.5-05")
def test_element_that_got_no_packet_is_not_reported() -> None:
    machine = Machine().reach(UserSessionState.CONNECTING)
    machine.did(machine.session.down(machine.session.channel, Down.CANT_START, 0, tried=False))
    assert machine.actions == [Select(frozenset({1}))]


def test_forced_failover_reports_only_on_request() -> None:
    machine = Machine().reach(UserSessionState.OPEN)
    assert machine.did(machine.session.force(0)) == [Abort(1), Select(frozenset({1}))]
    machine.opened(2)
    assert machine.did(machine.session.force(0, report=True)) == [
        Abort(2),
        Report(element(2)),
        Select(frozenset({1, 2})),
    ]
    assert machine.did(machine.session.force(0)) == []


def test_restarted_element_may_be_selected_again_and_gets_its_cookie() -> None:
    machine = Machine().reach(UserSessionState.OPEN)
    machine.control(Cookie(cookie=b"state").encode())
    assert machine.did(machine.session.restarted(1, 0)) == [Abort(1), Select(frozenset())]
    machine.opened(1)
    assert machine.drain() == [(CookieEcho(cookie=b"state").encode(), 11)]


def test_orderly_end_without_reopen_ends_the_session() -> None:
    machine = Machine(reopen=False).reach(UserSessionState.OPEN)
    machine.session.send(b"x", 0)
    (ended,) = machine.lose(Down.SHUTDOWN)
    assert isinstance(ended, UserSessionEnded)
    assert ended.reason is None
    assert [one.data for one in ended.unsent] == [b"x"]


def test_orderly_end_with_reopen_is_a_failover_without_a_report() -> None:
    machine = Machine(reopen=True, failover=Failover.EVENT).reach(UserSessionState.OPEN)
    assert machine.lose(Down.SHUTDOWN) == [Select(frozenset({1}))]
    machine.opened(2)
    assert len(machine.of(FailedOver)) == 1
    assert not machine.of(Report)


# Rounds, pauses, patience


def test_failed_elements_are_tried_once_per_round() -> None:
    machine = Machine(backoff=1.0, backoff_max=3.0, patience=100).reach(UserSessionState.SELECTING)
    session = machine.session
    pauses = []
    for _ in range(4):
        for identifier in (1, 2):
            session.selected(element(identifier), machine.now)
            (_, select) = session.down(session.channel, Down.CANT_START, machine.now)
        assert select == Select(frozenset({1, 2}))
        assert session.nothing_selected(machine.now) == []
        assert session.deadline is not None
        pauses.append((session.deadline - machine.now) / SECOND)
        machine.now = session.deadline
        assert session.advance(machine.now - 1) == []
        assert session.advance(machine.now) == [Select(frozenset())]
    assert pauses == [1, 2, 3, 3]


def test_selected_element_that_is_excluded_counts_as_none() -> None:
    machine = Machine().reach(UserSessionState.CONNECTING)
    machine.lose(Down.CANT_START)
    assert machine.session.selected(element(1), 0) == []
    assert machine.session.state is UserSessionState.WAITING


@pytest.mark.parametrize("state", [UserSessionState.SELECTING, UserSessionState.WAITING])
def test_session_ends_when_patience_is_over(state: UserSessionState) -> None:
    machine = Machine(patience=5.0).reach(state)
    while machine.session.state is not UserSessionState.ENDED:
        assert machine.session.deadline is not None
        machine.later((machine.session.deadline - machine.now) / SECOND)
        if machine.session.state is UserSessionState.SELECTING:
            machine.session.nothing_selected(machine.now)
    (ended,) = machine.of(UserSessionEnded)
    assert isinstance(ended, UserSessionEnded)
    assert "for 5 s" in (ended.reason or "")
    assert machine.now == 5 * SECOND


def test_elements_that_accept_and_fail_at_once_do_not_extend_patience() -> None:
    machine = Machine(patience=5.0).reach(UserSessionState.SELECTING)
    session = machine.session
    opened = 0
    while session.state is not UserSessionState.ENDED:
        if session.state is UserSessionState.SELECTING:
            free = [one for one in (1, 2) if one not in machine.excluded] if machine.actions else [1]
            if free:
                machine.did(session.selected(element(free[0]), machine.now))
                machine.up()
                opened += 1
                machine.lose(Down.ABORTED)
            else:
                machine.did(session.nothing_selected(machine.now))
        else:
            assert session.deadline is not None
            machine.later((session.deadline - machine.now) / SECOND)
    assert machine.now == 5 * SECOND
    assert 4 < opened < 20


def test_elements_that_send_data_and_fail_extend_patience_at_a_slow_rate() -> None:
    machine = Machine(patience=5.0).reach(UserSessionState.SELECTING)
    session = machine.session
    opened = 0
    while machine.now < 100 * SECOND:
        if session.state is UserSessionState.SELECTING:
            free = [one for one in (1, 2) if one not in machine.excluded] if machine.actions else [1]
            if free:
                machine.did(session.selected(element(free[0]), machine.now))
                machine.up()
                session.heard()
                opened += 1
                machine.lose(Down.ABORTED)
            else:
                machine.did(session.nothing_selected(machine.now))
        else:
            assert session.deadline is not None
            machine.later((session.deadline - machine.now) / SECOND)
        assert session.state is not UserSessionState.ENDED
    assert opened < 150


def test_element_that_served_long_resets_patience() -> None:
    machine = Machine(patience=5.0, settle=1.0).reach(UserSessionState.OPEN)
    machine.lose()
    machine.opened(2)
    machine.later(3600)
    assert machine.lose() == [Report(element(2)), Select(frozenset({2}))]
    assert machine.session.deadline == 3605 * SECOND


def test_channel_that_does_not_come_up_is_aborted() -> None:
    machine = Machine(connect_timeout=4.0).reach(UserSessionState.CONNECTING)
    assert machine.later(3.9) == []
    assert machine.later(0.1) == [Abort(1), Report(element(1)), Select(frozenset({1}))]


# Silence


def test_silent_element_is_left() -> None:
    machine = Machine(silence=2.0).reach(UserSessionState.OPEN)
    machine.later(100)
    assert machine.session.deadline is None
    machine.session.send(b"question", 0)
    machine.drain()
    machine.later(1)
    machine.session.heard()
    assert machine.session.deadline is None
    machine.session.send(b"question", 0)
    machine.drain()
    assert machine.later(1.9) == []
    assert machine.later(0.1) == [Abort(1), Report(element(1)), Select(frozenset({1}))]


def test_further_messages_do_not_extend_the_allowed_silence() -> None:
    machine = Machine(silence=2.0).reach(UserSessionState.OPEN)
    for _ in range(4):
        machine.session.send(b"question", 0)
        machine.drain()
        machine.later(0.5)
    assert machine.of(Report) == [Report(element(1))]


def test_silence_is_not_measured_while_the_application_does_not_read() -> None:
    machine = Machine(silence=2.0).reach(UserSessionState.OPEN)
    machine.session.send(b"question", 0)
    machine.drain()
    machine.session.hold()
    assert machine.later(100) == []
    machine.session.release(machine.now)
    assert machine.session.deadline == machine.now + 2 * SECOND


def test_cookie_echo_starts_the_silence_timer_and_a_card_does_not() -> None:
    machine = Machine(own_card=lambda: card(9), silence=2.0).reach(UserSessionState.OPEN)
    assert [data[0] for data, _ in machine.drain()] == [0x0D]
    assert machine.session.deadline is None
    machine.control(Cookie(cookie=b"x").encode())
    machine.lose()
    machine.opened(2)
    assert [data[0] for data, _ in machine.drain()] == [0x0C, 0x0D]
    assert machine.session.deadline == 2 * SECOND


# The control channel


@pytest.mark.conformance("ASAP-3.8-02", "ASAP-3.8-03", "ASAP-2.2.12-01", "ASAP-5-03")
def test_latest_cookie_is_echoed_to_the_next_element_before_data() -> None:
    machine = Machine().reach(UserSessionState.OPEN)
    latest = bytes(range(256)) * 3 + b"\0\0\0"
    for cookie in (b"first", b"second", latest):
        machine.control(Cookie(cookie=cookie).encode())
    machine.session.send(b"data", 0)
    machine.lose()
    machine.opened(2)
    (echo, ppid), data = machine.drain()
    assert ppid == 11
    assert decode(echo, "asap") == CookieEcho(cookie=latest)
    assert data == (b"data", 0)
    machine.lose()
    machine.opened(3)
    assert machine.drain() == [(echo, 11)]


def test_element_without_a_control_channel_gets_no_control_message() -> None:
    machine = Machine(own_card=lambda: card(9)).reach(UserSessionState.OPEN)
    machine.control(Cookie(cookie=b"x").encode())
    machine.lose()
    machine.did(machine.session.selected(data_only(2), 0))
    machine.up()
    machine.session.send_card()
    assert machine.drain() == []


@pytest.mark.conformance("ASAP-3.9-02")
def test_only_a_user_that_is_an_element_sends_a_card() -> None:
    machine = Machine().reach(UserSessionState.OPEN)
    machine.session.send_card()
    assert machine.drain() == []
    cards = [card(9), card(9, 8)]
    machine = Machine(own_card=lambda: cards[0]).reach(UserSessionState.OPEN)
    cards.pop(0)
    machine.session.send_card()
    assert [decode(data, "asap") for data, _ in machine.drain()] == [card(9, 8)]


@pytest.mark.conformance("ASAP-3.9-05", "ASAP-2.2.13-01")
def test_business_card_sets_the_order_of_failover() -> None:
    machine = Machine().reach(UserSessionState.OPEN)
    machine.control(card(4, 1, 5).encode())
    assert machine.lose() == [Report(element(1)), Open(2, element(4))]
    assert machine.session.state is UserSessionState.CONNECTING
    assert machine.lose(Down.CANT_START) == [Report(element(4)), Open(3, element(5))]
    machine.up()
    assert machine.lose() == [Report(element(5)), Select(frozenset({1, 4, 5}))]


@pytest.mark.conformance("ASAP-3.9-04")
def test_unknown_pool_of_a_card_is_resolved_within_the_limit() -> None:
    machine = Machine(max_resolutions=2).reach(UserSessionState.OPEN)
    assert machine.control(card(4).encode()) == []
    assert machine.control(card(7, handle=b"Other").encode()) == [Resolve(b"Other")]
    assert machine.control(card(7, handle=b"Other").encode()) == []
    assert machine.control(card(7, handle=b"Third").encode()) == [Resolve(b"Third")]
    assert machine.control(card(7, handle=b"Fourth").encode()) == []
    assert machine.lose()[-1] == Open(2, element(4))


def test_long_card_is_truncated() -> None:
    machine = Machine(max_card=3).reach(UserSessionState.OPEN)
    machine.control(card(*range(2, 100)).encode())
    assert [one.identifier for one in machine.session._order] == [2, 3, 4]


def test_nonsense_is_counted_and_too_much_of_it_is_a_failure() -> None:
    machine = Machine().reach(UserSessionState.OPEN)
    wrong = [b"", b"\x0b", b"\x0b\x00\x00\x08\x00\x0d\x00\x04", b"\xff" * 40, CookieEcho(cookie=b"x").encode()]
    wrong.append(HandleResolution(pool_handle=POOL, items=1).encode())
    wrong.append(Cookie(cookie=bytes(MAX_COOKIE)).encode() + bytes(8))
    for number in range(MAX_MALFORMED):
        assert machine.control(wrong[number % len(wrong)]) == []
    assert machine.session.cookie is None
    assert sum(machine.session.counters.values()) == MAX_MALFORMED
    assert machine.control(b"nonsense") == [Abort(1), Select(frozenset({1}))]
    machine.opened(2)
    assert machine.control(b"nonsense") == []


def test_asap_error_of_the_element_is_not_answered() -> None:
    machine = Machine().reach(UserSessionState.OPEN)
    for _ in range(100):
        assert machine.control(AsapError(operation_error=(ErrorCause(code=2),)).encode()) == []
    assert machine.session.counters == {"errors": 100}


@pytest.mark.conformance("ASAP-5-04")
def test_data_cannot_use_the_ppid_of_the_control_channel() -> None:
    machine = Machine().reach(UserSessionState.OPEN)
    with pytest.raises(LocalProtocolError, match="PPID 11"):
        machine.session.send(b"x", 11)
    for ppid in (-1, 1 << 32):
        with pytest.raises(LocalProtocolError, match="32 bits"):
            machine.session.send(b"x", ppid)
    assert machine.drain() == []


# Bounds and the end


def test_outbox_is_bounded_in_octets_and_messages() -> None:
    machine = Machine(max_unsent=10_000)
    session = machine.session
    assert session.room(1_000_000)
    count = 0
    while session.room(1):
        session.send(b"x", 0)
        count += 1
    assert 100 < count < 200
    assert not session.room(1)


def test_closing_sends_accepted_messages_first() -> None:
    machine = Machine(close_timeout=2.0).reach(UserSessionState.OPEN)
    machine.session.send(b"last", 0)
    assert machine.did(machine.session.close(0)) == []
    with pytest.raises(LocalProtocolError, match="closed"):
        machine.session.send(b"later", 0)
    assert machine.drain() == [(b"last", 0)]
    assert machine.actions == [Shutdown(1)]
    assert machine.lose(Down.SHUTDOWN) == [UserSessionEnded(None, ())]


def test_closing_is_aborted_after_its_timeout() -> None:
    machine = Machine(close_timeout=2.0).reach(UserSessionState.CLOSING)
    assert machine.later(2) == [Abort(1), UserSessionEnded(None, ())]


def test_closing_while_connecting_aborts() -> None:
    machine = Machine().reach(UserSessionState.CONNECTING)
    assert machine.did(machine.session.close(0)) == [Abort(1), UserSessionEnded(None, ())]


@pytest.mark.parametrize("name", ["silence", "patience", "max_unread", "settle"])
def test_settings_must_be_positive(name: str) -> None:
    with pytest.raises(LocalProtocolError, match=name):
        SessionSettings(**{name: 0})  # type: ignore[arg-type]


def test_card_of_a_user_that_is_an_element_names_its_pool() -> None:
    machine = Machine(own_card=lambda: card(9, handle=b"Mine")).reach(UserSessionState.OPEN)
    (data, ppid) = machine.drain()[0]
    message = decode(data, "asap")
    assert isinstance(message, BusinessCard)
    assert (message.pool_handle, ppid) == (b"Mine", 11)

"""Sessions between pool users and services, over the memory transport and in virtual time."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from rserpool.client.errors import NoElement, SessionClosed, SessionFailed
from rserpool.client.session.items import Data, Resumed
from rserpool.client.session.service import ServiceSession
from rserpool.client.session.session import FailoverEvent, Session, session_settings
from rserpool.errors import LocalProtocolError
from rserpool.model.association_ends import Down
from rserpool.protocol.session.user_session import Confirm, UserSessionEnded
from rserpool.protocol.session.user_table import UserSessionState
from rserpool.settings.session import Failover, ServiceSettings, SessionSettings
from rserpool.transport.interface import MAX_USER_MESSAGE
from tests.support.machines import Machine, element
from tests.support.pools import POOL, SMALL, PoolWorld, card_of, echo, in_world, silent
from tests.support.waiting import eventually

COUNTED = b"<PP-TD1>"


async def pingpong(session: ServiceSession) -> None:
    """Number the answers, and store the next number in the user's cookie."""
    number = 1
    async for item in session:
        if isinstance(item, Resumed):
            assert item.cookie.startswith(COUNTED)
            number = int.from_bytes(item.cookie[8:])
        elif isinstance(item, Data):
            await session.send(number.to_bytes(8) + item, 33)
            number += 1
            session.cookie = COUNTED + number.to_bytes(8)


async def fill(session: Session, size: int, ppid: int = 0) -> int:
    """Send numbered messages until there has been no room for a second, and return their number."""
    sent = 0
    try:
        async with asyncio.timeout(1):
            while True:
                await session.send(b"%06d" % sent + bytes(size - 6), ppid)
                sent += 1
    except TimeoutError:
        return sent


async def ask(session: Session, question: bytes) -> tuple[int, bytes]:
    await session.send(question, 33)
    answer = await session.receive()
    assert isinstance(answer, Data)
    assert answer.ppid == 33
    return int.from_bytes(answer[:8]), bytes(answer[8:])


@in_world
async def test_messages_travel_both_ways(world: PoolWorld) -> None:
    await world.element(1, echo)
    async with world.session() as session:
        for ppid, message in ((0, b"hello"), (0xFFFFFFFF, b"\0"), (7, bytes(MAX_USER_MESSAGE)), (12, b"enrp's")):
            await session.send(message, ppid)
            item = await session.receive()
            assert isinstance(item, Data)
            assert (item, item.ppid) == (message, ppid)
        assert session.has_control_channel
        assert session.element == world.user.elements[1]
        assert session.pool_handle == POOL
        (other,) = world.elements[0].sessions
        assert [str(address) for address in other.peer_addresses] == ["10.44.0.3"]
        assert other.peer_port
    assert session.closed
    assert session.element is None
    with pytest.raises(SessionClosed):
        await session.send(b"late")
    with pytest.raises(SessionClosed):
        await session.receive()
    assert [item async for item in session] == []
    await eventually(lambda: other.closed)
    assert not other.failed
    assert not world.user.reports


@pytest.mark.conformance("ASAP-5-03", "ASAP-5-04", "ASAP-3-01")
@in_world
async def test_control_messages_are_not_delivered_as_data(world: PoolWorld) -> None:
    seen: list[tuple[bytes, int]] = []
    element = await world.element(1, pingpong)
    async with world.session() as session:
        port = element.service._listener
        original = port.on_message  # type: ignore[union-attr]

        def spy(endpoint: object, assoc: int, data: bytes, ppid: int) -> None:
            seen.append((data, ppid))
            original(endpoint, assoc, data, ppid)  # type: ignore[arg-type]

        port.on_message = spy  # type: ignore[union-attr, method-assign, assignment]
        assert await ask(session, b"x") == (1, b"x")
        await eventually(lambda: session.cookie)
        with pytest.raises(LocalProtocolError, match="PPID 11"):
            await session.send(b"x", 11)
        for wrong in (b"", bytes(MAX_USER_MESSAGE + 1)):
            with pytest.raises(LocalProtocolError, match="octets"):
                await session.send(wrong)
    assert seen == [(b"x", 33)]


@pytest.mark.conformance("ASAP-3.8-02", "ASAP-3.8-03", "ASAP-2.2.12-01", "SEC-5355-2.16-01")
@in_world
async def test_cookies_continue_a_count_over_failovers(world: PoolWorld) -> None:
    for identifier in (1, 2, 3):
        await world.element(identifier, pingpong)
    async with world.session(failover="event") as session:
        number = 0
        for _ in range(5):
            for _ in range(20):
                number += 1
                assert await ask(session, b"%d" % number) == (number, b"%d" % number)
            await eventually(lambda: session.cookie == COUNTED + (number + 1).to_bytes(8))  # noqa: B023
            old = session.element
            element = world.serving(session)
            element.kill()
            element.leave_pool()
            await world.element(element.identifier + 3, pingpong)
            event = await session.receive()
            assert isinstance(event, FailoverEvent)
            assert event.old == old
            assert event.new == session.element != old
            assert event.had_cookie
        assert session.failovers == 5
    assert len(world.user.reports) == 5


@pytest.mark.conformance("ASAP-3.5-01", "ASAP-3.5-02", "ASAP-3.5-04", "ASAP-6.5.5-01", "REQ-3237-2.10-01")
@in_world
async def test_killed_elements_are_reported_once_each(world: PoolWorld) -> None:
    for identifier in (1, 2):
        await world.element(identifier, echo)
    async with world.session() as session:
        first = world.serving(session)
        first.kill()
        await session.send(b"to the next")
        assert await session.receive() == b"to the next"
        assert world.serving(session) is not first
        assert world.user.reports == [first.identifier]
        assert session.failovers == 1


@in_world
async def test_a_cut_link_causes_a_failover(world: PoolWorld) -> None:
    for identifier in (1, 2):
        await world.element(identifier, echo)
    async with world.session() as session:
        element = world.serving(session)
        world.network.cut("10.44.0.3", element.address)
        await session.send(b"lost")
        (endpoint,) = element.transport.endpoints
        world.network.lose(endpoint, endpoint.halves()[0].assoc)
        await session.send(b"not lost")
        assert await session.receive() == b"not lost"
        assert world.user.reports == [element.identifier]


@in_world
async def test_a_silent_element_causes_a_failover(world: PoolWorld) -> None:
    for identifier in (1, 2):
        await world.element(identifier, echo)
    async with world.session(silence=2.0, failover="event") as session:
        first = world.serving(session)
        first.freeze()
        began = asyncio.get_running_loop().time()
        await session.send(b"anybody?")
        event = await session.receive()
        assert isinstance(event, FailoverEvent)
        assert asyncio.get_running_loop().time() - began == pytest.approx(2.0, abs=0.1)
        assert world.user.reports == [first.identifier]
        await session.send(b"anybody?")
        assert await session.receive() == b"anybody?"
        await asyncio.sleep(1000)
        assert session.failovers == 1


@in_world
async def test_a_slow_reader_does_not_make_the_element_count_as_silent(world: PoolWorld) -> None:
    async def talk(session: ServiceSession) -> None:
        await session.receive()
        for _ in range(100):
            await session.send(bytes(1000))

    await world.element(1, talk, settings=SMALL)
    async with world.session(settings=SessionSettings(silence=2.0, max_unread=5000)) as session:
        await session.send(b"go")
        await asyncio.sleep(100)
        await session.send(b"and")
        await asyncio.sleep(100)
        for _ in range(100):
            assert await session.receive() == bytes(1000)
        assert session.failovers == 0


@in_world
async def test_a_session_waits_for_the_first_element_of_an_empty_pool(world: PoolWorld) -> None:
    async def appear() -> None:
        await asyncio.sleep(20)
        await world.element(1, echo)

    appearing = asyncio.create_task(appear())
    async with world.session(patience=30.0) as session:
        await session.send(b"x")
        assert await session.receive() == b"x"
        assert 20 < asyncio.get_running_loop().time() < 24
    await appearing


@in_world
async def test_an_empty_pool_is_an_error_after_patience(world: PoolWorld) -> None:
    with pytest.raises(SessionFailed, match="for 7 s") as raised:
        async with world.session(patience=7.0):
            pytest.fail("there is nobody")
    assert isinstance(raised.value.__cause__, NoElement)
    assert asyncio.get_running_loop().time() == pytest.approx(7, abs=0.01)


@in_world
async def test_a_pool_whose_elements_all_die_fails_the_session_after_patience(world: PoolWorld) -> None:
    element = await world.element(1, echo)
    async with world.session(patience=5.0) as session:
        element.kill()
        element.leave_pool()
        await asyncio.sleep(1)
        await session.send(b"unsent", 5)
        with pytest.raises(SessionFailed) as raised:
            await anext(session)
        assert [(one, one.ppid) for one in raised.value.unsent] == [(b"unsent", 5)]
        assert asyncio.get_running_loop().time() == pytest.approx(5, abs=0.1)


@pytest.mark.conformance("ASAP-6.5.5-02")
@in_world
async def test_without_failover_unsent_messages_are_returned(world: PoolWorld) -> None:
    for identifier in (1, 2):
        await world.element(identifier, silent, settings=SMALL)
    async with world.session(failover="error") as session:
        element = world.serving(session)
        world.network.cut("10.44.0.3", element.address)
        sent = await fill(session, 10_000, 9)
        element.kill()
        with pytest.raises(SessionFailed) as raised:
            await session.receive()
        unsent = [int(one[:6]) for one in raised.value.unsent]
        assert unsent == list(range(sent - len(unsent), sent))
        assert 10 < len(unsent) < sent
        assert raised.value.unsent[0].ppid == 9
        with pytest.raises(SessionFailed):
            await session.send(b"x")


@in_world
async def test_unsent_messages_arrive_once_and_in_order_after_failovers(world: PoolWorld) -> None:
    got: list[int] = []

    async def collect(session: ServiceSession) -> None:
        async for item in session:
            assert isinstance(item, Data)
            got.append(int(item[:6]))

    for identifier in (1, 2):
        await world.element(identifier, collect)
    async with world.session() as session:
        element = world.serving(session)
        world.network.cut("10.44.0.3", element.address)
        assert await fill(session, 10_000) > 40
        assert not got
        element.kill()
        await eventually(lambda: got)
        await asyncio.sleep(1)
        assert got == list(range(got[0], got[-1] + 1))
        assert len(got) > 20


# The end


@in_world
async def test_an_element_that_closes_ends_the_session(world: PoolWorld) -> None:
    async def daytime(session: ServiceSession) -> None:
        await session.send(b"Friday")
        await session.close()

    await world.element(1, daytime)
    async with world.session() as session:
        assert [item async for item in session] == [b"Friday"]
        assert session.closed
        assert not world.user.reports


@in_world
async def test_an_orderly_end_of_an_element_that_left_its_pool_is_a_failover(world: PoolWorld) -> None:
    """End the associations in order, as the kernel does for a killed process."""
    for identifier in (1, 2):
        await world.element(identifier, echo)
    async with world.session() as session:
        await session.send(b"one")
        assert await session.receive() == b"one"
        first = world.serving(session)
        first.leave_pool()
        await first.sessions[0].close()
        await session.send(b"two")
        assert await session.receive() == b"two"
        assert world.serving(session) is not first
        assert session.failovers == 1
        assert not world.user.reports


@in_world
async def test_an_orderly_end_is_checked_twice_for_a_late_registrar(world: PoolWorld) -> None:
    async def serve(session: ServiceSession) -> None:
        await session.send(b"here")
        async for _ in session:
            await session.close()

    for identifier in (1, 2):
        await world.element(identifier, serve)
    async with world.session() as session:
        assert await session.receive() == b"here"
        first = world.serving(session)
        asyncio.get_running_loop().call_later(0.1, first.leave_pool)
        await session.send(b"end")
        assert await session.receive() == b"here"
        assert world.serving(session) is not first


def test_without_a_registrars_answer_an_orderly_end_ends_the_session() -> None:
    machine = Machine().reach(UserSessionState.OPEN)
    assert [type(action) for action in machine.lose(Down.SHUTDOWN)] == [Confirm]
    assert machine.session.state is UserSessionState.CONFIRMING
    assert machine.later(0.9) == []
    assert [type(action) for action in machine.later(0.2)] == [UserSessionEnded]


def test_a_late_answer_about_another_element_is_ignored() -> None:
    machine = Machine().reach(UserSessionState.CONFIRMING)
    assert machine.session.confirmed(element(7), listed=False, now=machine.now) == []
    assert machine.session.state is UserSessionState.CONFIRMING


@in_world
async def test_with_reopen_an_orderly_end_is_a_failover(world: PoolWorld) -> None:
    async def daytime(session: ServiceSession) -> None:
        await session.send(b"Friday")
        await asyncio.sleep(10)
        await session.close()

    for identifier in (1, 2):
        await world.element(identifier, daytime)
    async with world.session(reopen=True) as session:
        for _ in range(10):
            assert await session.receive() == b"Friday"
        assert session.failovers == 9
        assert not world.user.reports


@in_world
async def test_messages_sent_before_close_arrive(world: PoolWorld) -> None:
    got: list[bytes] = []

    async def collect(session: ServiceSession) -> None:
        async for item in session:
            await asyncio.sleep(0.01)
            assert isinstance(item, Data)
            got.append(bytes(item[:4]))

    await world.element(1, collect)
    async with world.session() as session:
        for number in range(60):
            await session.send(b"%04d" % number + bytes(10_000))
    await eventually(lambda: len(got) == 60)
    assert got == [b"%04d" % number for number in range(60)]


@in_world
async def test_a_user_that_does_not_read_can_close(world: PoolWorld) -> None:
    async def flood(session: ServiceSession) -> None:
        while True:
            await session.send(bytes(1000))

    await world.element(1, flood)
    async with world.session(settings=SessionSettings(max_unread=5000)) as session:
        await asyncio.sleep(1)
        waiting = session.unread
        assert waiting > 5000
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 0.1
    assert session.unread == waiting
    assert len([item async for item in session]) == waiting // 1064
    assert session.closed


@in_world
async def test_users_of_a_closing_service_fail_over(world: PoolWorld) -> None:
    for identifier in (1, 2):
        await world.element(identifier, echo)
    async with world.session() as session:
        first = world.serving(session)
        await first.stop()
        await session.send(b"x")
        assert await session.receive() == b"x"
        assert world.serving(session) is not first


@in_world
async def test_an_application_can_force_a_failover(world: PoolWorld) -> None:
    for identifier in (1, 2):
        await world.element(identifier, echo)
    async with world.session() as session:
        first = session.element
        await session.force_failover()
        assert session.element not in (None, first)
        assert not world.user.reports
        second = session.element
        assert second is not None
        await session.force_failover(report=True)
        await eventually(lambda: world.user.reports == [second.identifier])
        assert session.element == first
        await session.send(b"x")
        assert await session.receive() == b"x"
        assert session.failovers == 2


# Business cards


@pytest.mark.conformance("ASAP-3.9-01", "ASAP-3.9-05", "ASAP-2.2.13-01")
@in_world
async def test_a_business_card_sets_the_order_of_failover(world: PoolWorld) -> None:
    others = [await world.element(identifier, echo) for identifier in (2, 3, 4)]
    for one in others:
        one.leave_pool()
    first = await world.element(1, echo, card=lambda: card_of(others[1], others[0]))
    async with world.session() as session:
        await eventually(lambda: session.counters.get("cards"))
        first.kill()
        await session.send(b"x")
        assert await session.receive() == b"x"
        assert world.serving(session) is others[1]


@pytest.mark.conformance("ASAP-3.9-02", "ASAP-3.9-04")
@in_world
async def test_a_user_that_is_an_element_sends_its_card(world: PoolWorld) -> None:
    element = await world.element(1, echo)
    learned: list[bytes] = []
    element.service.learn = lambda card: learned.append(card.pool_handle)
    async with world.session(pool_element=SimpleNamespace(business_card=lambda: card_of(element))):
        await eventually(lambda: element.sessions and element.sessions[0].card)
        assert element.sessions[0].card == card_of(element)
        assert learned == [POOL]
    async with world.session():
        await eventually(lambda: len(element.sessions) == 2)
        await asyncio.sleep(1)
        assert element.sessions[1].card is None


# Bounds of a service


@in_world
async def test_a_session_beyond_the_bound_is_aborted(world: PoolWorld) -> None:
    first = await world.element(1, echo, settings=ServiceSettings(max_sessions=1))
    async with world.session() as one:
        await world.element(2, echo)
        async with world.session() as two, world.session() as three:
            for session in (one, two, three):
                await session.send(b"x")
                assert await session.receive() == b"x"
            assert first.service.active == 1
            assert world.serving(three).identifier == world.serving(two).identifier == 2
        assert first.service.counters["refused"] >= 1


@in_world
async def test_sessions_that_end_unaccepted_are_forgotten(world: PoolWorld) -> None:
    element = await world.element(1, echo, settings=ServiceSettings(max_sessions=8))
    element.accepting.cancel()
    for _ in range(50):
        async with world.session():
            pass
    await asyncio.sleep(1)
    assert element.service.active == 0
    assert not element.service._arrived


# Data-only transports


@pytest.mark.conformance("ASAP-3.8-01", "ASAP-3.9-03")
@in_world
async def test_data_only_sctp_has_no_cookies_and_no_cards(world: PoolWorld) -> None:
    element = await world.element(1, echo, control=False, card=lambda: card_of(element))
    async with world.session(pool_element=SimpleNamespace(business_card=lambda: card_of(element))) as session:
        await session.send(b"x")
        assert await session.receive() == b"x"
        assert not session.has_control_channel
        (other,) = element.sessions
        assert not other.has_control_channel
        with pytest.raises(LocalProtocolError, match="no control channel"):
            other.cookie = b"state"
        assert not session.counters
        assert other.card is None


@in_world
async def test_an_element_with_an_unusable_transport_is_skipped(world: PoolWorld) -> None:
    await world.element(1, echo)
    other = await world.element(2, echo)
    (good, bad) = world.user.elements.values()
    world.user.elements = {2: replace(bad, protocol="dccp"), 1: good}
    async with world.session() as session:
        assert session.element == good
        assert not world.user.reports
    world.user.elements = {2: replace(bad, addresses=()), 1: good}
    async with world.session() as session:
        assert session.element == good
    assert not other.sessions


# Arguments of open_session


def test_a_named_argument_overrides_the_settings() -> None:
    chosen = session_settings(SessionSettings(silence=2.0, max_unread=5000), {"silence": 3.0, "failover": "event"})
    assert chosen == SessionSettings(silence=3.0, max_unread=5000, failover=Failover.EVENT)


def test_an_unknown_failover_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LocalProtocolError, match="silent, event or error, not 'quiet'"):
        session_settings(SessionSettings(), {"failover": "quiet"})

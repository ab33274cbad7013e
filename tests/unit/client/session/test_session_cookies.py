"""Cookies of sessions: echoes, sealing, hostile peers, and states that never go backwards."""

import asyncio
import contextlib
import random

import pytest

from rserpool.client.errors import SessionClosed
from rserpool.client.session.cookie_sealing import MAX_STATE, Sealer
from rserpool.client.session.items import CookieRejected, Data, Resumed
from rserpool.client.session.service import ServiceSession
from rserpool.client.session.session import Session
from rserpool.errors import LocalProtocolError
from rserpool.messages import Cookie, CookieEcho
from rserpool.protocol.peer import Peer
from rserpool.settings.session import MAX_COOKIE, ServiceSettings, SessionSettings
from rserpool.transport.interface import AssociationGone, Endpoint
from tests.support.machines import card, element
from tests.support.pools import POOL, SMALL, Element, PoolWorld, card_of, echo, in_world
from tests.support.waiting import eventually

KEY = {1: bytes(range(32))}


class Script:
    """Serves as the test says, and keeps what it received."""

    def __init__(self) -> None:
        self.items: list[object] = []
        self.sessions: list[ServiceSession] = []

    async def __call__(self, session: ServiceSession) -> None:
        self.sessions.append(session)
        async for item in session:
            self.items.append(item)


class Stranger:
    """An endpoint that sends what the test wants to each of its peers."""

    def __init__(self, world: PoolWorld, address: str) -> None:
        self.endpoint = world.network.endpoint(self, addresses=[address], port=7000, max_message=262_144)
        self.assocs: list[int] = []
        self.received: list[tuple[bytes, int]] = []
        self.downs = 0

    def on_up(self, endpoint: Endpoint, assoc: int, peer: Peer) -> None:
        self.assocs.append(assoc)

    def on_message(self, endpoint: Endpoint, assoc: int, data: bytes, ppid: int) -> None:
        self.received.append((data, ppid))

    def on_down(self, endpoint: Endpoint, assoc: int, reason: object) -> None:
        if assoc in self.assocs:
            self.assocs.remove(assoc)
        self.downs += 1

    def on_writable(self, *_: object) -> None:
        """Nothing: the test sends again by itself."""

    on_restart = on_writable

    def say(self, data: bytes, ppid: int = 11) -> None:
        if self.assocs:
            with contextlib.suppress(AssociationGone):
                self.endpoint.send(self.assocs[-1], data, ppid)


async def fail_over(world: PoolWorld, session: Session) -> Element:
    """Kill the serving element, and wait for the next one."""
    count = session.failovers
    element = world.serving(session)
    element.kill()
    element.leave_pool()
    await eventually(lambda: session.failovers > count and session.element)
    return world.serving(session)


@pytest.mark.conformance("ASAP-3.8-02", "ASAP-3.8-03", "ASAP-2.2.12-01", "PAR-3.13-01")
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 255, 1000, MAX_COOKIE])
def test_cookies_are_echoed_unchanged(length: int) -> None:
    @in_world
    async def play(world: PoolWorld) -> None:
        script = Script()
        for identifier in (1, 2):
            await world.element(identifier, script)
        async with world.session() as session:
            await eventually(lambda: script.sessions)
            state = bytes(number % 251 for number in range(length))[::-1]
            for cookie in (b"first", b"", state):
                if cookie:
                    script.sessions[0].cookie = cookie
            assert script.sessions[0].cookie == state
            await eventually(lambda: session.cookie == state)
            await fail_over(world, session)
            await session.send(b"data")
            await eventually(lambda: len(script.items) == 2)
            assert script.items == [Resumed(cookie=state), b"data"]
            assert script.sessions[1].restored == state
            assert script.sessions[0].restored is None

    play()


@in_world
async def test_a_waiting_cookie_is_replaced_by_a_newer_one(world: PoolWorld) -> None:
    script = Script()
    element = await world.element(1, script)
    async with world.session() as session:
        await eventually(lambda: script.sessions)
        world.network.cut("10.44.0.3", element.address)
        for number in range(10_000):
            script.sessions[0].cookie = b"%d" % number + bytes(1000)
        assert len(script.sessions[0]._machine._outbox) <= 1
        world.network.heal("10.44.0.3", element.address)
        await eventually(lambda: (session.cookie or b"").startswith(b"9999\0"))


@in_world
async def test_sealed_state_moves_between_elements(world: PoolWorld) -> None:
    script = Script()
    for identifier in (1, 2):
        await world.element(identifier, script, seal=Sealer(KEY))
    async with world.session() as session:
        await eventually(lambda: script.sessions)
        script.sessions[0].cookie = b"the state"
        await eventually(lambda: session.cookie)
        assert b"the state" not in (session.cookie or b"")
        await fail_over(world, session)
        await eventually(lambda: script.items)
        assert script.items == [Resumed(cookie=b"the state")]
        second = script.sessions[1]
        assert second.restored == b"the state"
        before = session.cookie
        second.cookie = b"the next state"
        await eventually(lambda: session.cookie != before)
        opened = Sealer(KEY).open(POOL, session.cookie or b"")
        assert (opened.sequence, opened.state) == (2, b"the next state")
        assert opened.identifier == world.serving(session).identifier
        with pytest.raises(LocalProtocolError, match="sealed state"):
            second.cookie = bytes(MAX_STATE + 1)


@pytest.mark.conformance("ASAP-3.8-04")
@in_world
async def test_an_unsealed_cookie_is_rejected_and_the_session_continues(world: PoolWorld) -> None:
    script = Script()
    element = await world.element(1, script, seal=Sealer(KEY))
    sealed = Sealer(KEY).seal(POOL, b"state", sequence=5)
    wrong = {
        b"plain": "of another kind",
        sealed[:-1]: "forged, or another pool's",
        Sealer({7: bytes(32)}).seal(POOL, b"state"): "sealed with an unknown key",
        Sealer(KEY).seal(b"OtherPool", b"state"): "forged, or another pool's",
        Sealer(KEY, clock=lambda: 1.0).seal(POOL, b"state"): "expired",
        Sealer(KEY, clock=lambda: 1e10).seal(POOL, b"state"): "from the future",
    }
    stranger = Stranger(world, "10.44.0.9")
    for cookie, reason in wrong.items():
        stranger.endpoint.connect([element.address], 7000)
        await eventually(lambda: stranger.assocs)
        stranger.say(CookieEcho(cookie=cookie if len(cookie) > 63 else cookie + bytes(64)).encode())
        stranger.say(b"data", 0)
        await eventually(lambda: len(script.items) == 2)
        rejected, data = script.items
        script.items.clear()
        assert rejected == CookieRejected(reason=reason)
        assert data == b"data"
        assert script.sessions[-1].restored is None
        script.sessions[-1].cookie = b"new"
        stranger.endpoint.abort(stranger.assocs[-1])
        await eventually(lambda: not stranger.assocs)
    assert element.service.counters["cookies rejected"] == len(wrong)


@in_world
async def test_an_echo_older_than_the_session_is_rejected(world: PoolWorld) -> None:
    script = Script()
    element = await world.element(1, script, seal=Sealer(KEY))
    stranger = Stranger(world, "10.44.0.9")
    stranger.endpoint.connect([element.address], 7000)
    await eventually(lambda: script.sessions and stranger.assocs)
    for sequence in (5, 7, 6, 7):
        stranger.say(CookieEcho(cookie=Sealer(KEY).seal(POOL, b"%d" % sequence, sequence=sequence)).encode())
        await asyncio.sleep(1)
    stale = CookieRejected(reason="older than the session's state")
    assert script.items == [Resumed(cookie=b"5"), Resumed(cookie=b"7"), stale, Resumed(cookie=b"7")]
    assert script.sessions[0].restored == b"7"


@in_world
async def test_an_echo_is_delivered_before_the_data_that_came_with_it(world: PoolWorld) -> None:
    waiting: list[ServiceSession] = []

    async def keep(session: ServiceSession) -> None:
        waiting.append(session)

    element = await world.element(1, keep)
    stranger = Stranger(world, "10.44.0.9")
    stranger.endpoint.connect([element.address], 7000)
    await eventually(lambda: waiting and stranger.assocs)
    stranger.say(b"data", 0)
    stranger.say(CookieEcho(cookie=b"one").encode())
    for _ in range(1000):
        stranger.say(CookieEcho(cookie=b"more").encode())
    await asyncio.sleep(1)
    (session,) = waiting
    assert await session.receive() == Resumed(cookie=b"one")
    assert await session.receive() == b"data"
    assert session.counters["surplus echoes"] == 1000
    assert session.unread == 0


# Hostile ends


def messages(draw: random.Random) -> tuple[bytes, int]:
    """Draw a message that a hostile peer may send."""
    whole = [
        Cookie(cookie=draw.randbytes(draw.randrange(1, 2000))).encode(),
        CookieEcho(cookie=draw.randbytes(draw.randrange(1, 2000))).encode(),
        card(draw.randrange(1, 200), 250, handle=draw.randbytes(draw.randrange(1, 9))).encode(),
        card(*range(2, 12)).encode(),
        draw.randbytes(draw.randrange(1, 300)),
        b"\x0b\x00\xff\xff" + draw.randbytes(70_000),
    ]
    data = bytearray(draw.choice(whole))
    for _ in range(draw.choice((0, 0, 1, 3))):
        data[draw.randrange(len(data))] = draw.randrange(256)
    if draw.random() < 0.1:
        del data[draw.randrange(1, len(data) + 1) :]
    return bytes(data), draw.choice((11, 11, 11, 0, 12))


@pytest.mark.parametrize("seed", range(8))
def test_no_element_can_harm_a_user(seed: int) -> None:
    @in_world
    async def play(world: PoolWorld) -> None:
        draw = random.Random(seed)
        failures: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        await world.element(1, echo)
        stranger = Stranger(world, "10.44.1.9")
        world.user.elements = {9: element(9)}
        settings = SessionSettings(max_unread=20_000, patience=1e6, backoff_max=0.5)
        async with world.session(settings=settings) as session:
            for _ in range(400):
                for _ in range(5):
                    stranger.say(*messages(draw))
                await asyncio.sleep(0.1)
                assert session.unread < 300_000
                if draw.random() < 0.5:
                    while session.unread:
                        await session.receive()
                if draw.random() < 0.02 and stranger.assocs:
                    stranger.endpoint.abort(stranger.assocs[-1])
            assert not session.closed
            assert session.counters
            assert len(session.cookie or b"") <= MAX_COOKIE
            assert len(world.user.resolved) <= settings.max_resolutions
            assert len(session._machine._outbox) < 10
            assert stranger.downs
            world.user.elements = {1: element(1)}
            stranger.endpoint.close_now()
            world.network.vanish(stranger.endpoint)
            while session.unread:
                await session.receive()
            await eventually(lambda: session.element and session.element.identifier == 1)
            await session.send(b"still there")
            assert await session.receive() == b"still there"
        assert not failures, [repr(one.get("exception")) for one in failures]

    play()


@pytest.mark.parametrize("seed", range(8))
def test_no_user_can_harm_an_element(seed: int) -> None:
    @in_world
    async def play(world: PoolWorld) -> None:
        draw = random.Random(seed)
        failures: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        settings = ServiceSettings(max_sessions=5, max_unread=20_000, max_unsent=20_000)
        target = await world.element(1, echo, settings=settings, card=lambda: card_of(target))
        strangers = [Stranger(world, f"10.44.0.{number}") for number in range(10, 20)]
        for _ in range(400):
            stranger = draw.choice(strangers)
            if not stranger.assocs:
                stranger.endpoint.connect([target.address], 7000)
            elif draw.random() < 0.05:
                draw.choice((stranger.endpoint.abort, stranger.endpoint.shutdown))(stranger.assocs[-1])
            for _ in range(5):
                stranger.say(*messages(draw))
            await asyncio.sleep(0.1)
            assert target.service.active <= 5
            assert all(one.unread < 300_000 for one in target.sessions)
            assert all(len(one._machine._outbox) < 400 for one in target.sessions)
        for stranger in strangers:
            world.network.vanish(stranger.endpoint)
        await eventually(lambda: not target.service.active)
        async with world.session() as session:
            await session.send(b"still there")
            assert await session.receive() == b"still there"
        assert not failures, [repr(one.get("exception")) for one in failures]
        ended = [task.exception() for task in target.tasks[:-1]]
        assert len(ended) > 5
        assert all(error is None or isinstance(error, SessionClosed) for error in ended)

    play()


# The model


@pytest.mark.parametrize("seed", range(12))
def test_a_resumed_state_is_never_older_than_the_answers_seen(seed: int) -> None:
    """The service sends the user a state, then answers with its number. Whichever elements die, and however full the
    transport is, a user that has seen number n holds a state of at least n, and the numbers never decrease."""

    async def count(session: ServiceSession) -> None:
        state = 0
        async for item in session:
            if isinstance(item, Resumed):
                state = int(item.cookie[:8])
            elif isinstance(item, Data):
                state += 1
                session.cookie = b"%08d" % state + bytes(draw.randrange(3000))
                await session.send(b"%08d" % state + bytes(draw.randrange(3000)))

    draw = random.Random(seed)

    @in_world
    async def play(world: PoolWorld) -> None:
        for identifier in (1, 2, 3):
            await world.element(identifier, count, settings=SMALL, seal=Sealer(KEY) if seed % 2 else None)
        seen, resumed = 0, 0
        settings = SessionSettings(max_unread=draw.choice((3000, 100_000)))
        async with world.session(settings=settings) as session:

            async def ask() -> None:
                while True:
                    await session.send(b"?")
                    await asyncio.sleep(draw.choice((0, 0, 0.001)))

            asking = asyncio.create_task(ask())
            for _ in range(2000):
                item = await session.receive()
                number = int(item[:8])  # type: ignore[index]
                cookie = session.cookie or b""
                held = int((Sealer(KEY).open(POOL, cookie).state if seed % 2 else cookie)[:8])
                assert held >= number
                assert number > seen
                seen = number
                if draw.random() < 0.01:
                    before = session.failovers
                    element = world.serving(session)
                    element.kill()
                    element.leave_pool()
                    await world.element(element.identifier + 3, count, settings=SMALL, seal=element.service.seal)
                    await eventually(lambda: session.failovers > before and session.element)  # noqa: B023
                    resumed += 1
            asking.cancel()
            assert min(resumed, seen // 400) >= 5

    play()

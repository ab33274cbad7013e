"""Messages to a pool without a session, over the memory transport and in virtual time."""

import asyncio
from dataclasses import replace

import pytest

from rserpool.client.errors import SessionClosed, SessionFailed
from rserpool.client.session.items import Data
from rserpool.client.session.pool_socket import MAX_ASSOCIATIONS, MAX_UNREAD, PoolSocket, Received, Send
from rserpool.client.session.service import ServiceSession
from rserpool.errors import LocalProtocolError
from rserpool.messages import Cookie
from rserpool.transport.interface import MAX_USER_MESSAGE
from rserpool.transport.memory import MemoryTransport
from tests.support.pools import USER, PoolWorld, echo, in_world
from tests.support.waiting import eventually


class Mailboxes:
    """A handler for elements that keeps the messages of each."""

    def __init__(self) -> None:
        self.got: dict[int, list[bytes]] = {}

    def __getitem__(self, identifier: int) -> list[bytes]:
        return self.got.setdefault(identifier, [])

    async def __call__(self, session: ServiceSession) -> None:
        async for item in session:
            if isinstance(item, Data):
                self[session._service.identifier].append(bytes(item))


def socket(world: PoolWorld, **options: object) -> PoolSocket:
    given = {"transport": MemoryTransport(world.network), "local": USER, **options}
    return PoolSocket("EchoPool", world.user, **given)  # type: ignore[arg-type]


@pytest.mark.conformance("ASAP-6.5.2-01", "ASAP-6.5.2.1-01", "ASAP-6.5.1-01")
@in_world
async def test_each_message_goes_to_the_next_element_of_a_round_robin_pool(world: PoolWorld) -> None:
    boxes = Mailboxes()
    for identifier in (1, 2, 3):
        await world.element(identifier, boxes)
    async with socket(world) as pool:
        for number in range(9):
            (element,) = await pool.send(b"%d" % number)
            assert pool.last == element
        await eventually(lambda: sum(map(len, boxes.got.values())) == 9)
    assert boxes.got == {1: [b"0", b"3", b"6"], 2: [b"1", b"4", b"7"], 3: [b"2", b"5", b"8"]}


@pytest.mark.conformance("ASAP-6.5.1-02")
@in_world
async def test_messages_keep_their_order_while_the_pool_is_resolved(world: PoolWorld) -> None:
    boxes = Mailboxes()
    await world.element(1, boxes)
    select = world.user.select

    async def slowly(*arguments: object, **options: object) -> object:
        await asyncio.sleep(5)
        return await select(*arguments, **options)  # type: ignore[arg-type]

    world.user.select = slowly  # type: ignore[method-assign, assignment]
    async with socket(world) as pool:
        await asyncio.gather(*(pool.send(b"%d" % number) for number in range(5)))
        await eventually(lambda: len(boxes[1]) == 5)
    assert boxes[1] == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.conformance("ASAP-6.5.5-01", "ASAP-3.5-04")
@in_world
async def test_a_message_to_a_dead_element_goes_to_the_next(world: PoolWorld) -> None:
    boxes = Mailboxes()
    elements = [await world.element(identifier, boxes) for identifier in (1, 2)]
    async with socket(world) as pool:
        await pool.send(b"0")
        await pool.send(b"1")
        elements[0].kill()
        await asyncio.sleep(1)
        for number in (2, 3, 4):
            (element,) = await pool.send(b"%d" % number)
            assert element.identifier == 2
        await eventually(lambda: len(boxes[2]) == 4)
    assert set(world.user.reports) == {1}


@pytest.mark.conformance("ASAP-6.5.5-02")
@in_world
async def test_without_failover_the_message_is_returned_in_the_error(world: PoolWorld) -> None:
    element = await world.element(1, echo)
    async with socket(world) as pool:
        element.kill()
        with pytest.raises(SessionFailed) as raised:
            await pool.send(b"back", 7, Send.NO_FAILOVER)
        assert [(one, one.ppid) for one in raised.value.unsent] == [(b"back", 7)]
        assert world.user.reports == [1]


@in_world
async def test_failover_ends_after_patience(world: PoolWorld) -> None:
    element = await world.element(1, echo)
    element.kill()
    async with socket(world, patience=7.0) as pool:
        began = asyncio.get_running_loop().time()
        with pytest.raises(SessionFailed, match="EchoPool"):
            await pool.send(b"x")
        assert asyncio.get_running_loop().time() - began == pytest.approx(7, abs=0.01)
        assert len(world.user.reports) < 30


@pytest.mark.conformance("ASAP-6.5.5-03")
@in_world
async def test_options_choose_the_elements_and_wrong_ones_are_refused(world: PoolWorld) -> None:
    boxes = Mailboxes()
    for identifier in (1, 2, 3):
        await world.element(identifier, boxes)
    async with socket(world, identifier=2) as pool:
        (first,) = await pool.send(b"first", 0, Send.UNORDERED)
        for _ in range(3):
            assert await pool.send(b"last", 0, Send.TO_LAST) == (first,)
        reached = await pool.send(b"all", 0, Send.TO_ALL)
        assert {one.identifier for one in reached} == {1, 3}
        reached = await pool.send(b"everybody", 0, Send.TO_ALL | Send.TO_SELF)
        assert {one.identifier for one in reached} == {1, 2, 3}
        await pool.send_to(world.user.elements[3], b"three")
        await eventually(lambda: boxes[3] and boxes[3][-1] == b"three")
        assert pool.last == world.user.elements[3]
        for wrong in (Send.TO_SELF, Send.FAILOVER | Send.NO_FAILOVER):
            with pytest.raises(LocalProtocolError):
                await pool.send(b"x", 0, wrong)
        with pytest.raises(LocalProtocolError, match="PPID 11"):
            await pool.send(b"x", 11)
        for size in (0, MAX_USER_MESSAGE + 1):
            with pytest.raises(LocalProtocolError, match="octets"):
                await pool.send(bytes(size))
    assert boxes.got == {
        1: [b"first", b"last", b"last", b"last", b"all", b"everybody"],
        2: [b"everybody"],
        3: [b"all", b"everybody", b"three"],
    }
    assert [int(one) for one in (Send.FAILOVER, Send.NO_FAILOVER, Send.TO_LAST, Send.TO_ALL, Send.TO_SELF)] == [
        1,
        2,
        4,
        8,
        16,
    ]
    assert Send.UNORDERED == 0x1000


@in_world
async def test_to_all_reaches_each_element_of_a_large_pool(world: PoolWorld) -> None:
    boxes = Mailboxes()
    for identifier in range(1, 100):
        await world.element(identifier, boxes)
    async with socket(world) as pool:
        assert len(await pool.send(b"x" * 1000, 0, Send.TO_ALL)) == 99
        assert len(pool._links) <= MAX_ASSOCIATIONS
        await eventually(lambda: len(boxes.got) == 99)
    assert not world.user.reports


@pytest.mark.conformance("REQ-3237-2.10-01")
@in_world
async def test_an_answer_names_its_element_and_send_to_reaches_it(world: PoolWorld) -> None:
    for identifier in (1, 2):
        await world.element(identifier, echo)
    async with socket(world) as pool:
        for _ in range(4):
            (element,) = await pool.send(b"question", 9)
            received = await pool.receive()
            assert received == Received(data=Data(b"question", 9), element=element)
            assert received.data.ppid == 9
            await pool.send_to(received.element, b"again")
            assert (await pool.receive()).element == element


@in_world
async def test_a_slow_reader_is_not_flooded(world: PoolWorld) -> None:
    async def flood(session: ServiceSession) -> None:
        async for _ in session:
            while True:
                session.cookie = b"of no interest"
                await session.send(bytes(1000))

    for identifier in (1, 2):
        await world.element(identifier, flood)
    async with socket(world) as pool:
        await pool.send(b"x")
        await pool.send(b"x")
        await asyncio.sleep(60)
        assert pool._unread < MAX_UNREAD + 3000
        for _ in range(2000):
            received = await pool.receive()
            assert received.data != Cookie(cookie=b"of no interest").encode()
            assert pool._unread < MAX_UNREAD + 3000


@in_world
async def test_an_element_that_has_moved_is_reached_at_its_new_address(world: PoolWorld) -> None:
    await world.element(1, echo)
    async with socket(world) as pool:
        await pool.send(b"here")
        assert (await pool.receive()).data == b"here"
        other = await world.element(2, echo)
        world.user.elements = {1: replace(world.user.elements[2], identifier=1)}
        await pool.send(b"there")
        assert (await pool.receive()).data == b"there"
        assert len(other.sessions) == 1


@in_world
async def test_a_closed_socket_refuses_calls(world: PoolWorld) -> None:
    await world.element(1, echo)
    pool = socket(world)
    async with pool:
        waiting = asyncio.create_task(pool.receive())
        await pool.send(b"x")
        await waiting
        waiting = asyncio.create_task(pool.receive())
        await asyncio.sleep(0)
    with pytest.raises(SessionClosed):
        await waiting
    with pytest.raises(SessionClosed):
        await pool.send(b"x")

"""Moderation of wake-ups: when the loop rests, and for how long."""

import asyncio
import random
from collections.abc import Callable
from typing import cast

import pytest

from rserpool._fast.base.wheel import Wheel
from rserpool._fast.handlespace.handlespace import Handlespace
from rserpool._fast.lane.lane import Lane
from rserpool.cli.rsplib_config import Setup
from rserpool.registrar.config import Config, load
from rserpool.registrar.moderation import Moderation, moderation_of
from rserpool.settings.checks import ConfigError
from rserpool.settings.server import ServerOptions
from tests.support import elements as e
from tests.support.lanes import lane_of

INTERVAL = 0.00025
RESOLVE = e.message(5, e.handle_parameter(b"Echo1"))
UNKNOWN = e.message(5, e.handle_parameter(b"Nobody"))
ROUND = 256
STREAK = 4


class ModerationWorld:
    """Associations with their lanes, a loop with call_soon only, and a clock that only arrivals and rests advance."""

    def __init__(self, associations: int) -> None:
        self.now = self.due = 1000.0
        self.slept: list[float] = []
        self.soon: list[Callable[[], None]] = []
        self.moderation = Moderation(
            cast(asyncio.AbstractEventLoop, self), INTERVAL, clock=lambda: self.now, sleep=self.sleep
        )
        self.space = Handlespace(7, seed=1, wheel=Wheel(0))
        self.space.register(b"Echo1", e.element(1, e.LU, (1,), asap=e.sctp(9)), home=7, connection=1)
        self.lanes = [self.lane(number) for number in range(1, associations + 1)]

    def lane(self, number: int) -> Lane:
        lane = lane_of(self.space, number)
        self.moderation.add_lane(lane)
        return lane

    def call_soon(self, call: Callable[[], None]) -> None:
        self.soon.append(call)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def send(self, lane: Lane, request: bytes = RESOLVE) -> None:
        lane.serve(request, self.now)

    def arrive(self, seconds: float) -> None:
        """Let a message arrive some seconds after the previous one: in the current turn if it came during a rest, in a
        new turn otherwise."""
        self.due += seconds
        if self.due > self.now:
            self.turn()
            self.now = max(self.now, self.due)

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for call in soon:
            call()

    def rests_at(self, rate: float, messages: int) -> int:
        """Send messages on all associations in turn at a fixed rate; return the number of rests."""
        self.slept.clear()
        for number in range(messages):
            self.arrive(1 / rate)
            self.send(self.lanes[number % len(self.lanes)])
        return len(self.slept)


def test_loop_rests_between_many_open_loop_clients() -> None:
    world = ModerationWorld(2000)
    assert world.rests_at(20_000, 2 * ROUND - 1) == 0
    assert 40 < world.rests_at(20_000, ROUND) < 60  # about five messages per rest
    assert world.moderation.rests == len(world.slept)


def test_loop_does_not_rest_below_5000_messages_per_second() -> None:
    assert ModerationWorld(2000).rests_at(4900, 4 * ROUND) == 0
    assert ModerationWorld(2000).rests_at(5100, 4 * ROUND) > 0


@pytest.mark.parametrize(("associations", "waits"), [(1, False), (50, False), (450, False), (550, True)])
def test_loop_does_not_rest_for_clients_that_send_again_within_a_hundred_rests(associations: int, waits: bool) -> None:
    world = ModerationWorld(associations)
    world.rests_at(20_000, (STREAK + 1) * associations + ROUND)
    assert (world.rests_at(20_000, 4 * ROUND) > 0) == waits


def test_one_closed_loop_client_prevents_rests() -> None:
    world = ModerationWorld(2000)
    assert world.rests_at(20_000, 4 * ROUND) > 0
    client = world.lane(9999)
    for number in range(6 * ROUND):
        world.arrive(1 / 20_000)
        world.send(world.lanes[number % 2000])
        if not world.soon or number % 5 == 0:
            world.send(client)
        if number == 4 * ROUND:
            world.slept.clear()
    assert not world.slept


def test_two_messages_in_a_row_do_not_mark_a_closed_loop_client() -> None:
    world = ModerationWorld(2000)
    for number in range(4 * ROUND):
        world.arrive(1 / 20_000)
        world.send(world.lanes[number % 2000])
        world.send(world.lanes[number % 2000])
    assert world.slept


def test_loop_rests_once_at_most_and_only_after_its_turn() -> None:
    world = ModerationWorld(2000)
    for lane in world.lanes[: 3 * ROUND]:
        world.send(lane)
    assert len(world.soon) == 1
    assert not world.slept
    world.turn()
    assert len(world.slept) <= 1
    assert not world.soon, "no message has arrived since"
    world.send(world.lanes[-1])
    assert len(world.soon) == 1


def test_rest_ends_one_interval_after_the_previous_rest() -> None:
    world = ModerationWorld(2000)
    for lane in world.lanes[: 3 * ROUND]:
        world.send(lane)
    world.turn()
    for served, slept in ((0.0, INTERVAL), (0.0001, INTERVAL - 0.0001), (INTERVAL, None), (0.01, None)):
        world.slept.clear()
        world.now += served
        world.send(world.lanes[-1])
        world.turn()
        assert world.slept == ([] if slept is None else [pytest.approx(slept)])


def test_new_association_postpones_rests() -> None:
    world = ModerationWorld(2000)
    assert world.rests_at(20_000, 3 * ROUND) > 0
    world.turn()
    world.lane(3000)
    assert world.rests_at(20_000, 2 * ROUND - 1) == 0
    assert world.rests_at(20_000, ROUND) > 0


def test_declined_messages_do_not_count() -> None:
    world = ModerationWorld(2000)
    for lane in world.lanes:
        world.send(lane, UNKNOWN)
    assert not world.soon


def test_moderation_of_zero_is_off() -> None:
    assert moderation_of(ServerOptions(moderation=0.0)) is None


def test_moderation_is_on_by_default() -> None:
    async def moderated(options: ServerOptions) -> bool:
        return moderation_of(options) is not None

    given: list[Config] = [load({}, {}, None, 1), Setup({}, {}).config(random.Random(1).randint)]
    for config in given:
        assert asyncio.run(moderated(config.server))


@pytest.mark.parametrize("value", ["-0.001", "0.02", "nan", "soon"])
def test_moderation_out_of_range_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="moderation"):
        load({"moderation": value}, {}, None, 1)

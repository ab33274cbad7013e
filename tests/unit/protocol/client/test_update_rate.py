from collections.abc import Callable

from rserpool._fast.base.wheel import Wheel
from rserpool.protocol.client.update_rate import UpdateRate

SECOND = 1_000_000


class Turns:
    """A rate of two turns per second, a clock, and the turns that were granted later."""

    def __init__(self) -> None:
        self.wheel = Wheel(0)
        self.rate = UpdateRate(self.wheel, 2.0, 0)
        self.granted: list[tuple[str, int]] = []
        self.callbacks: dict[str, Callable[[int], None]] = {}

    def take(self, name: str, now: int) -> bool:
        turn = self.callbacks.setdefault(name, lambda at: self.granted.append((name, at)))
        return self.rate.take(turn, now)

    def advance(self, now: int) -> None:
        for timer in self.wheel.expire(now):
            timer.fire(now)


def test_turns_beyond_the_rate_are_granted_in_order() -> None:
    turns = Turns()
    assert [turns.take(name, 0) for name in "abcd"] == [True, True, False, False]
    turns.advance(SECOND // 2)
    turns.advance(SECOND)
    assert turns.granted == [("c", SECOND // 2), ("d", SECOND)]
    assert len(turns.wheel) == 0


def test_waiting_turn_is_granted_once() -> None:
    turns = Turns()
    for _ in range(5):
        turns.take("a", 0)
    turns.advance(SECOND)
    turns.advance(2 * SECOND)
    assert [name for name, _ in turns.granted] == ["a"]


def test_withdrawn_turn_is_not_granted() -> None:
    turns = Turns()
    for name in "abcd":
        turns.take(name, 0)
    turns.rate.withdraw(turns.callbacks["c"])
    turns.advance(SECOND)
    assert [name for name, _ in turns.granted] == ["d"]


def test_stop_grants_nothing_more() -> None:
    turns = Turns()
    for name in "abc":
        turns.take(name, 0)
    turns.rate.stop()
    assert len(turns.wheel) == 0

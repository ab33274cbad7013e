from rserpool._fast.base.wheel import Wheel
from rserpool.protocol.timers import Timer


def test_timer_fires_once_with_the_time() -> None:
    wheel = Wheel(0)
    timer = Timer(wheel, 5, lambda now: now * 2)
    assert timer.armed
    assert timer.deadline == 5
    assert wheel.expire(4) == []
    assert [one.fire(6) for one in wheel.expire(6)] == [12]
    assert not timer.armed
    assert timer.fire(7) is None


def test_cancelled_timer_leaves_the_wheel() -> None:
    wheel = Wheel(0)
    timer = Timer(wheel, 5, lambda now: now)
    timer.cancel()
    timer.cancel()
    assert not timer.armed
    assert len(wheel) == 0


def test_timer_can_cancel_another_that_expires_at_the_same_time() -> None:
    wheel = Wheel(0)
    fired: list[int] = []
    later = Timer(wheel, 6, fired.append)
    first = Timer(wheel, 5, lambda now: later.cancel())
    for timer in wheel.expire(10):
        timer.fire(10)
    assert fired == []
    assert not first.armed

from rserpool._fast.base.wheel import Wheel
from rserpool.protocol.client.silence import LEARNT, LEAST, PATIENCE, Silence

SECOND = 1_000_000


def advance(wheel: Wheel, now: int) -> None:
    for timer in wheel.expire(now):
        timer.fire(now)


def test_probe_follows_a_silence_longer_than_the_known_interval_allows() -> None:
    wheel, probes = Wheel(0), list[int]()
    silence = Silence(wheel, probes.append)
    for number in range(LEARNT):
        silence.keep_alive(number * 10 * SECOND)
    last = (LEARNT - 1) * 10 * SECOND
    allowed = round(PATIENCE * 10 * SECOND)
    advance(wheel, last + allowed - 1)
    assert probes == []
    advance(wheel, last + allowed)
    assert probes == [last + allowed]
    assert len(wheel) == 0


def test_allowed_silence_has_a_minimum() -> None:
    wheel, probes = Wheel(0), list[int]()
    silence = Silence(wheel, probes.append)
    for number in range(LEARNT):
        silence.keep_alive(number)
    advance(wheel, LEARNT - 2 + LEAST)
    assert probes == []
    advance(wheel, LEARNT - 1 + LEAST)
    assert len(probes) == 1


def test_reset_forgets_the_interval() -> None:
    wheel, probes = Wheel(0), list[int]()
    silence = Silence(wheel, probes.append)
    for number in range(LEARNT):
        silence.keep_alive(number * SECOND)
    silence.reset()
    silence.keep_alive(5 * SECOND)
    assert len(wheel) == 0

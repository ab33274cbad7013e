"""The token bucket."""

from rserpool._fast.base.bucket import Bucket

SECOND = 1_000_000


def test_burst_is_granted_at_once_then_the_rate_applies() -> None:
    bucket = Bucket(2.0, 3, 0)
    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(SECOND // 2 - 1000)
    assert bucket.take(SECOND // 2)
    assert not bucket.take(SECOND // 2)


def test_idle_bucket_gains_no_more_than_the_burst() -> None:
    bucket = Bucket(10.0, 2, 0)
    assert [bucket.take(3600 * SECOND) for _ in range(3)] == [True, True, False]


def test_idle_bucket_becomes_full_again() -> None:
    bucket = Bucket(1.0, 2, 0)
    assert bucket.full(0)
    bucket.take(0)
    assert not bucket.full(SECOND // 2)
    assert bucket.full(SECOND)


def test_clock_that_stops_or_goes_back_adds_no_tokens() -> None:
    bucket = Bucket(1.0, 1, SECOND)
    assert bucket.take(SECOND)
    assert not bucket.take(0)

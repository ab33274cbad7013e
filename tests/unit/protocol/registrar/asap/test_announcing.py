"""The registrar's announcements and their period."""

import pytest

from rserpool.messages import SCTPTransport, ServerAnnounce
from rserpool.protocol.registrar.actions import Announce
from rserpool.settings.profile import RSPLIB
from tests.support.bench import HOST, OTHER_HOST, OWN, Bench


def start(bench: Bench) -> None:
    bench.asap.announcing.start(bench.now, (HOST,), 3863, (), 3863)


def announcements(bench: Bench, seconds: float) -> int:
    """The number of announcements that the registrar sends in that time."""
    return sum(isinstance(action, Announce) for action in bench.wait(seconds))


def announce(bench: Bench, server: int) -> None:
    """Let another registrar announce itself."""
    transport = SCTPTransport(port=3863, addresses=(OTHER_HOST,))
    bench.asap.announcing.received(
        ServerAnnounce(server_identifier=server, transports=(transport,)).encode(), bench.now
    )


@pytest.mark.conformance("ASAP-3.6-01")
def test_period_grows_with_other_registrars_and_shrinks_when_they_fall_silent() -> None:
    bench = Bench()
    start(bench)
    assert announcements(bench, 10) == 10
    for server in range(2, 6):
        announce(bench, server)
    announce(bench, OWN)
    bench.wait(1)
    assert announcements(bench, 5) == 1
    assert 8 <= announcements(bench, 10) <= 10


def test_forged_announcements_lengthen_the_period_up_to_a_bound() -> None:
    bench = Bench(announcements=8, announcement_rate=1e6)
    start(bench)
    for server in range(2, 10_000):
        announce(bench, server)
    bench.wait(1)
    assert announcements(bench, 8.9) == 0
    assert announcements(bench, 0.2) == 1


def test_announcements_over_the_rate_are_ignored() -> None:
    bench = Bench(announcement_rate=10.0)
    for _ in range(12):
        announce(bench, 2)
    assert bench.counters["announcements over the rate"] == 2
    bench.wait(1)
    announce(bench, 2)
    assert bench.counters["announcements over the rate"] == 2


def test_malformed_announcements_are_counted() -> None:
    bench = Bench()
    bench.asap.announcing.received(b"\x0a\0\0\x05", 0)
    assert bench.counters["malformed announcements"] == 1


def test_rsplib_profile_announces_every_second_whatever_it_receives() -> None:
    bench = Bench(profile=RSPLIB)
    start(bench)
    for server in range(2, 10):
        announce(bench, server)
    assert 35 <= announcements(bench, 40) <= 45

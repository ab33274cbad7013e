"""What the settings of SCTP's patience promise."""

import pytest

from rserpool.transport import FAST, Tuning


def test_how_soon_a_silent_peer_is_found() -> None:
    assert pytest.approx(0.4) == FAST.found_busy
    assert pytest.approx(1.5) == FAST.found_idle
    assert Tuning().found_busy == 9.0
    assert Tuning(heartbeat=0.0).found_idle == float("inf")


@pytest.mark.parametrize("tuning", [Tuning(), FAST])
def test_two_paths_bear_as_much_as_their_association(tuning: Tuning) -> None:
    assert tuning.association_retransmissions <= 2 * tuning.path_retransmissions
    assert tuning.rto_min <= tuning.rto_initial <= tuning.rto_max

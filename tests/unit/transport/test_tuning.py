"""The limits that follow from SCTP's protocol parameters."""

import pytest

from rserpool.transport import FAST, Tuning


def test_found_busy_and_found_idle_follow_from_the_parameters() -> None:
    assert pytest.approx(0.4) == FAST.found_busy
    assert pytest.approx(1.5) == FAST.found_idle
    assert Tuning().found_busy == 9.0
    assert Tuning(heartbeat=0.0).found_idle == float("inf")


@pytest.mark.parametrize("tuning", [Tuning(), FAST])
def test_two_paths_tolerate_more_than_their_association(tuning: Tuning) -> None:
    assert tuning.association_retransmissions <= 2 * tuning.path_retransmissions
    assert tuning.rto_min <= tuning.rto_initial <= tuning.rto_max

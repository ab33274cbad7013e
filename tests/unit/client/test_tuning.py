"""Tests the SCTP timers with which a node detects a silent registrar."""

import pytest

from rserpool.client.node import tuning_for
from rserpool.settings.client import FAST, ClientSettings
from rserpool.transport.interface import Tuning


@pytest.mark.parametrize("silence", [1.0, FAST.registrar_silence, 30.0])
def test_the_tuning_finds_a_silent_registrar_within_the_setting(silence: float) -> None:
    tuning = tuning_for(silence)
    assert tuning.found_idle <= max(silence, 6 * 0.3) + 1e-9
    assert tuning.found_busy <= tuning.found_idle


def test_without_the_setting_the_tuning_is_the_default() -> None:
    assert tuning_for(ClientSettings().registrar_silence) == Tuning()

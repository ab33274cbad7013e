"""How soon a node notices that its registrar's machine is silent."""

import pytest

from rserpool.client.node import tuning_for
from rserpool.settings.client import FAST, ClientSettings
from rserpool.transport.interface import Tuning


@pytest.mark.parametrize("silence", [1.0, FAST.registrar_silence, 30.0])
def test_an_idle_registrar_is_found_lost_in_time(silence: float) -> None:
    tuning = tuning_for(silence)
    assert tuning.found_idle <= max(silence, 6 * 0.3) + 1e-9
    assert tuning.found_busy <= tuning.found_idle


def test_without_the_setting_the_transport_decides() -> None:
    assert tuning_for(ClientSettings().registrar_silence) == Tuning()

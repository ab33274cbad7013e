"""Default values that the RFCs recommend."""

import secrets

import pytest

from rserpool.registrar.config import load
from rserpool.settings.client import ClientSettings
from rserpool.settings.registrar import Settings


@pytest.mark.conformance("ENRP-4-01", "ASAP-7-01")
def test_the_timers_have_the_rfcs_values() -> None:
    settings = Settings(identifier=1)
    assert (settings.heartbeat, settings.last_heard, settings.max_time_no_response) == (30, 61, 5)
    assert (settings.announce_interval, settings.announce_timeout) == (1, 5)
    node = ClientSettings()
    assert (node.request_timeout, node.registration_timeout, node.deregistration_timeout) == (15, 30, 30)
    assert (node.server_hunt, node.hunt_max, node.announce_timeout) == (10, 60, 5)
    assert (node.max_registration_attempts, node.max_request_retransmits) == (2, 2)


@pytest.mark.conformance("ENRP-2.1-05")
def test_a_random_server_identifier_differs_each_time_and_is_never_0() -> None:
    drawn = {load({}, {}, None, secrets.randbelow(0xFFFFFFFF) + 1).settings.identifier for _ in range(50)}
    assert len(drawn) == 50
    assert 0 not in drawn

"""A short run of the node's fuzzing, and proof that the fuzzer detects defects."""

import pytest

from rserpool.protocol.client.candidate_list import Candidates
from rserpool.protocol.client.element import Element
from rserpool.protocol.client.hunt import Hunt
from rserpool.protocol.client.node import Node
from tests.fuzz import node


@pytest.mark.conformance("SEC-9.2-12")
@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_thousand_events(seed: int) -> None:
    outcomes = node.run(20_000, seed)
    for outcome in (
        "Registration",
        "Deregistration",
        "HandleResolution",
        "EndpointKeepAliveAck",
        "EndpointUnreachable",
        "AsapError",
        "Dial",
        "Abort",
        "Shutdown",
        "element ready",
        "element refused",
        "element idle",
        "answers",
        "refused",
        "changes",
        "adoptions",
        "registrars left",
        "malformed messages",
        "errors not sent",
        "announcements ignored",
        "associations refused",
        "selected",
    ):
        assert outcomes[outcome], outcome


def test_a_missing_bound_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hunt, "_has_room", lambda _: True)
    with pytest.raises(AssertionError, match="seed 1, event"):
        node.run(20_000, 1)


def test_a_missing_bound_on_announcements_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Candidates, "_make_room", lambda *_: True)
    with pytest.raises(AssertionError, match="seed 1, event"):
        node.run(20_000, 1)


def test_an_internal_error_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Node, *_: object) -> None:
        raise KeyError(self)

    monkeypatch.setattr(Node, "_nonsense", broken)
    with pytest.raises(AssertionError, match="seed 1, event"):
        node.run(2_000, 1)


def test_a_registration_whose_timer_is_not_armed_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Element, "_arm", lambda *_: None)
    with pytest.raises(AssertionError, match="seed 1, event"):
        node.run(20_000, 1)

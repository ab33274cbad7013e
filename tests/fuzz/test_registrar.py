"""A short run of the registrar's fuzzing, and proof that the fuzzer detects defects."""

import pytest

from rserpool.protocol.registrar.asap import registrations
from rserpool.protocol.registrar.asap.registrations import Registrations
from tests.fuzz import registrar


@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_thousand_events(seed: int) -> None:
    outcomes = registrar.run(20_000, seed)
    for outcome in (
        "registrations",
        "re-registrations",
        "registrations refused",
        "registrations expired",
        "handle resolutions",
        "keep-alives",
        "elements silent",
        "reports",
        "malformed messages",
        "errors not sent",
        "handle updates",
        "handle updates sent",
        "updates of others' elements",
        "synchronisations",
        "takeovers",
        "takeovers not believed",
        "HandleTableResponse",
        "Connect",
        "Announce",
        "Abort",
    ):
        assert outcomes[outcome], outcome


def test_a_missing_bound_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrations, "check_room", lambda *_: None)
    with pytest.raises(AssertionError, match="seed 1, event"):
        registrar.run(40_000, 1)


def test_an_internal_error_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Registrations, *message: object) -> None:
        raise KeyError(message)

    monkeypatch.setattr(Registrations, "register", broken)
    with pytest.raises(AssertionError, match="seed 1, event"):
        registrar.run(1_000, 1)

"""A short run of the decoder's fuzzing, and proof that the fuzzer detects defects."""

from typing import Literal

import pytest

from rserpool.errors import Cause
from rserpool.messages import ASAP_MESSAGES, ENRP_MESSAGES, Message, decode
from tests.fuzz import decoder
from tests.fuzz.mutate import Mutator


def test_twenty_thousand_hostile_messages() -> None:
    outcomes = decoder.run(20_000, seed=7)
    assert sum(outcomes.values()) == 20_000
    # The mutants reach every message type and every error cause.
    assert {kind.__name__ for kind in (*ASAP_MESSAGES, *ENRP_MESSAGES)} <= outcomes.keys()
    refusals = {Cause.INVALID_VALUES, Cause.UNRECOGNIZED_PARAMETER, Cause.UNRECOGNIZED_MESSAGE}
    assert {cause.name for cause in refusals} <= outcomes.keys()


def test_the_same_seed_gives_the_same_messages() -> None:
    first, second = Mutator(3).messages(), Mutator(3).messages()
    assert [next(first) for _ in range(200)] == [next(second) for _ in range(200)]


def test_an_unexpected_exception_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(octets: bytes, protocol: str) -> None:
        raise IndexError(protocol)

    monkeypatch.setattr(decoder, "decode", broken)
    with pytest.raises(AssertionError, match="seed 1, message 0"):
        decoder.run(10, seed=1)


def test_a_leak_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []

    def leaking(octets: bytes, protocol: Literal["asap", "enrp"]) -> Message:
        kept.append(object())
        return decode(octets, protocol)

    monkeypatch.setattr(decoder, "decode", leaking)
    with pytest.raises(AssertionError, match="blocks were retained"):
        decoder.run(8_000, seed=1)

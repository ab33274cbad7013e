"""Stored octets: scenario messages, reference encodings, the output of rsplib's encoder, and recorded traffic."""

import json
from pathlib import Path
from typing import Any

import pytest

from rserpool.errors import Cause, RemoteProtocolError
from rserpool.messages import decode

VECTORS = Path(__file__).resolve().parents[2] / "vectors"

# Expected errors: cause, true if it is reported, cause information.
REFUSED: dict[str, tuple[Cause, bool, str]] = {
    "T16a.req": (Cause.UNRECOGNIZED_PARAMETER, False, ""),
    "T16b.req": (Cause.UNRECOGNIZED_PARAMETER, True, "41230008deadbeef"),
    "T17a.req": (Cause.UNRECOGNIZED_MESSAGE, False, ""),
    "T17b.req": (Cause.UNRECOGNIZED_MESSAGE, True, "7f0000100009000c4563686f506f6f6c"),
    "T17c.req": (Cause.UNRECOGNIZED_MESSAGE, False, ""),
    "T17d.req": (Cause.UNRECOGNIZED_MESSAGE, True, "7f00000c1111111122222222"),
    "T18a": (Cause.INVALID_VALUES, True, ""),
    "T18b": (Cause.INVALID_VALUES, True, ""),
    "T18c": (Cause.INVALID_VALUES, True, ""),
    "T18d": (Cause.INVALID_VALUES, True, ""),
    "T18e": (Cause.INVALID_VALUES, True, ""),
    "T18f": (Cause.INVALID_VALUES, True, "00090004"),
    "T18g": (Cause.INVALID_VALUES, True, ""),
    "T18j": (Cause.INVALID_VALUES, True, "000400081e610000"),
}

# Vectors that are legal but differ from our encoding: the final padding is counted (as rsplib does) or is not zero, or
# there are parameters to skip.
REWRITTEN = {
    "T15.req": "01000038000900095465737435000000000a0028aabbcc0100000000000493e0"
    "000400101e610000000100080a2c00010008000800000001",
    "T15.hr-16": "0500000d000900095465737435000000",
    "T16c.req": "050000100009000c4563686f506f6f6c",
    "T16d.req": "050000100009000c4563686f506f6f6c",
    "T18i": "010000380009000c4563686f506f6f6c000a0028aabbcc0200000000000493e0"
    "000400101e610000000100080a2c00010008000800000001",
    "HandleResolution Pool5, no item count": "0500000d00090009506f6f6c35000000",
    "CookieEcho, 5 B abcde": "0c00000d000d00096162636465000000",
}


def load(name: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())
    return vectors


def named(vectors: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


SCENARIOS = load("scenarios.json")
ENCODER = load("rsplib-encoder.json")
RECORDED = load("rsplib-messages.json")


@pytest.mark.parametrize("vector", named([v for v in SCENARIOS + ENCODER if v["name"] not in REFUSED]))
def test_legal_vector_is_encoded_to_the_same_octets(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["hex"])
    record = decode(octets, vector["protocol"])
    assert record.encode().hex() == REWRITTEN.get(vector["name"], vector["hex"])
    assert octets[0] == record.TYPE


@pytest.mark.conformance("PAR-3-02", "PAR-3-03", "PAR-3-06", "PAR-4-01", "PAR-4-02", "PAR-4-03", "PAR-3.4-01")
@pytest.mark.parametrize("vector", named([v for v in SCENARIOS if v["name"] in REFUSED]))
def test_illegal_vector_is_refused(vector: dict[str, Any]) -> None:
    cause, report, information = REFUSED[vector["name"]]
    with pytest.raises(RemoteProtocolError) as caught:
        decode(bytes.fromhex(vector["hex"]), vector["protocol"])
    assert caught.value.cause is cause
    assert caught.value.report is report
    assert caught.value.information.hex() == information


def test_every_exception_names_a_vector() -> None:
    names = {vector["name"] for vector in SCENARIOS + ENCODER}
    assert REFUSED.keys() | REWRITTEN.keys() <= names
    assert len(SCENARIOS) == 122
    assert len(ENCODER) == 24


@pytest.mark.parametrize("vector", named([v for v in RECORDED if v["origin"] == "rsplib"]))
def test_recorded_rsplib_traffic_is_encoded_to_the_same_octets(vector: dict[str, Any]) -> None:
    """No recorded message ends with padding, so even the message lengths agree."""
    assert decode(bytes.fromhex(vector["hex"]), vector["protocol"]).encode().hex() == vector["hex"]


@pytest.mark.parametrize("vector", named([v for v in RECORDED if v["origin"] == "handmade"]))
def test_recorded_probe_is_decoded_or_refused(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["hex"])
    try:
        record = decode(octets, vector["protocol"])
    except RemoteProtocolError:
        return
    again = record.encode()
    assert decode(again, vector["protocol"]) == record
    assert len(again) <= len(octets)


def test_recording_is_complete() -> None:
    origins = [(vector["protocol"], vector["origin"]) for vector in RECORDED]
    assert origins.count(("asap", "rsplib")) == 86
    assert origins.count(("enrp", "rsplib")) == 88
    assert origins.count(("asap", "handmade")) + origins.count(("enrp", "handmade")) == 81

"""The codec against a second, independent codec."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rserpool.errors import RemoteProtocolError
from rserpool.messages import ASAP_MESSAGES, ENRP_MESSAGES, Message, decode
from tests.fuzz.mutate import Mutator, corpus
from tests.oracle import codec as oracle
from tests.property.records import all_messages, protocol_of, records_of

Outcome = tuple[object, ...]
VECTORS = corpus()


def outcome(octets: bytes, protocol: str) -> Outcome:
    try:
        record = decode(octets, protocol)  # type: ignore[arg-type]
    except RemoteProtocolError as error:
        return ("refused", int(error.cause), error.information, error.report)
    return (record, record.unrecognized)


def expected(octets: bytes, protocol: str) -> Outcome:
    try:
        record = oracle.decode(octets, protocol)
    except oracle.RefusedError as refused:
        return ("refused", refused.cause, refused.information, refused.report)
    return (record, record.unrecognized)


@pytest.mark.parametrize("kind", [*ASAP_MESSAGES, *ENRP_MESSAGES], ids=lambda kind: kind.__name__)
def test_both_codecs_encode_the_same_octets_and_decode_them(kind: type[Message]) -> None:
    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(record=records_of(kind))
    def check(record: Message) -> None:
        octets = record.encode()
        assert octets == oracle.encode(record)
        assert len(octets) % 4 == 0
        assert outcome(octets, protocol_of(record)) == (record, ())

    check()


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(record=all_messages, seed=st.integers(0, 2**32))
def test_both_codecs_treat_a_mutated_record_alike(record: Message, seed: int) -> None:
    protocol = protocol_of(record)
    mutator = Mutator(seed, seeds=[(protocol, record.encode())])
    for _ in range(5):
        octets = mutator.mutate(record.encode(), protocol)
        assert outcome(octets, protocol) == expected(octets, protocol), octets.hex()


@settings(max_examples=200)
@given(octets=st.binary(max_size=80), protocol=st.sampled_from(["asap", "enrp"]))
def test_both_codecs_treat_random_octets_alike(octets: bytes, protocol: str) -> None:
    assert outcome(octets, protocol) == expected(octets, protocol)


@pytest.mark.parametrize("seed", range(4))
def test_both_codecs_treat_mutated_vectors_alike(seed: int) -> None:
    messages = Mutator(seed, seeds=VECTORS).messages()
    for _ in range(2500):
        protocol, octets = next(messages)
        assert outcome(octets, protocol) == expected(octets, protocol), (protocol, octets.hex())

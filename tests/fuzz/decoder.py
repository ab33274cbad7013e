"""Fuzzing of the decoder: ``python -m tests.fuzz.decoder --count 1000000 --seed 1``.

For any octets, decoding returns a record or raises RemoteProtocolError. An encoded record decodes to the same record,
the causes to report fit into one error message, no input takes long, and memory does not grow.
"""

import time
from collections import Counter
from collections.abc import Iterable
from itertools import islice

from rserpool.errors import RemoteProtocolError
from rserpool.messages import AsapError, EnrpError, ErrorCause, Message, decode
from tests.fuzz.command import command
from tests.fuzz.growth import Growth
from tests.fuzz.mutate import Mutator

SLOW = 2.0
"""Processor time limit for one input, in seconds: a thousand times the expected time."""


def report(causes: Iterable[ErrorCause], protocol: str) -> bytes:
    """Encode the error message that reports the causes; raises if they do not fit."""
    if protocol == "enrp":
        return EnrpError(sender_identifier=1, receiver_identifier=2, operation_error=tuple(causes)).encode()
    return AsapError(operation_error=tuple(causes)).encode()


def check(octets: bytes, protocol: str) -> str:
    """Decode once and return the outcome. Any exception that leaves this function is a finding."""
    begin = time.thread_time()
    try:
        record: Message | RemoteProtocolError = decode(octets, protocol)  # type: ignore[arg-type]
    except RemoteProtocolError as error:
        record = error
    spent = time.thread_time() - begin
    assert spent < SLOW, f"decoding took {spent:.3f} s"
    if isinstance(record, RemoteProtocolError):
        assert isinstance(record.information, bytes)
        report([ErrorCause(code=record.cause, information=record.information)], protocol)
        return record.cause.name
    again = record.encode()
    assert len(again) % 4 == 0
    assert decode(again, protocol) == record  # type: ignore[arg-type]
    if record.unrecognized:
        report([ErrorCause(code=1, information=tlv) for tlv in record.unrecognized], protocol)
    return type(record).__name__


def run(count: int, seed: int) -> Counter[str]:
    """Decode ``count`` messages; returns how often each outcome occurred."""
    outcomes: Counter[str] = Counter()
    growth = Growth(count)
    for number, (protocol, octets) in enumerate(islice(Mutator(seed).messages(), count)):
        growth.seen(number)
        try:
            outcomes[check(octets, protocol)] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, message {number}: {protocol} {octets[:200].hex()}") from error
    growth.check()
    return outcomes


if __name__ == "__main__":
    command(run, __doc__)

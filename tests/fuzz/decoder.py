"""Fuzzing of the decoder: ``python -m tests.fuzz.decoder --count 1000000 --seed 1``.

Whatever the octets, decoding gives a record or RemoteProtocolError. A record encodes and decodes back to itself, what
is to be reported fits into one error message, nothing takes long and nothing piles up.
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
"""Seconds of processor time, a thousand times what is due that no input may take."""


def report(causes: Iterable[ErrorCause], protocol: str) -> bytes:
    """The error message that would answer; raises where it would not fit."""
    if protocol == "enrp":
        return EnrpError(sender_identifier=1, receiver_identifier=2, operation_error=tuple(causes)).encode()
    return AsapError(operation_error=tuple(causes)).encode()


def check(octets: bytes, protocol: str) -> str:
    """Decode once and say how it went; raises AssertionError or whatever should not have been raised."""
    begin = time.thread_time()
    try:
        record: Message | RemoteProtocolError = decode(octets, protocol)  # type: ignore[arg-type]
    except RemoteProtocolError as error:
        record = error
    spent = time.thread_time() - begin
    assert spent < SLOW, f"{spent:.3f} s"
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
    """Feed ``count`` messages; returns how often each outcome came up."""
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

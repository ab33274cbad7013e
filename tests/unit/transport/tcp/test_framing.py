"""The framing of ASAP messages in a TCP stream."""

import pytest

from rserpool.messages import EndpointKeepAliveAck
from rserpool.transport.tcp.framing import FramingError, take_message

MESSAGE = EndpointKeepAliveAck(pool_handle=b"12345", pe_identifier=7).encode()
LIMIT = 65_538


def test_messages_are_taken_one_by_one() -> None:
    buffer = bytearray(MESSAGE + MESSAGE + MESSAGE[:9])
    assert [take_message(buffer, LIMIT) for _ in range(3)] == [MESSAGE, MESSAGE, None]
    assert buffer == MESSAGE[:9]


def test_final_padding_belongs_to_the_message_even_if_its_length_does_not_count_it() -> None:
    shorter = MESSAGE[:2] + (len(MESSAGE) - 3).to_bytes(2, "big") + MESSAGE[4:]
    assert take_message(bytearray(shorter), LIMIT) == shorter


@pytest.mark.parametrize("octets", range(len(MESSAGE)))
def test_incomplete_message_stays_in_the_buffer(octets: int) -> None:
    buffer = bytearray(MESSAGE[:octets])
    assert take_message(buffer, LIMIT) is None
    assert len(buffer) == octets


@pytest.mark.parametrize("length", range(4))
def test_length_below_the_header_is_refused(length: int) -> None:
    with pytest.raises(FramingError):
        take_message(bytearray(bytes((8, 0, 0, length))), LIMIT)


def test_length_above_the_limit_is_refused_before_the_message_arrives() -> None:
    assert take_message(bytearray(b"\x08\x00\x01\x00"), 256) is None
    with pytest.raises(FramingError):
        take_message(bytearray(b"\x08\x00\x01\x01"), 256)

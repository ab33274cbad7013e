from rserpool.errors import Cause
from rserpool.messages import AsapError, ErrorCause, decode
from rserpool.model.numbers import MAX_MESSAGE_LENGTH
from rserpool.protocol.errors import asap_error


def causes_in(data: bytes) -> tuple[ErrorCause, ...]:
    message = decode(data, "asap")
    assert isinstance(message, AsapError)
    return message.operation_error


def test_error_carries_causes_with_their_information() -> None:
    cause = ErrorCause(code=Cause.UNRECOGNIZED_PARAMETER, information=b"12345678")
    assert causes_in(asap_error([cause])) == (cause,)


def test_error_that_is_too_long_loses_the_information() -> None:
    cause = ErrorCause(code=Cause.UNRECOGNIZED_PARAMETER, information=bytes(MAX_MESSAGE_LENGTH // 2))
    assert causes_in(asap_error([cause, cause])) == (ErrorCause(code=cause.code),) * 2

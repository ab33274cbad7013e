"""The ASAP_ERROR message that reports a peer's mistake (RFC 5352 2.2.14)."""

from collections.abc import Iterable

from rserpool.messages import AsapError, ErrorCause
from rserpool.model.numbers import MAX_MESSAGE_LENGTH

OVERHEAD = 8
"""The largest sum, in octets, of the message and parameter headers and of one cause's header and padding."""


def asap_error(causes: Iterable[ErrorCause]) -> bytes:
    """Encode an ASAP_ERROR. Leaves out the causes' information if one message cannot carry it."""
    kept = tuple(causes)
    if OVERHEAD + sum(OVERHEAD + len(cause.information) for cause in kept) > MAX_MESSAGE_LENGTH:
        kept = tuple(ErrorCause(code=cause.code) for cause in kept)
    return AsapError(operation_error=kept).encode()

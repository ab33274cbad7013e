"""The two error families of the library, and the error causes of RFC 5354."""

import enum


class Cause(enum.IntEnum):
    """Error cause codes (RFC 5354 3.12)."""

    UNSPECIFIED_ERROR = 0x0000
    UNRECOGNIZED_PARAMETER = 0x0001
    UNRECOGNIZED_MESSAGE = 0x0002
    INVALID_VALUES = 0x0003
    NON_UNIQUE_PE_IDENTIFIER = 0x0004
    INCONSISTENT_POOLING_POLICY = 0x0005
    LACK_OF_RESOURCES = 0x0006
    INCONSISTENT_TRANSPORT_TYPE = 0x0007
    INCONSISTENT_DATA_CONTROL_CONFIGURATION = 0x0008
    UNKNOWN_POOL_HANDLE = 0x0009
    REJECTED_DUE_TO_SECURITY_CONSIDERATIONS = 0x000A


class RSerPoolError(Exception):
    """The base class of all errors of this library."""


class LocalProtocolError(RSerPoolError):
    """The caller asked for something that the protocol does not allow."""


class RemoteProtocolError(RSerPoolError):
    """The peer sent something that the protocol does not allow.

    ``cause`` is the error cause to report (RFC 5354 3.12). ``information`` is its cause information: the complete
    offending parameter or message, or empty. ``report`` is False if the receiver must not report the error, for example
    after an unrecognised parameter of action class 00 (RFC 5354 3).
    """

    def __init__(self, reason: str, *, cause: Cause, information: bytes = b"", report: bool = True) -> None:
        super().__init__(reason)
        self.cause = cause
        self.information = information
        self.report = report

"""Builds the answers that grant or refuse requests, with their error causes (RFC 5352 2.2.3, 2.2.4, 2.2.6)."""

from rserpool.errors import Cause
from rserpool.messages import (
    Deregistration,
    DeregistrationResponse,
    ErrorCause,
    HandleResolutionResponse,
    Registration,
    RegistrationResponse,
)
from rserpool.protocol.actions import Send
from rserpool.protocol.registrar.association import Association

FORBIDDEN = ErrorCause(code=Cause.REJECTED_DUE_TO_SECURITY_CONSIDERATIONS)


def because(code: int, information: bytes) -> ErrorCause:
    """Return an error cause. Invalid Values must show the offending parameter (RFC 5354 3.12.4): without one, the cause
    is Unspecified Error."""
    if code == Cause.INVALID_VALUES and not information:
        return ErrorCause(code=Cause.UNSPECIFIED_ERROR)
    return ErrorCause(code=code, information=information)


def refused(association: Association, message: Registration, causes: tuple[ErrorCause, ...]) -> Send:
    """Answer a registration that is refused."""
    answer = RegistrationResponse(
        reject=True,
        pool_handle=message.pool_handle,
        pe_identifier=message.pool_element.identifier,
        operation_error=causes,
    )
    return Send(association.number, answer.encode())


def deregistered(association: Association, message: Deregistration, causes: tuple[ErrorCause, ...] = ()) -> Send:
    """Answer a deregistration: granted, or refused for the given causes."""
    answer = DeregistrationResponse(
        pool_handle=message.pool_handle, pe_identifier=message.pe_identifier, operation_error=causes
    )
    return Send(association.number, answer.encode())


def unresolved(handle: bytes, cause: ErrorCause) -> bytes:
    """Encode the answer to a handle resolution that fails."""
    return HandleResolutionResponse(pool_handle=handle, operation_error=(cause,)).encode()


def unknown_pool(handle: bytes) -> bytes:
    """Encode the answer to the resolution of a pool that does not exist (RFC 5352 3.3)."""
    return unresolved(handle, ErrorCause(code=Cause.UNKNOWN_POOL_HANDLE))

"""The answers that grant or refuse, with the causes for that (RFC 5352 2.2.3, 2.2.4; RFC 5354 3.12)."""

from rserpool.errors import Cause
from rserpool.messages import Deregistration, DeregistrationResponse, ErrorCause, Registration, RegistrationResponse
from rserpool.protocol.actions import Send
from rserpool.protocol.registrar.association import Association


def because(code: int, information: bytes) -> ErrorCause:
    """An error cause. Invalid Values must show the offending parameter (RFC 5354 3.12.4): without one that can be
    shown, the error is unspecified."""
    if code == Cause.INVALID_VALUES and not information:
        return ErrorCause(code=Cause.UNSPECIFIED_ERROR)
    return ErrorCause(code=code, information=information)


def refused(peer: Association, message: Registration, causes: tuple[ErrorCause, ...]) -> Send:
    """The answer to a registration that is refused."""
    answer = RegistrationResponse(
        reject=True,
        pool_handle=message.pool_handle,
        pe_identifier=message.pool_element.identifier,
        operation_error=causes,
    )
    return Send(peer.number, answer.encode())


def deregistered(peer: Association, message: Deregistration, causes: tuple[ErrorCause, ...] = ()) -> Send:
    """The answer to a deregistration: granted, or refused for the given causes."""
    answer = DeregistrationResponse(
        pool_handle=message.pool_handle, pe_identifier=message.pe_identifier, operation_error=causes
    )
    return Send(peer.number, answer.encode())

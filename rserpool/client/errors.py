"""The errors of pool elements, pool users and sessions."""

from rserpool.client.session.items import Data
from rserpool.errors import Cause, RemoteProtocolError, RSerPoolError
from rserpool.messages import ErrorCause


class NoRegistrar(RSerPoolError):
    """No registrar could be reached, or none answered in time."""


class NoElement(RSerPoolError, LookupError):
    """The pool has no element, or only excluded ones."""


class Overload(RSerPoolError):
    """Too many handle resolutions are waiting for a registrar (ClientSettings.requests)."""


class Refused(RemoteProtocolError):
    """The registrar refused the request; ``cause`` is its error cause (RFC 5354 3.12)."""


class UnknownPool(Refused, LookupError):
    """The pool does not exist: no element is registered under the pool handle."""


class SessionClosed(RSerPoolError):
    """The session has ended: nothing can be sent or received any more."""


class SessionFailed(SessionClosed):
    """The session found no pool element to serve it, or its element failed while failover is off.

    ``unsent`` holds the messages, with their PPIDs, that were not handed to any transport (RFC 5352 6.5.5).
    """

    def __init__(self, reason: str, unsent: tuple[Data, ...] = ()) -> None:
        super().__init__(reason)
        self.unsent = unsent


class MissingExtra(RSerPoolError):
    """This feature needs a package that is not installed; the text says which one."""


def refusal(what: str, causes: tuple[ErrorCause, ...]) -> Refused:
    """The error for an answer with error causes. ``what`` names the request; an unknown cause counts as unspecified."""
    first = causes[0] if causes else ErrorCause(code=Cause.UNSPECIFIED_ERROR)
    known = first.code in tuple(Cause)
    cause = Cause(first.code) if known else Cause.UNSPECIFIED_ERROR
    kind = UnknownPool if cause == Cause.UNKNOWN_POOL_HANDLE else Refused
    name = cause.name.replace("_", " ").lower() if known else f"cause 0x{first.code:04x}"
    return kind(f"{what}: {name}", cause=cause, information=first.information)

"""What a pool element or pool user is told when a registrar does not help."""

from rserpool.client.session.items import Data
from rserpool.errors import Cause, RemoteProtocolError, RSerPoolError
from rserpool.messages import ErrorCause


class NoRegistrar(RSerPoolError):
    """No registrar could be reached, or none answered, within the time given."""


class NoElement(RSerPoolError, LookupError):
    """The pool has no element but those that were excluded."""


class Overload(RSerPoolError):
    """Too many handle resolutions wait for a registrar already (ClientSettings.requests)."""


class Refused(RemoteProtocolError):
    """The registrar refused the request; ``cause`` says why (RFC 5354 3.12)."""


class UnknownPool(Refused, LookupError):
    """There is no such pool: nobody is registered under the pool handle."""


class SessionClosed(RSerPoolError):
    """The session is over: nothing can be sent any more, and nothing comes."""


class SessionFailed(SessionClosed):
    """The session found no pool element that serves, or failover is forbidden and the element failed.

    ``unsent`` are the messages, with their PPIDs, that no transport took (RFC 5352 6.5.5).
    """

    def __init__(self, reason: str, unsent: tuple[Data, ...] = ()) -> None:
        super().__init__(reason)
        self.unsent = unsent


class MissingExtra(RSerPoolError):
    """A package is missing that this feature needs; the text says what to install."""


def refusal(what: str, causes: tuple[ErrorCause, ...]) -> Refused:
    """The error for an answer that carries error causes: a cause that is not known counts as unspecified."""
    first = causes[0] if causes else ErrorCause(code=Cause.UNSPECIFIED_ERROR)
    known = first.code in tuple(Cause)
    cause = Cause(first.code) if known else Cause.UNSPECIFIED_ERROR
    kind = UnknownPool if cause == Cause.UNKNOWN_POOL_HANDLE else Refused
    name = cause.name.replace("_", " ").lower() if known else f"cause 0x{first.code:04x}"
    return kind(f"{what}: {name}", cause=cause, information=first.information)

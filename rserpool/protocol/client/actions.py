"""Actions that the state machines of pool elements and pool users return. The caller carries them out in order."""

from dataclasses import dataclass

from rserpool.model.addresses import Address
from rserpool.protocol.actions import Abort, Note, Send, Shutdown
from rserpool.protocol.client.events import ClientEvent


@dataclass(frozen=True, slots=True)
class Dial:
    """Open an association, or a TCP connection, to a registrar under this number; it is heard of as up or as down."""

    association: int
    addresses: tuple[Address, ...]
    port: int
    sctp: bool


@dataclass(frozen=True, slots=True)
class Publish:
    """Something for the application."""

    event: ClientEvent


Action = Send | Abort | Shutdown | Dial | Publish | Note

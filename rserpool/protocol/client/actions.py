"""Actions that a node of pool elements and pool users returns. The caller carries them out in order."""

from dataclasses import dataclass

from rserpool.model.addresses import Address
from rserpool.protocol.actions import Abort, Note, Send, Shutdown
from rserpool.protocol.client.events import ClientEvent


@dataclass(frozen=True, slots=True)
class Dial:
    """Open an association, or a TCP connection, to a registrar. Report the outcome under this number with Node.up or
    Node.down."""

    association: int
    addresses: tuple[Address, ...]
    port: int
    sctp: bool


@dataclass(frozen=True, slots=True)
class Publish:
    """Pass an event to the application."""

    event: ClientEvent


Action = Send | Abort | Shutdown | Dial | Publish | Note

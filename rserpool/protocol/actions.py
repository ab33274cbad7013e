"""What a protocol object asks its surroundings to do; carried out in the order given."""

import enum
from dataclasses import dataclass

from rserpool.model.addresses import Address
from rserpool.protocol.client.events import Event


class Level(enum.IntEnum):
    """How much a note matters."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


@dataclass(frozen=True, slots=True)
class Send:
    """Send one message over an association."""

    association: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SendRow:
    """Send messages over an association, in order, which may share packets."""

    association: int
    messages: list[bytes]


@dataclass(frozen=True, slots=True)
class Abort:
    """Abort an association: its peer misbehaved or is dead."""

    association: int


@dataclass(frozen=True, slots=True)
class Update:
    """Tell the peer registrars that a pool element of ours came or changed (``added``) or went."""

    added: bool
    pool_handle: bytes
    parameter: bytes
    """The complete Pool Element parameter, ASAP transport included (RFC 5353 3.3)."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Send one datagram to every announcement group."""

    data: bytes


class Protocol(enum.Enum):
    """Which of a registrar's two endpoints an association belongs to, by its payload protocol identifier."""

    ASAP = 11
    ENRP = 12


@dataclass(frozen=True, slots=True)
class Connect:
    """Open an association from one of the registrar's endpoints; it is heard of when it is up, or as unreachable."""

    protocol: Protocol
    addresses: tuple[Address, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Dial:
    """Open an association, or a TCP connection, to a registrar under this number; it is heard of as up or as down."""

    association: int
    addresses: tuple[Address, ...]
    port: int
    sctp: bool


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End an association in order: what was sent still arrives."""

    association: int


@dataclass(frozen=True, slots=True)
class Renumber:
    """Start over with another server identifier: this one, drawn at random, is another registrar's (RFC 5353 3.2.1)."""


@dataclass(frozen=True, slots=True)
class AnnouncePresence:
    """Send one datagram to every group at which registrars find one another."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the log. Notes of one ``subject`` (a peer and what it did) are logged once a minute."""

    level: Level
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Happened:
    """Something for the application."""

    event: Event


Action = (
    Send
    | SendRow
    | Abort
    | Shutdown
    | Dial
    | Connect
    | Update
    | Announce
    | AnnouncePresence
    | Renumber
    | Happened
    | Note
)

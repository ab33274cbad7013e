"""What a protocol object asks its surroundings to do; carried out in the order given."""

import enum
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the log. Notes of one ``subject`` (a peer and what it did) are logged once a minute."""

    level: Level
    subject: str
    text: str


Action = Send | Abort | Update | Announce | Note

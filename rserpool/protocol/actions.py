"""Actions that every part of the protocol returns. The caller carries them out in order."""

import enum
from dataclasses import dataclass


class Level(enum.IntEnum):
    """The log level of a note."""

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
class Shutdown:
    """Shut an association down: messages that were sent still arrive."""

    association: int


@dataclass(frozen=True, slots=True)
class Note:
    """Log a text. Of the notes on one ``subject`` (a peer and what it did), at most one is logged per minute."""

    level: Level
    subject: str
    text: str

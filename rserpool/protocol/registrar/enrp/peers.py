"""What a registrar knows of a peer registrar, and the life of that knowledge as a table (RFC 5353 3.4, 3.5)."""

import enum
from dataclasses import dataclass, field
from typing import Any

from rserpool._fast.base.wheel import Entry
from rserpool.model.addresses import Address
from rserpool.protocol.peer import Peer


class State(enum.Enum):
    """What a registrar thinks of a peer."""

    ALIVE = enum.auto()
    """It was heard of within MAX-TIME-LAST-HEARD."""
    SUSPECT = enum.auto()
    """It is asked for a sign of life."""
    TARGET = enum.auto()
    """It is dead, and this registrar takes it over."""
    INACTIVE = enum.auto()
    """Another registrar takes it over, with our consent."""


class Event(enum.Enum):
    """What may happen to a peer."""

    HEARD = enum.auto()
    """A message of it arrived."""
    SILENT = enum.auto()
    """The time that its state allows is over."""
    GONE = enum.auto()
    """Its association ended, or could not be set up."""
    CLAIMED = enum.auto()
    """Another registrar wants to take it over."""


LET_BE = "let_be"
"""Nothing is done, and the timer goes on."""

TABLE: dict[tuple[State, Event], tuple[str, State]] = {
    (State.ALIVE, Event.HEARD): ("wait_for_silence", State.ALIVE),
    (State.ALIVE, Event.SILENT): ("ask", State.SUSPECT),
    (State.ALIVE, Event.GONE): ("ask", State.SUSPECT),
    (State.ALIVE, Event.CLAIMED): ("consent", State.INACTIVE),
    (State.SUSPECT, Event.HEARD): ("wait_for_silence", State.ALIVE),
    (State.SUSPECT, Event.SILENT): ("bury", State.TARGET),
    (State.SUSPECT, Event.GONE): ("bury", State.TARGET),
    (State.SUSPECT, Event.CLAIMED): ("consent", State.INACTIVE),
    (State.TARGET, Event.HEARD): ("abandon", State.ALIVE),
    (State.TARGET, Event.SILENT): ("go_on", State.TARGET),
    (State.TARGET, Event.GONE): (LET_BE, State.TARGET),
    (State.TARGET, Event.CLAIMED): ("arbitrate", State.TARGET),
    (State.INACTIVE, Event.HEARD): ("wait_for_silence", State.ALIVE),
    (State.INACTIVE, Event.SILENT): ("ask", State.SUSPECT),
    (State.INACTIVE, Event.GONE): (LET_BE, State.INACTIVE),
    (State.INACTIVE, Event.CLAIMED): ("consent", State.INACTIVE),
}
"""(state, event) -> (what to do, next state). ``bury`` and ``arbitrate`` may end elsewhere: a peer without elements is
forgotten, and a lost arbitration makes it INACTIVE."""


@dataclass(slots=True, eq=False)
class EnrpLink:
    """One association of the ENRP endpoint; the peer it belongs to sticks to it once it has spoken."""

    number: int
    other: Peer
    called: bool
    """Whether this registrar opened it."""
    peer: "PeerRegistrar | None" = None
    upload: "Upload | None" = None
    listing: bool = False
    """Whether its list was asked for, and not had yet."""


@dataclass(slots=True, eq=False)
class Upload:
    """A peer downloads our handle table: where it will go on (RFC 5353 3.2.3)."""

    own_only: bool
    position: tuple[Any, int]
    timer: Entry


@dataclass(slots=True, eq=False)
class PeerRegistrar:
    """One peer registrar, by its server identifier."""

    identifier: int
    addresses: tuple[Address, ...]
    port: int
    link: EnrpLink | None = None
    state: State = State.ALIVE
    timer: Entry | None = None
    claimant: EnrpLink | None = None
    """The association over which it was claimed last."""
    claimed_by: int | None = None
    """While INACTIVE: who takes it over."""
    voters: set[int] = field(default_factory=set)
    """While TARGET: the peers that have not consented yet."""
    round: int = 0
    """While TARGET: the rounds of arbitration so far; 0 before the first."""
    won: bool = False
    """While TARGET: whether arbitration is over, and its elements change their home."""
    fresh: bool = False
    """Whether something of its own is known that it may have changed before its association came up: its table is to be
    downloaded, whatever its checksum."""
    mismatches: int = 0
    """Downloads in a row after which its checksum still differed."""
    next_download: int = 0
    """The time before which its table is not downloaded again."""
    next_audit: int = 0
    """The time from which its table is downloaded although its checksum does not differ."""

    def __str__(self) -> str:
        return f"registrar 0x{self.identifier:08x}"

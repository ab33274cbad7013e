"""Records of peer registrars and the table of a peer's life (RFC 5353 3.4, 3.5).

Each peer has one timer, which its state sets; a reaction that sets no timer leaves the running one. The table does not
show that a reaction may find out more and feed the next event at once: BEGIN_TAKEOVER and MOVE_ELEMENTS feed EMPTIED,
CLAIM and CLAIM_AGAIN feed ELECTED.
"""

import enum
from dataclasses import dataclass, field
from typing import Any

from rserpool._fast.base.wheel import Entry
from rserpool.model.addresses import Address
from rserpool.protocol.peer import Peer
from rserpool.protocol.table import Transition


class State(enum.Enum):
    """The states of a peer, as this registrar sees it."""

    ALIVE = enum.auto()
    """The peer sent a message within MAX-TIME-LAST-HEARD."""
    SUSPECT = enum.auto()
    """The peer was asked for a presence and has not answered yet."""
    TARGET = enum.auto()
    """The peer is dead. This registrar waits for a random time before it claims the takeover."""
    CLAIMING = enum.auto()
    """This registrar has sent INIT_TAKEOVER and waits for the other registrars to consent."""
    WON = enum.auto()
    """The other registrars consented; the peer's elements change their home, slice by slice."""
    CONCEDED = enum.auto()
    """Another registrar takes the peer over, with this registrar's consent."""
    FORGOTTEN = enum.auto()
    """The peer is no longer in the list of peers."""


class Event(enum.Enum):
    """The events of a peer's life."""

    HEARD = enum.auto()
    """A message of the peer arrived."""
    TIME_OUT = enum.auto()
    """The timer of the peer's state expired."""
    UNREACHABLE = enum.auto()
    """The peer's association ended, or could not be opened."""
    CLAIMED = enum.auto()
    """A registrar that wins an arbitration against this one sent INIT_TAKEOVER."""
    CHALLENGED = enum.auto()
    """A registrar that loses an arbitration against this one sent INIT_TAKEOVER."""
    ELECTED = enum.auto()
    """No registrar is left that has to consent to this registrar's takeover."""
    EMPTIED = enum.auto()
    """The peer has no pool elements, or none are left."""
    TAKEN_OVER = enum.auto()
    """A registrar announced that it has taken the peer over."""
    USURPED = enum.auto()
    """A registrar announced that it has taken the peer over, but this registrar consented to another one."""


class Reaction(enum.Enum):
    """The registrar's reactions to an event of a peer."""

    IGNORE = enum.auto()
    """Do nothing."""
    WATCH = enum.auto()
    """Allow the peer MAX-TIME-LAST-HEARD of silence from now on."""
    ASK_FOR_PRESENCE = enum.auto()
    """Ask for a presence, over a new association if there is none."""
    BEGIN_TAKEOVER = enum.auto()
    """Wait for a random time, unless the peer has no elements."""
    CLAIM = enum.auto()
    """Send INIT_TAKEOVER to all peers."""
    CLAIM_AGAIN = enum.auto()
    """Drop the voters that are silent themselves, and send INIT_TAKEOVER again if other voters are left."""
    INSIST = enum.auto()
    """Wait for consent again, because the challenger has to give way."""
    MOVE_ELEMENTS = enum.auto()
    """Change the home of some elements to this registrar."""
    WIN = enum.auto()
    """Record the takeover and begin to move the elements."""
    ANNOUNCE_TAKEOVER = enum.auto()
    """Send TAKEOVER_SERVER to all peers and keep-alives with H=1 to the elements."""
    ABANDON = enum.auto()
    """End the takeover before any element has moved."""
    KEEP_MOVED = enum.auto()
    """End the takeover, but send keep-alives with H=1 to the elements that have moved: they choose their home."""
    CONSENT = enum.auto()
    """Send INIT_TAKEOVER_ACK, and ask the peer for a presence in case it is alive."""
    LOSE = enum.auto()
    """Change the home of the peer's elements to the winner."""
    LOSE_REST = enum.auto()
    """Change the home of the elements that have not moved here, and send keep-alives with H=1 to those that have."""
    DISBELIEVE = enum.auto()
    """Ignore the announcement of a takeover, and record it."""
    FORGET = enum.auto()
    """Remove the peer from the list of peers."""


_S, _E, _R = State, Event, Reaction
PEER: dict[tuple[State, Event], Transition[Reaction, State]] = {
    (_S.ALIVE, _E.HEARD): Transition(_R.WATCH, _S.ALIVE),
    (_S.ALIVE, _E.TIME_OUT): Transition(_R.ASK_FOR_PRESENCE, _S.SUSPECT),
    (_S.ALIVE, _E.UNREACHABLE): Transition(_R.ASK_FOR_PRESENCE, _S.SUSPECT),
    (_S.ALIVE, _E.CLAIMED): Transition(_R.CONSENT, _S.CONCEDED),
    (_S.ALIVE, _E.CHALLENGED): Transition(_R.CONSENT, _S.CONCEDED),
    (_S.ALIVE, _E.TAKEN_OVER): Transition(_R.DISBELIEVE, _S.ALIVE),
    (_S.SUSPECT, _E.HEARD): Transition(_R.WATCH, _S.ALIVE),
    (_S.SUSPECT, _E.TIME_OUT): Transition(_R.BEGIN_TAKEOVER, _S.TARGET),
    (_S.SUSPECT, _E.UNREACHABLE): Transition(_R.BEGIN_TAKEOVER, _S.TARGET),
    (_S.SUSPECT, _E.CLAIMED): Transition(_R.CONSENT, _S.CONCEDED),
    (_S.SUSPECT, _E.CHALLENGED): Transition(_R.CONSENT, _S.CONCEDED),
    (_S.SUSPECT, _E.TAKEN_OVER): Transition(_R.LOSE, _S.FORGOTTEN),
    (_S.SUSPECT, _E.USURPED): Transition(_R.LOSE, _S.FORGOTTEN),
    (_S.TARGET, _E.HEARD): Transition(_R.ABANDON, _S.ALIVE),
    (_S.TARGET, _E.TIME_OUT): Transition(_R.CLAIM, _S.CLAIMING),
    (_S.TARGET, _E.UNREACHABLE): Transition(_R.IGNORE, _S.TARGET),
    (_S.TARGET, _E.CLAIMED): Transition(_R.CONSENT, _S.CONCEDED),
    (_S.TARGET, _E.CHALLENGED): Transition(_R.CONSENT, _S.CONCEDED),
    (_S.TARGET, _E.EMPTIED): Transition(_R.FORGET, _S.FORGOTTEN),
    (_S.TARGET, _E.TAKEN_OVER): Transition(_R.LOSE, _S.FORGOTTEN),
    (_S.TARGET, _E.USURPED): Transition(_R.LOSE, _S.FORGOTTEN),
    (_S.CLAIMING, _E.HEARD): Transition(_R.ABANDON, _S.ALIVE),
    (_S.CLAIMING, _E.TIME_OUT): Transition(_R.CLAIM_AGAIN, _S.CLAIMING),
    (_S.CLAIMING, _E.UNREACHABLE): Transition(_R.IGNORE, _S.CLAIMING),
    (_S.CLAIMING, _E.CLAIMED): Transition(_R.CONSENT, _S.CONCEDED),
    (_S.CLAIMING, _E.CHALLENGED): Transition(_R.INSIST, _S.CLAIMING),
    (_S.CLAIMING, _E.ELECTED): Transition(_R.WIN, _S.WON),
    (_S.CLAIMING, _E.TAKEN_OVER): Transition(_R.LOSE, _S.FORGOTTEN),
    (_S.CLAIMING, _E.USURPED): Transition(_R.LOSE, _S.FORGOTTEN),
    (_S.WON, _E.HEARD): Transition(_R.KEEP_MOVED, _S.ALIVE),
    (_S.WON, _E.TIME_OUT): Transition(_R.MOVE_ELEMENTS, _S.WON),
    (_S.WON, _E.UNREACHABLE): Transition(_R.IGNORE, _S.WON),
    (_S.WON, _E.CLAIMED): Transition(_R.IGNORE, _S.WON),
    (_S.WON, _E.CHALLENGED): Transition(_R.IGNORE, _S.WON),
    (_S.WON, _E.EMPTIED): Transition(_R.ANNOUNCE_TAKEOVER, _S.FORGOTTEN),
    (_S.WON, _E.TAKEN_OVER): Transition(_R.LOSE_REST, _S.FORGOTTEN),
    (_S.WON, _E.USURPED): Transition(_R.LOSE_REST, _S.FORGOTTEN),
    (_S.CONCEDED, _E.HEARD): Transition(_R.WATCH, _S.ALIVE),
    (_S.CONCEDED, _E.TIME_OUT): Transition(_R.ASK_FOR_PRESENCE, _S.SUSPECT),
    (_S.CONCEDED, _E.UNREACHABLE): Transition(_R.IGNORE, _S.CONCEDED),
    (_S.CONCEDED, _E.CLAIMED): Transition(_R.CONSENT, _S.CONCEDED),
    (_S.CONCEDED, _E.CHALLENGED): Transition(_R.CONSENT, _S.CONCEDED),
    (_S.CONCEDED, _E.TAKEN_OVER): Transition(_R.LOSE, _S.FORGOTTEN),
    (_S.CONCEDED, _E.USURPED): Transition(_R.DISBELIEVE, _S.CONCEDED),
    # Events that were on their way when the peer was forgotten.
    (_S.FORGOTTEN, _E.TIME_OUT): Transition(_R.IGNORE, _S.FORGOTTEN),
    (_S.FORGOTTEN, _E.UNREACHABLE): Transition(_R.IGNORE, _S.FORGOTTEN),
}
"""The life of a peer. A pair that is missing cannot happen."""


@dataclass(slots=True, eq=False)
class EnrpLink:
    """One association of the ENRP endpoint. Its peer is set by the first message and never changes."""

    number: int
    remote: Peer
    """The other end, as the transport knows it."""
    opened_here: bool
    """True if this registrar opened the association."""
    peer: "PeerRegistrar | None" = None
    upload: "Upload | None" = None
    list_requested: bool = False
    """True if the peer was asked for its list and has not answered."""


@dataclass(slots=True, eq=False)
class Upload:
    """Where a peer's download of our handle table continues (RFC 5353 3.2.3)."""

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
    """The association to use, if there is one."""
    state: State = State.ALIVE
    timer: Entry | None = None
    claim_link: EnrpLink | None = None
    """The association over which the last INIT_TAKEOVER for this peer arrived."""
    winner_link: EnrpLink | None = None
    """The association over which the last TAKEOVER_SERVER for this peer arrived."""
    consented_to: int | None = None
    """The registrar that has our consent to take this peer over, until the peer is heard again."""
    voters: set[int] = field(default_factory=set)
    """While CLAIMING: the registrars that have not consented yet."""
    round: int = 0
    """While CLAIMING: how many times INIT_TAKEOVER was sent."""
    must_download: bool = False
    """True if the peer may have changed elements that we know before its association came up: its table must be
    downloaded, whatever its checksum."""
    mismatches: int = 0
    """The number of downloads in a row after which the peer's checksum still differed."""
    next_download: int = 0
    """The time before which the peer's table is not downloaded again."""
    next_audit: int = 0
    """The time from which the peer's table is downloaded even if its checksum does not differ."""
    last_heard: int | None = None
    """The time of the last message, in microseconds."""
    checksum: int | None = None
    """The checksum of its own elements that the peer sent last."""

    def __str__(self) -> str:
        return f"registrar 0x{self.identifier:08x}"

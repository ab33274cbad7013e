"""What a node of pool elements and users remembers of one association or connection with a registrar."""

import enum
from dataclasses import dataclass

from rserpool._fast.base.bucket import Bucket
from rserpool.protocol.client.candidates import Candidate
from rserpool.protocol.peer import Peer

ERRORS = 4
"""ASAP_ERRORs sent over one association, at once and per second: two nodes must not drown each other in complaints."""


class Stage(enum.Enum):
    """How far an association is."""

    DIALING = enum.auto()
    UP = enum.auto()
    LEAVING = enum.auto()
    """Given up; its end is on its way."""


@dataclass(slots=True, eq=False)
class Link:
    """One association."""

    number: int
    stage: Stage
    errors: Bucket
    candidate: Candidate | None = None
    """Whom it was opened to; None for one that a registrar opened."""
    peer: Peer | None = None
    heard: int = 0
    """When its peer said something last, in microseconds."""


def new_link(number: int, now: int, candidate: Candidate | None = None, peer: Peer | None = None) -> Link:
    """One that is being opened to a candidate, or one that is up already."""
    stage = Stage.DIALING if peer is None else Stage.UP
    return Link(number, stage, Bucket(ERRORS, ERRORS, now), candidate, peer, now)

"""The record of one association or connection between a node and a registrar."""

import enum
from dataclasses import dataclass

from rserpool._fast.base.bucket import Bucket
from rserpool.protocol.client.candidate_list import Candidate
from rserpool.protocol.peer import Peer

ERRORS = 4
"""The largest number of ASAP_ERRORs sent over one association, per second and in one burst. It prevents two nodes from
flooding each other with error reports."""


class Stage(enum.Enum):
    """The stages of an association."""

    DIALING = enum.auto()
    UP = enum.auto()
    LEAVING = enum.auto()
    """Given up; its end has not been reported yet."""


@dataclass(slots=True, eq=False)
class Link:
    """One association."""

    number: int
    stage: Stage
    errors: Bucket
    candidate: Candidate | None = None
    """The registrar that was dialled; None if the other end opened the association."""
    peer: Peer | None = None
    heard: int = 0
    """Time of the latest message from the peer, in microseconds."""

    def failed(self, now: int) -> None:
        """The registrar has failed: the hunt tries it after all others."""
        if self.candidate is not None:
            self.candidate.troubled = max(now, 1)

    def succeeded(self) -> None:
        """The registrar answered a request."""
        if self.candidate is not None:
            self.candidate.troubled = 0


def new_link(number: int, now: int, candidate: Candidate | None = None, peer: Peer | None = None) -> Link:
    """Make the record of an association that is being dialled to ``candidate``, or is already up to ``peer``."""
    stage = Stage.DIALING if peer is None else Stage.UP
    return Link(number, stage, Bucket(ERRORS, ERRORS, now), candidate, peer, now)

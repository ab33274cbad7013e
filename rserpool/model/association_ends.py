"""How associations end, and how much one message may hold: what transports and their compiled parts share."""

import enum

from rserpool.errors import RSerPoolError

MAX_USER_MESSAGE = 262_144
"""Octets of the largest message between pool users and pool elements, with the same end for who sends more. It has to
fit into a socket's buffers, which without privileges hold 425 984 octets on Linux (wmem_max, doubled)."""

MAX_HELD = 8 << 20
"""Octets of a paused association that were taken from the stack before its receive window could close. A stack has no
more than its receive buffer, or one batch of packets; an association of which more comes is aborted, so that a peer
that knows of no window cannot fill our memory."""


class Down(enum.Enum):
    """Why an association ended."""

    SHUTDOWN = enum.auto()
    """In order: one side shut it down."""
    LOST = enum.auto()
    """The peer no longer answers."""
    ABORTED = enum.auto()
    """One side aborted it, or the peer no longer knows it."""
    CANT_START = enum.auto()
    """It never came up."""


class AssociationGone(RSerPoolError):
    """The association has ended, or never was; its on_down may still be on its way."""

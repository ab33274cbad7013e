"""Reasons why associations end, and the sizes of messages and buffers that all transports share."""

import enum

from rserpool.errors import RSerPoolError

MAX_USER_MESSAGE = 262_144
"""Octets of the largest message between pool users and pool elements; a larger one aborts the association too. It must
fit into a socket's buffers, which without privileges hold 425 984 octets on Linux (wmem_max, doubled)."""

MAX_HELD = 8 << 20
"""Octets that a paused association may still receive before its receive window closes. A well-behaved peer sends no
more than the receive buffer or one batch of packets; an association that receives more is aborted, so that a peer that
ignores the window cannot fill our memory."""


class Down(enum.Enum):
    """Why an association ended."""

    SHUTDOWN = enum.auto()
    """One side shut it down in an orderly way."""
    LOST = enum.auto()
    """The peer no longer answers."""
    ABORTED = enum.auto()
    """One side aborted it, or the peer no longer knows it."""
    CANT_START = enum.auto()
    """It never came up."""


class AssociationGone(RSerPoolError):
    """The association has ended or never existed. Its on_down may still follow."""

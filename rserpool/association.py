"""How associations end, and how much one message may hold: what transports and their compiled parts share."""

import enum

from rserpool.errors import RSerPoolError

MAX_MESSAGE = 0xFFFF + 3
"""Octets of the largest message: the 16-bit Message Length (RFC 5352 2.1, RFC 5353 2) and the final padding. A peer
that sends more has its association aborted, so that it cannot make us collect without end."""


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

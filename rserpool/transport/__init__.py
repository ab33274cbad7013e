"""Transports: kernel SCTP, SCTP over UDP in the process, TCP for pool users, announcements by UDP, memory for tests."""

from rserpool.transport.choose import choose
from rserpool.transport.interface import (
    FAST,
    MAX_MESSAGE_OCTETS,
    MAX_USER_MESSAGE,
    Address,
    AssociationGone,
    Down,
    Endpoint,
    Handler,
    Transport,
    TransportUnavailable,
    Tuning,
)

__all__ = [
    "FAST",
    "MAX_MESSAGE_OCTETS",
    "MAX_USER_MESSAGE",
    "Address",
    "AssociationGone",
    "Down",
    "Endpoint",
    "Handler",
    "Transport",
    "TransportUnavailable",
    "Tuning",
    "choose",
]

"""Messages between the two ends of a simulated session.

The service counts: it numbers its replies, and after each it sends the next number to the user as a cookie.
"""

from struct import Struct

from rserpool.model.numbers import ASAP_PPID

PPID = 33
QUESTION = Struct(">QQ")
"""Session and stamp. The stamp grows with every question of a user's application."""
REPLY = Struct(">QQ")
"""Number of the reply, and the question's stamp."""
COOKIE = Struct(">QQ")
"""Session, and the number of the next reply."""


def frame(ppid: int, data: bytes) -> bytes:
    """Encode a message of a session for the simulated network."""
    return ppid.to_bytes(4, "big") + data


def unframe(message: bytes) -> tuple[bool, bytes]:
    """Decode a frame. Returns True for a control message, and the message."""
    return int.from_bytes(message[:4], "big") == ASAP_PPID, message[4:]

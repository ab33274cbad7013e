"""What the two ends of a session say to each other.

The service counts: it numbers its replies, and after each it leaves the next number with the user, as a cookie.
"""

from struct import Struct

from rserpool.model.numbers import ASAP_PPID

PPID = 33
QUESTION = Struct(">QQ")
"""Session and stamp. Stamps grow with every question that a user's application hands over."""
REPLY = Struct(">QQ")
"""Number of the reply, and the question's stamp."""
COOKIE = Struct(">QQ")
"""Session, and the number of the next reply."""


def frame(ppid: int, data: bytes) -> bytes:
    """A message of a session as it travels."""
    return ppid.to_bytes(4, "big") + data


def unframe(message: bytes) -> tuple[bool, bytes]:
    """Whether a message came over the control channel, and what it is."""
    return int.from_bytes(message[:4], "big") == ASAP_PPID, message[4:]
